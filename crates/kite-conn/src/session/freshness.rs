//! Decides whether ticks are stale on a socket that lives.
//!
//! Never a reason to reconnect: markets close, and instruments rest. It is told, once, and so is
//! its end, on whichever socket that comes.

use std::time::{Duration, Instant};

/// Watches how long no ticks came, while any are wanted.
#[derive(Debug, Clone)]
pub(crate) struct Freshness {
    stale_after: Duration,
    /// Since when ticks could be expected and did not come.
    expected_since: Instant,
    /// Since when ticks are stale, if that was told.
    stale_since: Option<Instant>,
}

impl Freshness {
    pub(crate) fn new(now: Instant, stale_after: Duration) -> Self {
        Self { stale_after, expected_since: now, stale_since: None }
    }

    /// Ticks came. Gives how long none had come, if that was told.
    pub(crate) fn on_ticks(&mut self, now: Instant) -> Option<Duration> {
        self.expected_since = now;
        self.stale_since.take().map(|since| now.saturating_duration_since(since))
    }

    /// Counts from now on: until now nobody could expect ticks.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.expected_since = now;
    }

    /// Gives how long no ticks came, once they are stale.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.expected_since);
        if self.stale_since.is_some() || silence < self.stale_after {
            return None;
        }
        self.stale_since = Some(self.expected_since);
        Some(silence)
    }

    /// Gives when to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.stale_since.is_none().then(|| self.expected_since + self.stale_after)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn staleness_is_told_once_and_its_end_too() {
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
    fn a_restart_counts_anew_and_owes_the_end_of_what_was_told() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut freshness = Freshness::new(start, second * 30);
        freshness.restart(start + second * 20);
        assert_eq!(freshness.check(start + second * 49), None);
        assert_eq!(freshness.check(start + second * 50), Some(second * 30));
        freshness.restart(start + second * 60);
        assert_eq!(freshness.on_ticks(start + second * 70), Some(second * 50));
    }
}
