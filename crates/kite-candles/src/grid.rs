//! Which bar a second of a day belongs to.

use kite_wire::UnixSeconds;
use kite_wire::ist::{DAY_S, Day};

use crate::every::Every;
use crate::session::Session;

/// The interval of a bar, without its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Slot {
    pub(crate) start: UnixSeconds,
    pub(crate) end: UnixSeconds,
}

/// How days are cut into bars.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Grid {
    pub(crate) every: Every,
    pub(crate) pre_open: bool,
}

impl Grid {
    /// Returns the bar of a second of a day with this session, `None` outside the session. A day's
    /// bar has all seconds of the day.
    pub(crate) fn slot(self, day: Day, session: Session, unix_s: u64) -> Option<Slot> {
        let midnight = day.start_unix_s();
        let of_day = i64::try_from(unix_s).ok()?.checked_sub(midnight)?;
        let of_day = u32::try_from(of_day).ok().filter(|of_day| i64::from(*of_day) < DAY_S)?;
        let (start, end) = self.of_day(session, of_day)?;
        let unix = |of_day| u32::try_from(midnight + i64::from(of_day)).ok().map(UnixSeconds);
        Some(Slot { start: unix(start)?, end: unix(end)? })
    }

    /// Returns the part of a bar in which the instrument trades: all of it, but of a day's bar the
    /// session and its pre-open.
    pub(crate) fn watched(self, slot: Slot, day: Day, session: Session) -> Slot {
        if self.every != Every::DAY {
            return slot;
        }
        let midnight = day.start_unix_s();
        let unix = |of_day: u32| u32::try_from(midnight + i64::from(of_day)).ok().map(UnixSeconds);
        let start = unix(session.pre_open_s()).unwrap_or(slot.start);
        Slot { start, end: unix(session.close_s()).unwrap_or(slot.end) }
    }

    fn of_day(self, session: Session, second: u32) -> Option<(u32, u32)> {
        if self.every == Every::DAY {
            return Some((0, self.every.as_secs()));
        }
        let (open, close) = (session.open_s(), session.close_s());
        let (from, to) = if (open..close).contains(&second) {
            (open, close)
        } else if self.pre_open && (session.pre_open_s()..open).contains(&second) {
            (session.pre_open_s(), open)
        } else {
            return None;
        };
        let every = self.every.as_secs();
        let start = second - (second - from) % every;
        Some((start, (start + every).min(to)))
    }

    /// Returns when the pre-open starts, in Unix seconds.
    #[inline]
    pub(crate) fn pre_open_s(self, day: Day, session: Session) -> i64 {
        day.start_unix_s() + i64::from(session.pre_open_s())
    }

    /// Returns when the first trades of bars can be seen, in Unix seconds.
    pub(crate) fn first_s(self, day: Day, session: Session) -> i64 {
        let pre_open = self.pre_open || self.every == Every::DAY;
        let of_day = if pre_open { session.pre_open_s() } else { session.open_s() };
        day.start_unix_s() + i64::from(of_day)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const OPEN: u32 = 9 * 3600 + 15 * 60;
    const CLOSE: u32 = 15 * 3600 + 30 * 60;

    fn nse() -> Session {
        Session::new((9, 15), (15, 30)).unwrap().with_pre_open((9, 0)).unwrap()
    }

    fn of_day(every: u32, pre_open: bool, second: u32) -> Option<(u32, u32)> {
        Grid { every: Every::from_secs(every).unwrap(), pre_open }.of_day(nse(), second)
    }

    #[test]
    fn bars_are_aligned_to_the_session_and_left_closed() {
        assert_eq!(of_day(3600, false, OPEN), Some((OPEN, OPEN + 3600)));
        assert_eq!(of_day(3600, false, OPEN + 3599), Some((OPEN, OPEN + 3600)));
        assert_eq!(of_day(3600, false, OPEN + 3600), Some((OPEN + 3600, OPEN + 7200)));
        assert_eq!((of_day(60, false, OPEN - 1), of_day(60, false, CLOSE)), (None, None));
    }

    #[test]
    fn the_last_bar_of_a_length_that_does_not_divide_the_session_is_short() {
        assert_eq!(of_day(3600, false, CLOSE - 1), Some((CLOSE - 900, CLOSE)));
        assert_eq!(of_day(7 * 3600, false, CLOSE - 1), Some((OPEN, CLOSE)));
    }

    #[test]
    fn a_pre_open_has_bars_of_its_own_by_choice() {
        assert_eq!(of_day(60, true, OPEN - 60), Some((OPEN - 60, OPEN)));
        assert_eq!(of_day(600, true, OPEN - 1), Some((OPEN - 300, OPEN)), "short before the open");
        assert_eq!(of_day(600, true, OPEN), of_day(600, false, OPEN));
        assert_eq!(of_day(60, true, 9 * 3600 - 1), None);
    }

    #[test]
    fn a_days_bar_has_the_whole_day() {
        for second in [0, OPEN, CLOSE, 86_399] {
            assert_eq!(of_day(86_400, false, second), Some((0, 86_400)));
        }
    }

    proptest! {
        #[test]
        fn bars_cover_the_session_without_overlap(every in 1_u32..86_400, second in 0_u32..86_400) {
            let slot = of_day(every, false, second);
            prop_assert_eq!(slot.is_some(), (OPEN..CLOSE).contains(&second));
            if let Some((start, end)) = slot {
                prop_assert!(start <= second && second < end && end - start <= every && end <= CLOSE);
                prop_assert_eq!(of_day(every, false, start), slot);
                prop_assert_eq!(of_day(every, false, end - 1), slot);
                let next = of_day(every, false, end).map(|(start, _)| start);
                prop_assert_eq!(next, (end < CLOSE).then_some(end));
            }
        }
    }
}
