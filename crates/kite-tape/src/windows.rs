//! Several stretches of time, such as the trading hours of some days.

use std::ops::Range;

/// Stretches of time in nanoseconds since the Unix epoch: in ascending order, apart from each other,
/// none of them empty.
///
/// ```
/// use kite_tape::Windows;
///
/// let windows = Windows::new([30..40, 10..20, 20..25]);
/// assert!(windows.iter().eq([10..25, 30..40]));
/// assert_eq!([9, 10, 25, 39].map(|time| windows.contains(time)), [false, true, false, true]);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Range<u64>>);

impl Windows {
    /// Orders the windows and joins those that overlap or touch. Empty ones are dropped.
    #[must_use]
    pub fn new(windows: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut sorted: Vec<_> = windows.into_iter().filter(|window| !window.is_empty()).collect();
        sorted.sort_unstable_by_key(|window| window.start);
        let mut joined: Vec<Range<u64>> = Vec::with_capacity(sorted.len());
        for window in sorted {
            match joined.last_mut() {
                Some(last) if window.start <= last.end => last.end = last.end.max(window.end),
                _ => joined.push(window),
            }
        }
        Self(joined)
    }

    /// Returns the index of the window that contains a time.
    #[must_use]
    pub fn position(&self, unix_ns: u64) -> Option<usize> {
        let index = self.0.partition_point(|window| window.end <= unix_ns);
        self.0.get(index).is_some_and(|window| window.start <= unix_ns).then_some(index)
    }

    /// Returns whether one of the windows contains a time.
    #[must_use]
    pub fn contains(&self, unix_ns: u64) -> bool {
        self.position(unix_ns).is_some()
    }

    /// Returns whether one of the windows has a time from `first` to `last`, both included.
    #[must_use]
    pub fn overlap(&self, first: u64, last: u64) -> bool {
        let index = self.0.partition_point(|window| window.end <= first);
        self.0.get(index).is_some_and(|window| window.start <= last)
    }

    /// Returns the start of the first window and the end of the last; `None` without windows.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        Some((self.0.first()?.start, self.0.last()?.end))
    }

    /// Iterates over the windows in ascending order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Range<u64>> + '_ {
        self.0.iter().cloned()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_time_is_contained_if_any_of_the_given_windows_contains_it(
            given in prop::collection::vec((0_u64..50, 0_u64..50).prop_map(|(a, b)| a..b), 0..8),
            first in 0_u64..60,
            len in 0_u64..10,
        ) {
            let windows = Windows::new(given.clone());
            let contains = |time: u64| given.iter().any(|window| window.contains(&time));
            prop_assert_eq!(windows.contains(first), contains(first));
            let last = first + len;
            prop_assert_eq!(windows.overlap(first, last), (first..=last).any(contains));
            let all: Vec<_> = windows.iter().collect();
            prop_assert!(all.windows(2).all(|pair| pair[0].end < pair[1].start));
            for (index, window) in all.iter().enumerate() {
                prop_assert_eq!(windows.position(window.start), Some(index));
            }
        }
    }
}
