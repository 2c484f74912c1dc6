//! Passes each order update of an account on once, although every socket receives a copy.
//!
//! Performs no I/O and reads no clock. Kite does not number updates and may send the same text
//! twice. The same text on two connections is one update; twice on one connection it is two.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use kite_conn::Stamp;

use crate::config::MAX_CONNECTIONS;

/// Number of updates remembered; the oldest is forgotten first. A copy that arrives after this many
/// other updates is passed on again.
const REMEMBERED: usize = 4_096;

/// A new socket may still deliver updates that were passed on within this time before its handshake
/// completed, because the server knows the socket earlier than the client, and connections differ
/// in delay.
const GRACE: Duration = Duration::from_secs(2);

/// Distinguishes order updates, and other texts that Kite sends to an account, from their copies.
/// One filter per account.
///
/// [`Texts`](crate::Texts) and [`Orders`](crate::Orders) have one for each account of a manager.
/// It is for programs that give the sockets of an account to several managers.
///
/// For every message it counts how often it arrived on each connection and how often it was passed
/// on. A message is new if its connection has received it more often than it was passed on. A
/// connection that was down misses updates; at its next handshake they count as received.
///
/// One case cannot be distinguished: a connection misses an update although it did not reconnect,
/// or within two seconds of its handshake, and then is the only one to receive another update with
/// exactly the same text.
#[derive(Debug, Clone, Default)]
pub struct OrderFilter {
    hashers: [RandomState; 2],
    texts: HashMap<Text, Counts>,
    /// Updates passed on, in order.
    passed: VecDeque<Passed>,
    /// Total number of updates passed on.
    turn: u64,
}

/// The hash of a text, wide enough to rule out accidental collisions.
type Text = [u64; 2];

#[derive(Debug, Clone, Default)]
struct Counts {
    by_connection: [u64; MAX_CONNECTIONS],
    passed: u64,
    /// Number of the last update with this text among all updates passed on.
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    text: Text,
    turn: u64,
    at: Stamp,
}

impl OrderFilter {
    /// Creates the filter of an account.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Records an update received on a connection and returns whether it is new. Connections are
    /// counted from 0; of one beyond [`MAX_CONNECTIONS`](crate::MAX_CONNECTIONS) every update is.
    pub fn is_new(&mut self, connection: usize, text: &[u8], received: Stamp) -> bool {
        let text = [self.hashers[0].hash_one(text), self.hashers[1].hash_one(text)];
        let counts = self.texts.entry(text).or_default();
        // Kite allows no more connections. A duplicate is better than a lost update.
        let Some(count) = counts.by_connection.get_mut(connection) else { return true };
        *count += 1;
        if *count <= counts.passed {
            return false;
        }
        counts.passed = *count;
        self.turn += 1;
        counts.turn = self.turn;
        self.passed.push_back(Passed { text, turn: self.turn, at: received });
        if self.passed.len() > REMEMBERED {
            self.forget_oldest();
        }
        true
    }

    /// Records that a connection completed a handshake at `at`. Updates passed on earlier will not
    /// arrive on its new socket.
    pub fn on_up(&mut self, connection: usize, at: Stamp) {
        let mut recent: HashMap<Text, u64> = HashMap::new();
        // A stamp later than the handshake is recent too.
        for passed in self.passed.iter().filter(|passed| at.since(passed.at) < GRACE) {
            *recent.entry(passed.text).or_default() += 1;
        }
        for (text, counts) in &mut self.texts {
            let gone = counts.passed - recent.get(text).copied().unwrap_or_default();
            if let Some(count) = counts.by_connection.get_mut(connection) {
                *count = gone.max(*count);
            }
        }
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.passed.pop_front() else { return };
        // Unless it has been passed on again since.
        if let Entry::Occupied(text) = self.texts.entry(oldest.text)
            && text.get().turn == oldest.turn
        {
            text.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(start: Stamp, seconds: u64) -> Stamp {
        Stamp::at(start.to_instant() + Duration::from_secs(seconds))
    }

    #[test]
    fn a_text_is_passed_on_as_often_as_one_connection_received_it() {
        let (mut filter, now) = (OrderFilter::new(), Stamp::now());
        let mut is_new = |connection, text: &str| filter.is_new(connection, text.as_bytes(), now);
        assert!(is_new(0, "a"));
        assert!(!is_new(1, "a"));
        assert!(is_new(1, "a"), "a second one");
        assert!(!is_new(2, "a") && !is_new(2, "a") && !is_new(0, "a"));
        assert!(is_new(2, "b"));
    }

    #[test]
    fn an_update_missed_while_down_does_not_hide_a_later_one() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", start));
        filter.on_up(1, after(start, 5));
        assert!(filter.is_new(1, b"a", after(start, 6)), "the first was sent before the handshake");
        assert!(!filter.is_new(0, b"a", after(start, 7)), "its copy");
    }

    #[test]
    fn a_copy_on_a_new_socket_is_recognised() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", after(start, 10)));
        filter.on_up(1, after(start, 11));
        assert!(!filter.is_new(1, b"a", after(start, 12)), "the server knew the socket before us");
        filter.on_up(2, after(start, 9));
        assert!(!filter.is_new(2, b"a", after(start, 12)), "sent after the handshake");
    }

    #[test]
    fn a_reconnect_keeps_the_counts_of_a_connection() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", start));
        filter.on_up(0, start);
        assert!(filter.is_new(0, b"a", start));
    }

    #[test]
    fn only_the_last_updates_are_remembered() {
        let (mut filter, now) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"kept", now) && filter.is_new(0, b"forgotten", now));
        let others = REMEMBERED - 2;
        for number in 0..others {
            assert!(filter.is_new(0, &number.to_be_bytes(), now));
        }
        assert!(!filter.is_new(1, b"forgotten", now), "within the last 4,096");
        assert!(filter.is_new(0, b"kept", now), "sent again");
        assert!(filter.is_new(0, b"one more", now));
        assert!(filter.is_new(2, b"forgotten", now), "beyond");
        assert!(!filter.is_new(1, b"kept", now) && !filter.is_new(1, b"kept", now));
        assert_eq!((filter.passed.len(), filter.texts.len()), (REMEMBERED, REMEMBERED));
    }

    #[test]
    fn a_connection_number_out_of_range_suppresses_nothing() {
        let (mut filter, now) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(MAX_CONNECTIONS, b"a", now) && filter.is_new(9, b"a", now));
        filter.on_up(9, now);
        assert!(filter.is_new(0, b"a", now));
    }

    /// Delivers the queued copies of all connections in the order that `picks` chooses.
    fn deliver(
        mut queues: [VecDeque<u8>; MAX_CONNECTIONS],
        picks: &[prop::sample::Index],
        mut deliver: impl FnMut(usize, u8),
    ) {
        let mut picks = picks.iter().cycle();
        loop {
            let waiting: Vec<usize> =
                (0..MAX_CONNECTIONS).filter(|&it| !queues[it].is_empty()).collect();
            let Some(pick) = picks.next().filter(|_| !waiting.is_empty()) else { return };
            let connection = waiting[pick.index(waiting.len())];
            if let Some(text) = queues[connection].pop_front() {
                deliver(connection, text);
            }
        }
    }

    proptest! {
        /// Counts alone suffice if, for each message, some connection misses no copy.
        #[test]
        fn every_update_is_passed_on_as_often_as_it_was_sent(
            sent in prop::collection::vec((0_u8..6, prop::array::uniform3(any::<bool>())), 0..60),
            complete in prop::array::uniform6(0..MAX_CONNECTIONS),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 200),
        ) {
            let mut queues: [VecDeque<u8>; MAX_CONNECTIONS] = Default::default();
            let mut expected = [0; 6];
            for &(text, arrives) in &sent {
                expected[usize::from(text)] += 1;
                for (connection, queue) in queues.iter_mut().enumerate() {
                    if arrives[connection] || complete[usize::from(text)] == connection {
                        queue.push_back(text);
                    }
                }
            }
            let (mut filter, now) = (OrderFilter::new(), Stamp::now());
            let mut passed = [0; 6];
            deliver(queues, &picks, |connection, text| {
                passed[usize::from(text)] += u32::from(filter.is_new(connection, &[text], now));
            });
            prop_assert_eq!(passed, expected);
        }

        /// With handshakes: in each phase some connections are down, but not all; in the next phase
        /// they may be the only ones up.
        #[test]
        fn reconnecting_connections_neither_hide_nor_repeat_updates(
            phases in prop::collection::vec(
                (1_u8..8, prop::collection::vec(0_u8..4, 0..12)),
                1..8,
            ),
            picks in prop::collection::vec(any::<prop::sample::Index>(), 100),
        ) {
            let (mut filter, mut now) = (OrderFilter::new(), Stamp::now());
            let (mut passed, mut expected, mut up_before) = ([0; 4], [0; 4], 0);
            for (up, sent) in phases {
                now = after(now, GRACE.as_secs());
                for connection in 0..MAX_CONNECTIONS {
                    if up & !up_before & 1 << connection != 0 {
                        filter.on_up(connection, now);
                    }
                }
                let mut queues: [VecDeque<u8>; MAX_CONNECTIONS] = Default::default();
                for text in sent {
                    expected[usize::from(text)] += 1;
                    for (connection, queue) in queues.iter_mut().enumerate() {
                        if up & 1 << connection != 0 {
                            queue.push_back(text);
                        }
                    }
                }
                deliver(queues, &picks, |connection, text| {
                    passed[usize::from(text)] += u32::from(filter.is_new(connection, &[text], now));
                });
                up_before = up;
            }
            prop_assert_eq!(passed, expected);
        }
    }
}
