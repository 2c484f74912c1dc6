//! Decides when something that clients can repeat at will is logged.
//!
//! Performs no I/O and reads no clock; the caller passes in the time and logs.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::{Duration, Instant};

/// How often the same thing is logged.
const PERIOD: Duration = Duration::from_secs(60);

/// Keys that are remembered. Further ones are counted together, so that one who has a network of
/// addresses cannot fill the log either.
const MAX_KEYS: usize = 1_024;

/// Events to be logged as one line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line<E> {
    /// The number of events, if there are several.
    pub(crate) count: Option<u64>,
    /// True if the events are those of the keys that were too many to be remembered.
    pub(crate) others: Option<bool>,
    pub(crate) last: E,
}

/// Repeated events by key, such as the address they come from. The first event of a key is logged
/// immediately, further ones together, once a minute.
#[derive(Debug)]
pub(crate) struct Repeats<K, E> {
    /// At most [`MAX_KEYS`], and `None` for all other keys.
    keys: HashMap<Option<K>, Key<E>>,
}

#[derive(Debug)]
struct Key<E> {
    logged: Instant,
    /// The number of events since then, and the last one.
    more: Option<(u64, E)>,
}

impl<K: Eq + Hash, E> Default for Repeats<K, E> {
    fn default() -> Self {
        Self { keys: HashMap::new() }
    }
}

impl<K: Eq + Hash, E> Repeats<K, E> {
    /// Counts an event. Returns it if it is to be logged now.
    pub(crate) fn note(&mut self, key: K, event: E, now: Instant) -> Option<Line<E>> {
        let mut key = Some(key);
        if !self.keys.contains_key(&key) && self.keys.len() >= MAX_KEYS {
            key = None;
        }
        let others = key.is_none().then_some(true);
        if let Some(known) = self.keys.get_mut(&key) {
            let count = known.more.take().map_or(0, |(count, _)| count);
            known.more = Some((count + 1, event));
            return None;
        }
        self.keys.insert(key, Key { logged: now, more: None });
        Some(Line { count: None, others, last: event })
    }

    /// Returns what is to be logged now, and forgets the keys without events for a minute. To be
    /// called each second or so.
    pub(crate) fn take_due(&mut self, now: Instant) -> Vec<Line<E>> {
        let mut lines = Vec::new();
        self.keys.retain(|key, known| {
            if now.saturating_duration_since(known.logged) < PERIOD {
                return true;
            }
            known.logged = now;
            let line = known.more.take().map(|more| line(key.as_ref(), more));
            let is_kept = line.is_some();
            lines.extend(line);
            is_kept
        });
        lines
    }

    /// Returns what has not been logged, because no time is left to wait for its turn.
    pub(crate) fn take_all(&mut self) -> Vec<Line<E>> {
        let keys = self.keys.drain();
        keys.filter_map(|(key, known)| Some(line(key.as_ref(), known.more?))).collect()
    }
}

fn line<K, E>(key: Option<&K>, (count, last): (u64, E)) -> Line<E> {
    Line { count: (count > 1).then_some(count), others: key.is_none().then_some(true), last }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn one(last: u32) -> Line<u32> {
        Line { count: None, others: None, last }
    }

    #[test]
    fn the_first_event_of_a_key_is_logged_immediately_and_further_ones_each_minute() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        assert_eq!(repeats.note("a", 400, start), Some(one(400)));
        assert_eq!(repeats.note("b", 401, start + SECOND), Some(one(401)));
        for event in 402..502 {
            assert_eq!(repeats.note("a", event, start + 2 * SECOND), None);
        }
        assert_eq!(repeats.take_due(start + 59 * SECOND), []);
        let hundred = Line { count: Some(100), others: None, last: 501 };
        assert_eq!(repeats.take_due(start + 60 * SECOND), [hundred]);
        // The next minute begins with that line.
        assert_eq!(repeats.note("a", 503, start + 61 * SECOND), None);
        assert_eq!(repeats.take_due(start + 119 * SECOND), []);
        assert_eq!(repeats.take_due(start + 120 * SECOND), [one(503)]);
        // A minute without events ends the repetition.
        assert_eq!(repeats.take_due(start + 180 * SECOND), []);
        assert_eq!(repeats.note("a", 504, start + 180 * SECOND), Some(one(504)));
    }

    #[test]
    fn events_of_more_keys_than_are_remembered_are_one_line_a_minute() {
        let (mut repeats, start) = (Repeats::default(), Instant::now());
        let lines = (0..100_000_u32).filter_map(|key| repeats.note(key, key, start));
        let lines: Vec<Line<u32>> = lines.collect();
        assert_eq!(lines.len(), MAX_KEYS + 1);
        let first = Line { count: None, others: Some(true), last: MAX_KEYS as u32 };
        assert_eq!(lines.last(), Some(&first));
        assert_eq!(repeats.keys.len(), MAX_KEYS + 1);
        let count = 100_000 - lines.len() as u64;
        let others = Line { count: Some(count), others: Some(true), last: 99_999 };
        assert_eq!(repeats.take_due(start + 60 * SECOND), [others]);
        // All others are forgotten, so that there is room.
        assert_eq!(repeats.note(7, 7, start + 60 * SECOND), Some(one(7)));
    }

    proptest! {
        #[test]
        fn the_lines_count_every_event_and_are_one_a_minute_for_each_key(
            steps in prop::collection::vec((0_u8..3, 0_u64..50), 1..200),
        ) {
            let (mut repeats, mut now) = (Repeats::default(), Instant::now());
            let mut lines: Vec<(Instant, Line<u8>)> = Vec::new();
            for &(key, seconds) in &steps {
                now += Duration::from_secs(seconds);
                lines.extend(repeats.take_due(now).into_iter().map(|line| (now, line)));
                lines.extend(repeats.note(key, key, now).map(|line| (now, line)));
            }
            for key in 0..3 {
                let times = lines.iter().filter(|(_, line)| line.last == key).map(|it| it.0);
                let times: Vec<Instant> = times.collect();
                prop_assert!(times.windows(2).all(|it| it[1].duration_since(it[0]) >= PERIOD));
            }
            let rest = repeats.take_all();
            let all = lines.iter().map(|(_, line)| line).chain(&rest);
            prop_assert_eq!(all.map(|it| it.count.unwrap_or(1)).sum::<u64>(), steps.len() as u64);
            prop_assert_eq!(repeats.take_all(), []);
        }
    }
}
