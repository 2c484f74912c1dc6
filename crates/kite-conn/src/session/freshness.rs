//! Decides whether ticks are stale on a socket that lives.
//!
//! Never a reason to reconnect: markets close, and instruments rest. It is told, once.

use std::time::{Duration, Instant};

/// Watches how long no ticks came, while any are wanted.
#[derive(Debug)]
pub(crate) struct Freshness {
    stale_after: Duration,
    last_ticks: Instant,
    told: bool,
}

impl Freshness {
    pub(crate) fn new(now: Instant, stale_after: Duration) -> Self {
        Self { stale_after, last_ticks: now, told: false }
    }

    /// Ticks came. Gives how long none had come, if that was told.
    pub(crate) fn on_ticks(&mut self, now: Instant) -> Option<Duration> {
        let before = std::mem::replace(&mut self.last_ticks, now);
        std::mem::take(&mut self.told).then(|| now.saturating_duration_since(before))
    }

    /// Counts from now on: until now nobody could expect ticks.
    pub(crate) fn restart(&mut self, now: Instant) {
        self.last_ticks = now;
        self.told = false;
    }

    /// Gives how long no ticks came, once they are stale.
    pub(crate) fn check(&mut self, now: Instant) -> Option<Duration> {
        let silence = now.saturating_duration_since(self.last_ticks);
        if self.told || silence < self.stale_after {
            return None;
        }
        self.told = true;
        Some(silence)
    }

    /// Gives when to look again.
    pub(crate) fn due(&self) -> Option<Instant> {
        (!self.told).then(|| self.last_ticks + self.stale_after)
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
    fn a_restart_forgets_the_silence_before() {
        let (start, second) = (Instant::now(), Duration::from_secs(1));
        let mut freshness = Freshness::new(start, second * 30);
        freshness.check(start + second * 40);
        freshness.restart(start + second * 50);
        assert_eq!(freshness.on_ticks(start + second * 60), None);
        assert_eq!(freshness.check(start + second * 89), None);
    }
}
