//! Lets each order update of an account through once, though each of its sockets gets it.
//!
//! No socket and no clock. Kite numbers nothing, and may well send the same text twice: the same
//! text on two connections is one update, on one connection it is two.

use std::collections::hash_map::{Entry, RandomState};
use std::collections::{HashMap, VecDeque};
use std::hash::BuildHasher;
use std::time::Duration;

use kite_conn::Stamp;

use crate::config::MAX_CONNECTIONS;

/// Updates remembered, the oldest forgotten first. One whose copy comes later than so many others
/// is passed on again.
const REMEMBERED: usize = 4_096;

/// How long before a handshake was done an update may have been passed on that this socket still
/// brings: the server knew the socket before we did, and connections differ by a moment.
const GRACE: Duration = Duration::from_secs(2);

/// Tells order updates from their copies; one for each account.
///
/// Of every text it counts how often it came on each connection, and how often it was passed on:
/// it is new where this connection has had it more often. A connection that was down misses
/// updates; with its next handshake it counts as having had them.
///
/// Nothing can be told in one case: a connection that misses an update without a handshake of its
/// own, or within two seconds of it, and then is the only one to get another of the very same text.
#[derive(Debug, Clone)]
pub(crate) struct OrderFilter {
    hashers: [RandomState; 2],
    texts: HashMap<Text, Counts>,
    /// What was passed on, in order.
    passed: VecDeque<Passed>,
    /// How many were passed on in all.
    turn: u64,
}

/// A text by its hash, of a width at which no two are alike by chance.
type Text = [u64; 2];

#[derive(Debug, Clone, Default)]
struct Counts {
    by_connection: [u64; MAX_CONNECTIONS],
    passed: u64,
    /// When it was passed on last, as a number among all.
    turn: u64,
}

#[derive(Debug, Clone, Copy)]
struct Passed {
    text: Text,
    turn: u64,
    at: Stamp,
}

impl OrderFilter {
    pub(crate) fn new() -> Self {
        Self {
            hashers: [RandomState::new(), RandomState::new()],
            texts: HashMap::new(),
            passed: VecDeque::new(),
            turn: 0,
        }
    }

    /// Takes an update that came on a connection at this moment; says whether it is new.
    pub(crate) fn is_new(&mut self, connection: usize, text: &[u8], received: Stamp) -> bool {
        let text = [self.hashers[0].hash_one(text), self.hashers[1].hash_one(text)];
        let counts = self.texts.entry(text).or_default();
        // Kite allows no more connections. Better twice than not at all.
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

    /// Takes a connection's handshake, done at this moment: what was passed on before will not come
    /// on its new socket.
    pub(crate) fn on_up(&mut self, connection: usize, at: Stamp) {
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
    fn a_text_is_passed_on_as_often_as_it_came_on_one_connection() {
        let (mut filter, now) = (OrderFilter::new(), Stamp::now());
        let mut is_new = |connection, text: &str| filter.is_new(connection, text.as_bytes(), now);
        assert!(is_new(0, "a"));
        assert!(!is_new(1, "a"));
        assert!(is_new(1, "a"), "a second one");
        assert!(!is_new(2, "a") && !is_new(2, "a") && !is_new(0, "a"));
        assert!(is_new(2, "b"));
    }

    #[test]
    fn what_a_connection_missed_while_down_does_not_hide_what_it_brings_later() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", start));
        filter.on_up(1, after(start, 5));
        assert!(filter.is_new(1, b"a", after(start, 6)), "the first is over");
        assert!(!filter.is_new(0, b"a", after(start, 7)), "its copy");
    }

    #[test]
    fn a_copy_on_a_socket_just_opened_is_known() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", after(start, 10)));
        filter.on_up(1, after(start, 11));
        assert!(!filter.is_new(1, b"a", after(start, 12)), "the server knew the socket before us");
        filter.on_up(2, after(start, 9));
        assert!(!filter.is_new(2, b"a", after(start, 12)), "sent after the handshake");
    }

    #[test]
    fn a_reconnect_does_not_make_a_connection_forget_what_it_had() {
        let (mut filter, start) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(0, b"a", start));
        filter.on_up(0, start);
        assert!(filter.is_new(0, b"a", start));
    }

    #[test]
    fn memory_is_bounded_by_what_was_passed_on_last() {
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
    fn a_connection_that_cannot_be_suppresses_nothing() {
        let (mut filter, now) = (OrderFilter::new(), Stamp::now());
        assert!(filter.is_new(MAX_CONNECTIONS, b"a", now) && filter.is_new(9, b"a", now));
        filter.on_up(9, now);
        assert!(filter.is_new(0, b"a", now));
    }

    /// Puts copies on connections and says in which order they come.
    fn deliver(
        mut queues: [VecDeque<u8>; MAX_CONNECTIONS],
        picks: &[prop::sample::Index],
        mut come: impl FnMut(usize, u8),
    ) {
        let mut picks = picks.iter().cycle();
        loop {
            let waiting: Vec<usize> =
                (0..MAX_CONNECTIONS).filter(|&it| !queues[it].is_empty()).collect();
            let Some(pick) = picks.next().filter(|_| !waiting.is_empty()) else { return };
            let connection = waiting[pick.index(waiting.len())];
            if let Some(text) = queues[connection].pop_front() {
                come(connection, text);
            }
        }
    }

    proptest! {
        /// What counts alone can tell: of each text one connection, whichever, misses none.
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

        /// What handshakes add: in each phase of the day some connections are down, any but one;
        /// in the next they may be the only ones up.
        #[test]
        fn connections_that_come_and_go_neither_hide_nor_repeat(
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
