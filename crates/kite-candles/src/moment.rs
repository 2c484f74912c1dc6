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
}

impl Moment {
    pub(crate) fn new(unix_ns: u64, grace_ns: u64) -> Self {
        let day = Day::at_unix_ns(unix_ns);
        Self {
            unix_ns,
            unix_s: unix_ns / NS_PER_S,
            day,
            day_start_s: day.start_unix_s(),
            latest_s: unix_ns.saturating_add(grace_ns) / NS_PER_S,
        }
    }

    /// Returns whether a time is on the day of arrival.
    #[inline]
    pub(crate) fn is_today(&self, unix_s: u32) -> bool {
        (0..DAY_S).contains(&(i64::from(unix_s) - self.day_start_s))
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
            let next = moment.next_day_unix_ns();
            prop_assert!(unix_ns < next);
            prop_assert!(next == u64::MAX || Day::at_unix_ns(next) > moment.day);
            prop_assert_eq!(Day::at_unix_ns(next - 1), moment.day);
        }
    }
}
