//! Limits how much the hub hands to clients before their tasks get a turn.

/// Items of one turn.
const ITEMS: usize = 64;

/// Bytes of one turn, half of what a connection upstream reads in its own. A thread that is full then
/// reads the feed all the same: what its clients' tasks cannot write waits in the stream, which drops
/// the oldest frames.
const BYTES: usize = 64 * 1024;

/// The rest of the hub's turn.
#[derive(Debug)]
pub(super) struct Turn {
    items_left: usize,
    bytes_left: usize,
}

impl Default for Turn {
    fn default() -> Self {
        Self { items_left: ITEMS, bytes_left: BYTES }
    }
}

impl Turn {
    /// Deducts an item of `bytes`, and returns whether the turn is over. The next one then begins.
    pub(super) fn is_over_after(&mut self, bytes: usize) -> bool {
        self.items_left -= 1;
        self.bytes_left = self.bytes_left.saturating_sub(bytes);
        let is_over = self.items_left == 0 || self.bytes_left == 0;
        if is_over {
            *self = Self::default();
        }
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_has_64_items_or_the_bytes_of_four_fullest_frames_of_100_packets() {
        for (frame, turns) in
            [(188, [63, 127]), (18_602, [3, 7]), (1 << 20, [0, 1]), (0, [63, 127])]
        {
            let mut turn = Turn::default();
            let over: Vec<_> = (0..128).filter(|_| turn.is_over_after(frame)).take(2).collect();
            assert_eq!(over, turns, "{frame}");
        }
    }
}
