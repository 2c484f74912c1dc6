//! Remembers which values have been reported, to report changes rarely.
//!
//! Performs no I/O; the caller passes in the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Values that change while a relay runs, by name.
#[derive(Debug)]
pub(super) struct Reported<V> {
    /// How often the changes of a value are reported.
    every: Duration,
    /// Each value at its last report, and when that was.
    last: BTreeMap<String, (V, Instant)>,
}

impl<V: Clone + Default + PartialEq> Reported<V> {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, last: BTreeMap::new() }
    }

    /// Returns whether a value is to be reported now, and if so what it was at its last report: the
    /// first change is reported without delay, then one for each interval with further changes.
    pub(super) fn due(&mut self, name: &str, value: &V, now: Instant) -> Option<V> {
        let (before, at) = match self.last.get(name) {
            Some((before, at)) => (before.clone(), Some(*at)),
            None => (V::default(), None),
        };
        let is_due = at.is_none_or(|at| now.duration_since(at) >= self.every);
        if !is_due || before == *value {
            return None;
        }
        self.last.insert(name.to_owned(), (value.clone(), now));
        Some(before)
    }
}
