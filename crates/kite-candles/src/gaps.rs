//! The stretches without a feed of one instrument.

use alloc::vec::Vec;

use crate::grid::Slot;

/// Number of stretches that are kept; older ones are dropped.
const KEPT: usize = 8;

/// Stretches in Unix nanoseconds, in order and apart from each other.
#[derive(Debug, Default)]
pub(crate) struct Gaps {
    closed: Vec<(u64, u64)>,
    /// The start of a stretch that has not ended.
    open: Option<u64>,
}

impl Gaps {
    /// Adds a stretch, merged with those it touches.
    pub(crate) fn add(&mut self, mut from: u64, mut to: u64) {
        if from >= to {
            return;
        }
        self.closed.retain(|&(start, end)| {
            let touches = start <= to && from <= end;
            if touches {
                (from, to) = (from.min(start), to.max(end));
            }
            !touches
        });
        let at = self.closed.partition_point(|&(start, _)| start < from);
        self.closed.insert(at, (from, to));
    }

    /// Drops the oldest stretches, so that there is room for another one.
    pub(crate) fn make_room(&mut self) {
        let too_many = (self.closed.len() + 1).saturating_sub(KEPT);
        self.closed.drain(..too_many);
    }

    /// Starts a stretch, unless one has started already.
    pub(crate) fn open(&mut self, from: u64) {
        self.open = Some(self.open.map_or(from, |open| open.min(from)));
    }

    /// Ends the stretch that has started.
    pub(crate) fn close(&mut self, to: u64) {
        if let Some(from) = self.open.take() {
            self.add(from, to);
        }
    }

    /// Returns whether a stretch has started and not ended.
    #[inline]
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Returns whether a stretch is part of one that is known.
    pub(crate) fn cover(&self, from: u64, to: u64) -> bool {
        let covers = |&(start, end): &(u64, u64)| start <= from && to <= end;
        self.open.is_some_and(|open| open <= from) || self.closed.iter().any(covers)
    }

    /// Returns how much of a bar lies in stretches that have ended, in nanoseconds.
    pub(crate) fn closed_within(&self, slot: Slot) -> u64 {
        self.closed.iter().map(|&(from, to)| overlap(slot, from, to)).sum()
    }

    /// Returns how much more of a bar lies in the stretch that has not ended, which counts to the
    /// end of the bar.
    pub(crate) fn open_within(&self, slot: Slot) -> u64 {
        let Some(open) = self.open else { return 0 };
        let counted: u64 =
            self.closed.iter().map(|&(from, to)| overlap(slot, from.max(open), to)).sum();
        overlap(slot, open, u64::MAX).saturating_sub(counted)
    }
}

/// Returns how much of a bar lies within a stretch, in nanoseconds.
fn overlap(slot: Slot, from: u64, to: u64) -> u64 {
    to.min(slot.end.unix_ns()).saturating_sub(from.max(slot.start.unix_ns()))
}

#[cfg(test)]
mod tests {
    use kite_wire::UnixSeconds;

    use super::*;

    const S: u64 = 1_000_000_000;

    fn within(gaps: &Gaps) -> u64 {
        let slot = Slot { start: UnixSeconds(100), end: UnixSeconds(200) };
        (gaps.closed_within(slot) + gaps.open_within(slot)) / S
    }

    #[test]
    fn overlapping_stretches_count_once() {
        let mut gaps = Gaps::default();
        gaps.add(90 * S, 110 * S);
        gaps.add(150 * S, 160 * S);
        gaps.add(105 * S, 120 * S);
        gaps.add(155 * S, 155 * S);
        assert_eq!(within(&gaps), 30);
        gaps.open(115 * S);
        assert_eq!(within(&gaps), 100);
        gaps.close(170 * S);
        assert_eq!(within(&gaps), 70);
    }

    #[test]
    fn a_bounded_number_of_stretches_is_kept() {
        let mut gaps = Gaps::default();
        for n in 0..100 {
            gaps.make_room();
            gaps.add(n * S, n * S + 1);
        }
        assert_eq!(gaps.closed.len(), KEPT);
        assert_eq!(gaps.closed[0].0, 92 * S);
    }
}
