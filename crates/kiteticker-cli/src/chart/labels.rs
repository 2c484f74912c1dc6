//! Labels along a line, none over another.

/// Room along a line that labels take.
#[derive(Debug)]
pub(super) struct Line {
    taken: Vec<(usize, usize)>,
    len: usize,
    /// Space between two labels.
    gap: usize,
}

impl Line {
    pub(super) fn new(len: usize, gap: usize) -> Self {
        Self { taken: Vec::new(), len, gap }
    }

    /// Takes the room of a label; returns whether it was free.
    pub(super) fn take(&mut self, at: usize, len: usize) -> bool {
        let Some(end) = at.checked_add(len).filter(|&end| end <= self.len) else { return false };
        let is_free = |&(from, to): &(usize, usize)| end + self.gap <= from || to + self.gap <= at;
        let fits = self.taken.iter().all(is_free);
        if fits {
            self.taken.push((at, end));
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_keep_their_distance_and_stay_on_the_line() {
        let mut line = Line::new(12, 1);
        assert!(line.take(3, 5));
        assert!(!line.take(8, 4), "too close");
        assert!(!line.take(0, 3), "too close");
        assert!(line.take(9, 3));
        assert!(!line.take(12, 1), "beyond the end");
    }
}
