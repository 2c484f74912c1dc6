//! Decides whether ticks are stale on a live socket.
//!
//! Staleness is never a reason to reconnect, because markets close and instruments may be idle. It
//! is reported once, and so is its end, on whichever socket the next ticks arrive.

use std::time::{Duration, Instant};

/// Measures the time without ticks while any are expected.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    stale_after: Duration,
    /// Since when ticks have been expected without arriving.
    expected_since: Instant,
    /// Since when ticks have been stale, if that was reported.
    stale_since: Option<Instant>,
}

impl Freshness {
    pub(crate) fn new(now: Instant, stale_after: Duration) -> Self {
        Self { stale_after, expected_since: now, stale_since: None }
    }

    /// Handles ticks. Returns the time without ticks, if it was reported.
    pub(crate) fn on_ticks(&mut self, now: Instant) -> Option<Duration> {
        self.expected_since = now;
        self.stale_since.take().map(|since| now.saturating_duration_since(since))
    }

    /// Starts counting now, because no ticks could be expected before.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.expected_since = now;
    }

    /// Returns the time without ticks when they become stale.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.expected_since);
        if self.stale_since.is_some() || silence < self.stale_after {
            return None;
        }
        self.stale_since = Some(self.expected_since);
        Some(silence)
    }

    /// Returns when to check again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stale_since.is_none().then(|| self.expected_since + self.stale_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness_and_its_end_are_each_reported_once() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut freshness = Freshness::new(start, second * 30);
        assert_eq!(freshness.check(start + second * 29), None);
        assert_eq!(freshness.due(), Some(start + second * 30));
        assert_eq!(freshness.check(start + second * 31), Some(second * 31));
        assert_eq!((freshness.check(start + second * 90), freshness.due()), (None, None));
        assert_eq!(freshness.on_ticks(start + second * 100), Some(second * 100));
        assert_eq!(freshness.on_ticks(start + second * 101), None);
        assert_eq!(freshness.due(), Some(start + second * 131));
    }

    #[test]
    fn a_restart_counts_again_and_still_reports_the_end_of_staleness() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut freshness = Freshness::new(start, second * 30);
        freshness.restart(start + second * 20);
        assert_eq!(freshness.check(start + second * 49), None);
        assert_eq!(freshness.check(start + second * 50), Some(second * 30));
        freshness.restart(start + second * 60);
        assert_eq!(freshness.on_ticks(start + second * 70), Some(second * 50));
    }
}
