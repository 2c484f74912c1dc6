//! A time of arrival, with what follows from it for every packet that arrived then.

use kite_wire::ist::{DAY_S, Day};

const NS_PER_S: u64 = 1_000_000_000;

/// A time of arrival. The packets of a frame share it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Moment {
    pub(crate) unix_ns: u64,
    pub(crate) unix_s: u64,
    pub(crate) day: Day,
    /// When the day starts, in Unix seconds.
    day_start_s: i64,
    /// The latest time that a packet which arrives now can have: a later one is wrong, or our clock
    /// is.
    pub(crate) latest_s: u64,
    /// The first and the last second of the day of arrival that are not too late to be right.
    plain_s: (u32, u32),
    /// Bars that end after this second are not late.
    late_s: u64,
}

impl Moment {
    pub(crate) fn new(unix_ns: u64, grace_ns: u64) -> Self {
        let day = Day::at_unix_ns(unix_ns);
        let day_start_s = day.start_unix_s();
        let latest_s = unix_ns.saturating_add(grace_ns) / NS_PER_S;
        let last_s = day_start_s.saturating_add(DAY_S - 1).min(latest_s.cast_signed());
        let first_s = u32::try_from(day_start_s.max(0));
        Self {
            unix_ns,
            unix_s: unix_ns / NS_PER_S,
            day,
            day_start_s,
            latest_s,
            // Days after 2106 have none that a packet can carry.
            plain_s: first_s
                .map_or((1, 0), |first_s| (first_s, u32::try_from(last_s).unwrap_or(u32::MAX))),
            late_s: unix_ns.saturating_sub(grace_ns) / NS_PER_S,
        }
    }

    /// Returns whether a time is on the day of arrival.
    #[inline]
    pub(crate) fn is_today(&self, unix_s: u32) -> bool {
        (0..DAY_S).contains(&(i64::from(unix_s) - self.day_start_s))
    }

    /// Returns whether two times are on the day of arrival and not too late to be right.
    #[inline]
    pub(crate) fn are_plain(&self, one_s: u32, other_s: u32) -> bool {
        let (first_s, last_s) = self.plain_s;
        first_s <= one_s.min(other_s) && one_s.max(other_s) <= last_s
    }

    /// Returns whether a packet that arrives now is too late for a bar that ends at this time.
    #[inline]
    pub(crate) fn is_late(&self, end_s: u32) -> bool {
        u64::from(end_s) <= self.late_s
    }

    /// Returns the day of a time.
    #[inline]
    pub(crate) fn day_of(&self, unix_s: u32) -> Day {
        if self.is_today(unix_s) { self.day } else { Day::at_unix_s(unix_s.into()) }
    }

    /// Returns when the next day starts, in Unix nanoseconds.
    pub(crate) fn next_day_unix_ns(&self) -> u64 {
        let next_s = u64::try_from(self.day_start_s.saturating_add(DAY_S)).unwrap_or(0);
        next_s.saturating_mul(NS_PER_S)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn days_are_those_of_the_calendar(unix_ns: u64, unix_s: u32, near: bool) {
            let unix_s = if near { (unix_ns / NS_PER_S) as u32 } else { unix_s };
            let moment = Moment::new(unix_ns, 0);
            prop_assert_eq!(moment.day_of(unix_s), Day::at_unix_s(unix_s.into()));
            prop_assert_eq!(moment.is_today(unix_s), Day::at_unix_s(unix_s.into()) == moment.day);
            let is_plain = moment.is_today(unix_s) && u64::from(unix_s) <= moment.latest_s;
            prop_assert_eq!(moment.are_plain(unix_s, unix_s), is_plain);
            let next = moment.next_day_unix_ns();
            prop_assert!(unix_ns < next);
            prop_assert!(next == u64::MAX || Day::at_unix_ns(next) > moment.day);
            prop_assert_eq!(Day::at_unix_ns(next - 1), moment.day);
        }
    }
}
