//! Selects records and packets.

use std::collections::HashSet;

use kite_tape::Windows;
use kite_wire::Segment;
use kite_wire::ist::Day;
use kite_wire::tape::Gap;

/// The part of a tape to keep. Everything by default.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// The first time included, in nanoseconds since the Unix epoch.
    pub(crate) from_unix_ns: u64,
    /// The first time after it that is not included.
    pub(crate) to_unix_ns: Option<u64>,
    /// Parts of this range; `None` is all of it.
    pub(crate) windows: Option<Windows>,
    pub(crate) tokens: Option<HashSet<u32>>,
    pub(crate) tokens_by_day: Option<HashSet<(Day, u32)>>,
    pub(crate) segments: Option<Vec<Segment>>,
}

impl Selection {
    /// Returns whether a time is included.
    #[inline]
    pub(crate) fn covers(&self, unix_ns: u64) -> bool {
        self.from_unix_ns <= unix_ns
            && self.to_unix_ns.is_none_or(|to| unix_ns < to)
            && self.windows.as_ref().is_none_or(|windows| windows.contains(unix_ns))
    }

    /// Returns whether a gap recorded at `recv_unix_ns` overlaps the time range. A gap recorded
    /// after the range counts too, since its frames are missing from it.
    pub(crate) fn is_touched_by(&self, gap: &Gap, recv_unix_ns: u64) -> bool {
        let known = |unix_ns: u64| (unix_ns != 0).then_some(unix_ns);
        let from = known(gap.from_unix_ns).unwrap_or(recv_unix_ns);
        let to = known(gap.to_unix_ns).unwrap_or(recv_unix_ns).max(from);
        self.covers(recv_unix_ns) || self.overlaps(from, to)
    }

    /// Returns whether a time from `first` to `last`, both included, is included.
    pub(crate) fn overlaps(&self, first: u64, last: u64) -> bool {
        let begins_in_time = self.to_unix_ns.is_none_or(|end| first < end);
        let is_within = self.windows.as_ref().is_none_or(|windows| windows.overlap(first, last));
        begins_in_time && last >= self.from_unix_ns && is_within
    }

    /// Returns the instruments that were asked for, on any day.
    pub(crate) fn named(&self) -> HashSet<u32> {
        let by_day = self.tokens_by_day.iter().flatten().map(|&(_, token)| token);
        by_day.chain(self.tokens.iter().flatten().copied()).collect()
    }

    /// Returns whether an instrument is included at a time.
    #[inline]
    pub(crate) fn includes(&self, recv_unix_ns: u64, instrument_token: u32) -> bool {
        let segment = Segment::of_token(instrument_token);
        let on_day = |tokens: &HashSet<(Day, u32)>| {
            tokens.contains(&(Day::at_unix_ns(recv_unix_ns), instrument_token))
        };
        self.tokens_by_day.as_ref().is_none_or(on_day)
            && self.tokens.as_ref().is_none_or(|tokens| tokens.contains(&instrument_token))
            && self.segments.as_ref().is_none_or(|segments| segments.contains(&segment))
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::tape::GapReason;

    use super::*;

    fn gap(from_unix_ns: u64, to_unix_ns: u64) -> Gap {
        Gap { reason: GapReason::Lagged, from_unix_ns, to_unix_ns, frames: None }
    }

    #[test]
    fn the_end_of_the_time_range_is_excluded() {
        let selection =
            Selection { from_unix_ns: 10, to_unix_ns: Some(20), ..Selection::default() };
        assert_eq!([9, 10, 19, 20].map(|at| selection.covers(at)), [false, true, true, false]);
    }

    #[test]
    fn a_gap_is_included_if_it_overlaps_the_time_range() {
        let selection =
            Selection { from_unix_ns: 10, to_unix_ns: Some(20), ..Selection::default() };
        assert!(selection.is_touched_by(&gap(15, 30), 30), "recorded afterwards");
        assert!(selection.is_touched_by(&gap(1, 10), 10));
        assert!(selection.is_touched_by(&gap(0, 0), 12), "times unknown");
        assert!(selection.is_touched_by(&gap(5, 40), 40), "around it");
        assert!(!selection.is_touched_by(&gap(20, 30), 30));
        assert!(!selection.is_touched_by(&gap(1, 9), 9));
    }

    #[test]
    fn times_and_gaps_between_two_windows_are_excluded() {
        let windows = Some(Windows::new([10..20, 30..40]));
        let selection = Selection { windows, ..Selection::default() };
        assert_eq!([19, 20, 29, 30].map(|at| selection.covers(at)), [true, false, false, true]);
        assert!(selection.is_touched_by(&gap(22, 31), 31));
        assert!(selection.is_touched_by(&gap(19, 25), 25));
        assert!(!selection.is_touched_by(&gap(21, 29), 29));
    }

    #[test]
    fn tokens_and_segments_narrow_each_other() {
        let selection = Selection {
            tokens: Some(HashSet::from([0x101, 0x103])),
            segments: Some(vec![Segment::Nse]),
            ..Selection::default()
        };
        assert_eq!(
            [0x101, 0x103, 0x201].map(|token| selection.includes(0, token)),
            [true, false, false]
        );
        assert!(Selection::default().includes(0, 7));
    }

    #[test]
    fn a_token_is_included_on_its_days_only() {
        let (first, day_ns) = (Day::at_unix_ns(0), 86_400_000_000_000);
        let tokens_by_day = Some(HashSet::from([(first, 0x101)]));
        let selection = Selection { tokens_by_day, ..Selection::default() };
        assert!(selection.includes(0, 0x101) && !selection.includes(day_ns, 0x101));
        assert!(!selection.includes(0, 0x103));
    }
}
