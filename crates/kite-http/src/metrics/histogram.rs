//! Distributions with the few buckets of a histogram of Prometheus.

use kite_manager::Distribution;

const NANOS_PER_SECOND: f64 = 1e9;

/// Bounds for times within a process, in nanoseconds.
const NANOSECONDS: [u64; 15] = [
    5_000,
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    100_000_000,
    1_000_000_000,
    10_000_000_000,
];

/// Bounds for times in whole seconds. None is measured above a minute.
const SECONDS: [u64; 9] = [0, 1, 2, 3, 5, 10, 20, 30, 60];

/// The values of a distribution by buckets of seconds.
///
/// A distribution groups values that are no more than 3 % apart. A group counts for the bucket that
/// has all of it, so that a count is never too high, and the sum is at most 3 % too high.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Buckets {
    pub(super) sum: f64,
    pub(super) count: u64,
    /// For each upper bound, the number of values above the one before.
    pub(super) counts: Vec<(f64, u64)>,
}

impl Buckets {
    pub(super) fn of_nanoseconds(distribution: &Distribution) -> Self {
        Self::new(distribution.groups(), &NANOSECONDS, NANOS_PER_SECOND)
    }

    pub(super) fn of_seconds(distribution: &Distribution) -> Self {
        Self::new(distribution.groups(), &SECONDS, 1.0)
    }

    /// Sorts groups, each with its largest value and the number of its values, into buckets.
    fn new(groups: impl Iterator<Item = (u64, u64)>, bounds: &[u64], per_second: f64) -> Self {
        let (mut sum, mut count) = (0.0, 0);
        let mut counts: Vec<_> = bounds.iter().map(|&it| (it as f64 / per_second, 0)).collect();
        for (largest, values) in groups {
            sum += largest as f64 * values as f64 / per_second;
            count += values;
            let bucket = bounds.partition_point(|&bound| bound < largest);
            if let Some((_, counted)) = counts.get_mut(bucket) {
                *counted += values;
            }
        }
        Self { sum, count, counts }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_counts_for_the_first_bucket_that_has_all_of_it() {
        let groups = [(0, 1), (1, 2), (3, 4), (61, 8)];
        let Buckets { sum, count, counts } = Buckets::new(groups.into_iter(), &SECONDS, 1.0);
        assert_eq!((sum, count), (2.0 + 12.0 + 488.0, 15));
        let counts: Vec<_> = counts.into_iter().filter(|(_, values)| *values > 0).collect();
        assert_eq!(counts, [(0.0, 1), (1.0, 2), (3.0, 4)], "one above a minute has no bound");
    }

    #[test]
    fn nanoseconds_become_seconds() {
        let groups = [(5_000, 1), (5_001, 1), (2_000_000_000, 1)];
        let Buckets { sum, counts, .. } =
            Buckets::new(groups.into_iter(), &NANOSECONDS, NANOS_PER_SECOND);
        assert_eq!(counts[..2], [(0.000_005, 1), (0.000_01, 1)]);
        assert_eq!(counts[14], (10.0, 1));
        assert!((sum - 2.000_010_001).abs() < 1e-9, "{sum}");
    }
}
