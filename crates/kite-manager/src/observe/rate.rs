//! Turns readings of a count into a rate.

use std::time::Duration;

use kite_conn::Stamp;

/// The shortest time between two readings that a rate is computed over.
const RATE_INTERVAL: Duration = Duration::from_millis(200);

/// Turns readings of a count into a rate.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rate {
    since: Stamp,
    count: u64,
    per_second: f64,
}

impl Rate {
    pub(crate) fn from(since: Stamp) -> Self {
        Self { since, count: 0, per_second: 0.0 }
    }

    /// Takes a reading; gives the rate since the last one that was long enough ago.
    pub(crate) fn update(&mut self, now: Stamp, count: u64) -> f64 {
        let interval = now.since(self.since);
        if interval >= RATE_INTERVAL {
            let per_second = count.saturating_sub(self.count) as f64 / interval.as_secs_f64();
            *self = Self { since: now, count, per_second };
        }
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_taken_over_an_interval_long_enough() {
        let start = Stamp::now();
        let later = |millis| Stamp::at(start.to_instant() + Duration::from_millis(millis));
        let mut rate = Rate::from(start);
        assert_eq!(rate.update(later(100), 50), 0.0);
        assert_eq!(rate.update(later(500), 100), 200.0);
        assert_eq!(rate.update(later(550), 900), 200.0);
        assert_eq!(rate.update(later(1_500), 100), 0.0);
    }
}
