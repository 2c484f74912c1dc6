//! Distributions of per-frame measurements: written by one task, read by any.

use histogram::{AtomicHistogram, Config, Histogram};

/// Each power of two has 32 groups, so a value read is at most 3 % above the one recorded.
const GROUPING_POWER: u8 = 5;
/// Values up to 2^42, which is 73 minutes in nanoseconds. Larger ones count as this.
const MAX_VALUE_POWER: u8 = 42;
const MAX_VALUE: u64 = (1 << MAX_VALUE_POWER) - 1;

/// A histogram: the number of occurrences of each value, in groups of values no more than 3 %
/// apart.
#[derive(Debug, Clone, PartialEq)]
pub struct Distribution {
    counts: Histogram,
}

impl Default for Distribution {
    fn default() -> Self {
        Self { counts: Histogram::with_config(&config()) }
    }
}

impl Distribution {
    /// Returns the number of values.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.as_slice().iter().sum()
    }

    /// Returns the value that a share of the values, from 0 to 1, does not exceed, at most 3 % too
    /// high; `None` if there are no values or `share` is outside its range.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        self.counts.quantile_bucket(share).ok().flatten().map(|bucket| bucket.end())
    }

    /// Returns the groups that have values, in ascending order: the largest value of each and the
    /// number of its values.
    pub fn groups(&self) -> impl Iterator<Item = (u64, u64)> {
        let groups = self.counts.into_iter().filter(|group| group.count() > 0);
        groups.map(|group| (group.end(), group.count()))
    }

    /// Adds the values of another distribution.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        // Both have the same configuration, and no count comes near overflowing.
        let counts = self.counts.wrapping_add(&other.counts);
        Self { counts: counts.unwrap_or_else(|_| self.counts.clone()) }
    }
}

/// The writing side of a [`Distribution`].
#[derive(Debug)]
pub(crate) struct Recorder {
    counts: AtomicHistogram,
}

impl Default for Recorder {
    fn default() -> Self {
        Self { counts: AtomicHistogram::with_config(&config()) }
    }
}

impl Recorder {
    #[inline]
    pub(crate) fn record(&self, value: u64) {
        // Cannot fail within the largest value.
        let _ = self.counts.increment(value.min(MAX_VALUE));
    }

    pub(crate) fn read(&self) -> Distribution {
        Distribution { counts: self.counts.load() }
    }
}

#[expect(clippy::expect_used, reason = "the powers are constants that a test uses")]
fn config() -> Config {
    Config::new(GROUPING_POWER, MAX_VALUE_POWER).expect("5 is below 42, and 42 below 64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_three_percent_too_high() {
        let recorder = Recorder::default();
        for value in 1..=100_000 {
            recorder.record(value);
        }
        let read = recorder.read();
        assert_eq!(read.count(), 100_000);
        for (share, value) in [(0.5, 50_000.0), (0.99, 99_000.0), (0.999, 99_900.0), (1.0, 1e5)] {
            let quantile = read.quantile(share).unwrap() as f64;
            assert!(quantile >= value && quantile <= value * 1.04, "{share}: {quantile}");
        }
        assert_eq!(read.quantile(1.5), None);
    }

    #[test]
    fn values_above_the_largest_count_as_the_largest() {
        let recorder = Recorder::default();
        recorder.record(u64::MAX);
        recorder.record(0);
        assert_eq!(recorder.read().quantile(1.0), Some(MAX_VALUE));
        assert_eq!(recorder.read().quantile(0.0), Some(0));
        assert_eq!(Distribution::default().quantile(0.5), None);
    }

    #[test]
    fn groups_have_all_values() {
        let recorder = Recorder::default();
        for value in [0, 7, 7, 1_000, u64::MAX] {
            recorder.record(value);
        }
        let groups: Vec<_> = recorder.read().groups().collect();
        assert_eq!((&groups[..2], groups.len()), (&[(0, 1), (7, 2)][..], 4));
        assert!((1_000..1_031).contains(&groups[2].0) && groups[2].1 == 1);
        assert_eq!(groups[3], (MAX_VALUE, 1));
    }

    #[test]
    fn distributions_add_up() {
        let (one, other) = (Recorder::default(), Recorder::default());
        one.record(10);
        other.record(20);
        other.record(30);
        let both = one.read().merged(&other.read());
        assert_eq!((both.count(), both.quantile(1.0)), (3, Some(30)));
    }
}
