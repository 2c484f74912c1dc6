//! Detects that the machine slept, from the wall clock running ahead of the monotonic one.
//!
//! A wall clock that is set forward looks the same, and costs only a needless ping.

use std::time::{Duration, Instant, SystemTime};

/// Compares the clocks from one reading to the next.
#[derive(Debug)]
pub(crate) struct SuspensionWatch {
    threshold: Duration,
    last: Option<(Instant, SystemTime)>,
}

impl SuspensionWatch {
    pub(crate) fn new(threshold: Duration) -> Self {
        Self { threshold, last: None }
    }

    /// Compares both clocks with the last reading. Returns how far the wall clock outran the
    /// monotonic one, if that is the threshold or more.
    pub(crate) fn look(&mut self, monotonic: Instant, wall: SystemTime) -> Option<Duration> {
        let (monotonic_before, wall_before) = self.last.replace((monotonic, wall))?;
        // A wall clock that was set back counts as zero.
        let by_wall = wall.duration_since(wall_before).unwrap_or_default();
        let slept = by_wall.saturating_sub(monotonic.saturating_duration_since(monotonic_before));
        (slept >= self.threshold).then_some(slept)
    }

    /// Forgets the last reading, because a sleep until the next one does not matter.
    pub(crate) fn forget(&mut self) {
        self.last = None;
    }

    /// Returns when the clocks were last compared.
    pub(crate) fn last_look(&self) -> Option<Instant> {
        self.last.map(|(monotonic, _)| monotonic)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_wall_clock_ahead_by_the_threshold_means_sleep() {
        let (monotonic, wall) = (Instant::now(), SystemTime::now());
        let mut watch = SuspensionWatch::new(SECOND * 10);
        assert_eq!(watch.look(monotonic, wall), None, "nothing to compare with");
        assert_eq!(watch.look(monotonic + SECOND, wall + SECOND), None);
        // Corrected by some seconds, then set back by an hour.
        assert_eq!(watch.look(monotonic + SECOND * 2, wall + SECOND * 11), None);
        assert_eq!(watch.look(monotonic + SECOND * 3, wall - SECOND * 3_600), None);
        let woken = wall - SECOND * 3_600 + SECOND * 400;
        assert_eq!(watch.look(monotonic + SECOND * 4, woken), Some(SECOND * 399));
        assert_eq!(watch.look(monotonic + SECOND * 5, woken + SECOND), None, "reported once");
    }

    #[test]
    fn steps_below_the_threshold_do_not_add_up() {
        let (monotonic, wall) = (Instant::now(), SystemTime::now());
        let mut watch = SuspensionWatch::new(SECOND * 10);
        for step in 0..100 {
            assert_eq!(watch.look(monotonic + SECOND * step, wall + SECOND * step * 9), None);
        }
    }
}
