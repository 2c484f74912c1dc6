//! A seeded generator that is stable across releases, so that drawn faults repeat.

use std::time::Duration;

use crate::hash::mix;
use crate::time::FOREVER;

/// A stream of numbers that depends only on its seed.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: mix(seed) }
    }

    /// Creates a socket's generator from the seed, the account and the socket's number. Each socket
    /// has its own stream, so the interleaving of tasks does not matter.
    pub(crate) fn of_socket(seed: u64, api_key: &str, number: u64) -> Self {
        let fold = |key: u64, byte| mix(key ^ u64::from(byte));
        Self::new(mix(api_key.bytes().fold(mix(seed), fold)) ^ number)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Returns a number below `end`, which must be at least 1.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        // The modulo bias is far too small to matter here.
        (self.next() % end.max(1) as u64) as usize
    }

    /// Returns one of the items; `None` if there are no items.
    pub(crate) fn one_of<T: Copy>(&mut self, items: &[T]) -> Option<T> {
        items.get(self.below(items.len())).copied()
    }

    /// Returns a number from 0 (inclusive) to 1 (exclusive).
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Returns a time up to `longest`.
    pub(crate) fn up_to(&mut self, longest: Duration) -> Duration {
        longest.min(FOREVER).mul_f64(self.unit())
    }

    /// Returns an exponentially distributed interval, at most twenty times the mean.
    pub(crate) fn interval(&mut self, mean: Duration) -> Duration {
        let unit = self.unit();
        mean.mul_f64((-(1.0 - unit).ln()).min(20.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ_by_account_and_number() {
        let first = |seed, key, number| Random::of_socket(seed, key, number).next();
        assert_eq!(first(1, "key", 1), first(1, "key", 1));
        assert_ne!(first(1, "key", 1), first(2, "key", 1));
        assert_ne!(first(1, "key", 1), first(1, "kez", 1));
        assert_ne!(first(1, "key", 1), first(1, "key", 2));
    }

    #[test]
    fn intervals_have_their_mean() {
        let mut random = Random::new(7);
        let mean = Duration::from_millis(100);
        let sum: Duration = (0..10_000).map(|_| random.interval(mean)).sum();
        let found = sum / 10_000;
        assert!((mean * 95 / 100..mean * 105 / 100).contains(&found), "{found:?}");
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut random = Random::new(1);
        let longest = Duration::from_millis(3);
        for _ in 0..1_000 {
            assert!(random.below(7) < 7);
            assert!(random.up_to(longest) <= longest);
        }
        assert_eq!(random.one_of::<u8>(&[]), None);
    }
}
