//! How long ticks take from the socket's read to the application.

use std::time::Duration;

use hdrhistogram::Histogram;

/// Longer times count as this one.
const LONGEST_NS: u64 = 60_000_000_000;

/// A distribution of latencies, exact to three digits.
#[derive(Debug, Clone)]
pub(crate) struct Latency(Histogram<u64>);

impl Latency {
    #[expect(clippy::expect_used, reason = "the bounds are constants that hdrhistogram allows")]
    pub(crate) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_NS, 3).expect("lawful bounds"))
    }

    pub(crate) fn record(&mut self, latency: Duration) {
        self.0.saturating_record(u64::try_from(latency.as_nanos()).unwrap_or(u64::MAX));
    }

    #[expect(clippy::expect_used, reason = "all histograms here have the same bounds")]
    pub(crate) fn add(&mut self, other: &Self) {
        self.0.add(&other.0).expect("equal bounds");
    }

    pub(crate) fn clear(&mut self) {
        self.0.reset();
    }

    /// Gives the time that this share of the frames stayed below, from 0 to 1; `None` before the
    /// first.
    pub(crate) fn quantile(&self, share: f64) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.value_at_quantile(share)))
    }

    /// Gives the longest time; `None` before the first.
    pub(crate) fn longest(&self) -> Option<Duration> {
        (!self.0.is_empty()).then(|| Duration::from_nanos(self.0.max()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_those_of_what_was_recorded() {
        let mut latency = Latency::new();
        assert_eq!((latency.quantile(0.5), latency.longest()), (None, None));
        (1..=100).for_each(|micros| latency.record(Duration::from_micros(micros)));
        let median = latency.quantile(0.5).unwrap();
        assert!((Duration::from_nanos(49_900)..Duration::from_nanos(50_100)).contains(&median));

        let mut all = Latency::new();
        all.add(&latency);
        all.record(Duration::from_secs(3_600));
        assert!(all.longest().unwrap() >= Duration::from_secs(60));
        all.clear();
        assert_eq!(all.longest(), None);
    }
}
