//! Detects that the machine slept.
//!
//! Where the system does not say how long it slept, sleep is a wall clock that runs ahead of the
//! monotonic one. A wall clock that is set forward looks the same, and costs only a needless ping.

use std::time::Duration;

use crate::wall_time::Reading;

/// Compares the clocks from one reading to the next.
#[derive(Debug)]
pub(crate) struct SuspensionWatch {
    threshold: Duration,
    last: Option<Reading>,
}

impl SuspensionWatch {
    pub(crate) fn new(threshold: Duration) -> Self {
        Self { threshold, last: None }
    }

    /// Compares the clocks with the last reading. Returns how long the machine slept in between, if
    /// that is the threshold or more.
    pub(crate) fn look(&mut self, reading: &Reading) -> Option<Duration> {
        let before = self.last.replace(*reading)?;
        let slept = match before.asleep.zip(reading.asleep) {
            Some((before, now)) => now.saturating_sub(before),
            None => {
                // A wall clock that was set back counts as zero.
                let by_wall = reading.wall.duration_since(before.wall).unwrap_or_default();
                by_wall.saturating_sub(reading.at.since(before.at))
            }
        };
        (slept >= self.threshold).then_some(slept)
    }

    /// Forgets the last reading, because a sleep until the next one does not matter.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// Returns whether there is a reading to compare with.
    pub(crate) fn is_watching(&self) -> bool {
        self.last.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;
    use crate::clock::Stamp;

    /// A reading after this many seconds awake.
    fn reading(awake_s: u64, unix_s: u64, asleep_s: Option<u64>) -> Reading {
        Reading {
            at: Stamp::from_nanos(1 + awake_s * 1_000_000_000),
            wall: UNIX_EPOCH + Duration::from_secs(unix_s),
            asleep: asleep_s.map(Duration::from_secs),
            spread: Duration::ZERO,
        }
    }

    fn watch() -> SuspensionWatch {
        SuspensionWatch::new(Duration::from_secs(10))
    }

    #[test]
    fn only_time_asleep_by_the_threshold_means_sleep() {
        let mut watch = watch();
        assert_eq!(watch.look(&reading(0, 5_000, Some(70))), None, "nothing to compare with");
        // The wall clock is set forward, and back.
        assert_eq!(watch.look(&reading(1, 9_000, Some(70))), None);
        assert_eq!(watch.look(&reading(2, 1_000, Some(79))), None);
        let slept = watch.look(&reading(3, 1_000, Some(478)));
        assert_eq!(slept, Some(Duration::from_secs(399)));
        assert_eq!(watch.look(&reading(4, 1_400, Some(478))), None, "reported once");
        watch.forget();
        assert_eq!(watch.look(&reading(5, 1_401, Some(900))), None, "it did not matter");
    }

    #[test]
    fn without_a_boot_clock_a_wall_clock_ahead_by_the_threshold_means_sleep() {
        let mut watch = watch();
        assert_eq!(watch.look(&reading(0, 5_000, None)), None, "nothing to compare with");
        assert_eq!(watch.look(&reading(1, 5_001, None)), None);
        // Corrected by some seconds, then set back by an hour.
        assert_eq!(watch.look(&reading(2, 5_011, None)), None);
        assert_eq!(watch.look(&reading(3, 1_411, None)), None);
        let slept = watch.look(&reading(4, 1_811, None));
        assert_eq!(slept, Some(Duration::from_secs(399)));
        assert_eq!(watch.look(&reading(5, 1_812, None)), None, "reported once");
    }

    #[test]
    fn times_below_the_threshold_do_not_add_up() {
        for asleep in [false, true] {
            let mut watch = watch();
            for step in 0..100 {
                let slept = asleep.then_some(step * 9);
                assert_eq!(watch.look(&reading(step, step * 9, slept)), None);
            }
        }
    }
}
