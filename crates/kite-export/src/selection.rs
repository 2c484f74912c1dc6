//! Which records and packets are wanted.

use std::collections::HashSet;

use kite_wire::Segment;
use kite_wire::tape::Gap;

/// What to keep of a tape. Everything, unless something is named.
#[derive(Debug, Clone, Default)]
pub(crate) struct Selection {
    /// The first moment wanted, in nanoseconds since the Unix epoch.
    pub(crate) from_unix_ns: u64,
    /// The first moment after it that is not.
    pub(crate) to_unix_ns: Option<u64>,
    pub(crate) tokens: Option<HashSet<u32>>,
    pub(crate) segments: Option<Vec<Segment>>,
}

impl Selection {
    /// Says whether the time is wanted.
    #[inline]
    pub(crate) fn covers(&self, unix_ns: u64) -> bool {
        self.from_unix_ns <= unix_ns && self.to_unix_ns.is_none_or(|to| unix_ns < to)
    }

    /// Says whether a gap noted at `recv_unix_ns` reaches into the time wanted. One that was noted
    /// later counts as much: its frames are missing all the same.
    pub(crate) fn is_touched_by(&self, gap: &Gap, recv_unix_ns: u64) -> bool {
        let known = |unix_ns: u64| (unix_ns != 0).then_some(unix_ns);
        let from = known(gap.from_unix_ns).unwrap_or(recv_unix_ns);
        let to = known(gap.to_unix_ns).unwrap_or(recv_unix_ns).max(from);
        let begins_in_time = self.to_unix_ns.is_none_or(|end| from < end);
        self.covers(recv_unix_ns) || (begins_in_time && to >= self.from_unix_ns)
    }

    /// Says whether the instrument is wanted.
    #[inline]
    pub(crate) fn wants(&self, instrument_token: u32) -> bool {
        let segment = Segment::of_token(instrument_token);
        self.tokens.as_ref().is_none_or(|tokens| tokens.contains(&instrument_token))
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
    fn the_end_of_the_time_is_not_in_it() {
        let selection =
            Selection { from_unix_ns: 10, to_unix_ns: Some(20), ..Selection::default() };
        assert_eq!([9, 10, 19, 20].map(|at| selection.covers(at)), [false, true, true, false]);
    }

    #[test]
    fn a_gap_is_wanted_wherever_it_overlaps_the_time() {
        let selection =
            Selection { from_unix_ns: 10, to_unix_ns: Some(20), ..Selection::default() };
        assert!(selection.is_touched_by(&gap(15, 30), 30), "noted afterwards");
        assert!(selection.is_touched_by(&gap(1, 10), 10));
        assert!(selection.is_touched_by(&gap(0, 0), 12), "times not known");
        assert!(selection.is_touched_by(&gap(5, 40), 40), "around it");
        assert!(!selection.is_touched_by(&gap(20, 30), 30));
        assert!(!selection.is_touched_by(&gap(1, 9), 9));
    }

    #[test]
    fn tokens_and_segments_narrow_each_other() {
        let selection = Selection {
            tokens: Some(HashSet::from([0x101, 0x103])),
            segments: Some(vec![Segment::Nse]),
            ..Selection::default()
        };
        assert_eq!([0x101, 0x103, 0x201].map(|token| selection.wants(token)), [true, false, false]);
        assert!(Selection::default().wants(7));
    }
}
