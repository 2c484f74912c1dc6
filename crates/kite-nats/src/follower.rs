//! Decides whether a message is next, a repetition or out of date, and what is missing before it.
//!
//! No I/O and no clock here.

use std::collections::BTreeMap;

use kite_wire::TokenMap;

use crate::headers::{Headers, PacketPlace};

/// Follows the messages of one account.
///
/// NATS keeps the order of what one publisher sends, delivers at most once, and does not report
/// what it did not deliver; a stream of JetStream may deliver twice. Each packet has a number among
/// those of its instrument, and each frame one among those of its connection, so that a consumer of
/// a single instrument finds what it missed as exactly as one of all.
///
/// Messages of a term that is lower than one already seen are refused, so that a publisher that
/// does not know yet that it was replaced does no harm.
#[derive(Debug, Default)]
pub struct Follower {
    term: Option<u64>,
    /// Whether this follower has seen the term before. Then numbers below the first one received
    /// are missing; otherwise they were sent before this consumer subscribed.
    has_taken_over: bool,
    connections: BTreeMap<usize, Numbers>,
}

/// The newest numbers of one connection in the current term.
#[derive(Debug, Default)]
struct Numbers {
    frame: Option<u64>,
    ticks: TokenMap<u64>,
}

/// What a message is among those received before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// The next one, or the first of its instrument or connection.
    Next,
    /// A later one: `missed` messages are missing before it. For a packet these are packets of the
    /// same instrument, for a frame frames of the same connection.
    After {
        /// Number of messages missing.
        missed: u64,
    },
    /// The message, or a later one, was received before.
    Repeated,
    /// The message is of a publisher that another one has replaced.
    OldTerm {
        /// The term of the other one.
        current: u64,
    },
}

impl Standing {
    /// Returns whether the message is to be used.
    #[must_use]
    pub fn is_new(self) -> bool {
        matches!(self, Self::Next | Self::After { .. })
    }

    /// Returns the number of messages missing before this one.
    #[must_use]
    pub fn missed(self) -> u64 {
        if let Self::After { missed } = self { missed } else { 0 }
    }
}

impl Follower {
    /// Creates a follower that has seen no message.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the term of the current publisher; `None` before the first message.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        self.term
    }

    /// Handles a packet of an instrument.
    pub fn on_packet(&mut self, headers: &Headers, place: PacketPlace, token: u32) -> Standing {
        if let Err(current) = self.enter(headers.term) {
            return Standing::OldTerm { current };
        }
        let has_taken_over = self.has_taken_over;
        let numbers = self.connections.entry(headers.connection).or_default();
        let newest = numbers.ticks.get(token).copied();
        let standing = standing(newest.or(has_taken_over.then_some(0)), place.tick);
        if standing.is_new() {
            numbers.ticks.insert(token, place.tick);
        }
        standing
    }

    /// Handles a whole frame.
    pub fn on_frame(&mut self, headers: &Headers) -> Standing {
        if let Err(current) = self.enter(headers.term) {
            return Standing::OldTerm { current };
        }
        let has_taken_over = self.has_taken_over;
        let numbers = self.connections.entry(headers.connection).or_default();
        let standing = standing(numbers.frame.or(has_taken_over.then_some(0)), headers.sequence);
        if standing.is_new() {
            numbers.frame = Some(headers.sequence);
        }
        standing
    }

    /// Enters the term of a message; fails with the current term if that is higher.
    fn enter(&mut self, term: u64) -> Result<(), u64> {
        match self.term {
            Some(current) if current == term => {}
            Some(current) if current > term => return Err(current),
            before => {
                self.term = Some(term);
                self.has_taken_over = before.is_some();
                self.connections.clear();
            }
        }
        Ok(())
    }
}

/// Compares a number with the newest one before it, if that is known.
fn standing(newest: Option<u64>, number: u64) -> Standing {
    let Some(newest) = newest else { return Standing::Next };
    match number.checked_sub(newest) {
        None | Some(0) => Standing::Repeated,
        Some(1) => Standing::Next,
        Some(ahead) => Standing::After { missed: ahead - 1 },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kite_manager::AccountId;
    use proptest::prelude::*;

    use super::*;

    fn headers(term: u64, connection: usize, sequence: u64) -> Headers {
        let account = AccountId::default();
        let (epoch, received_unix_ns, packet) = (1, 0, None);
        Headers { term, account, connection, epoch, sequence, received_unix_ns, packet }
    }

    fn on_tick(follower: &mut Follower, term: u64, connection: usize, tick: u64) -> Standing {
        let place = PacketPlace { index: 0, count: 1, tick };
        follower.on_packet(&headers(term, connection, 1), place, 408_065)
    }

    #[test]
    fn a_consumer_that_subscribed_late_misses_nothing_before_its_first_packet() {
        let mut follower = Follower::new();
        assert_eq!(on_tick(&mut follower, 7, 0, 500), Standing::Next);
        assert_eq!(on_tick(&mut follower, 7, 0, 501), Standing::Next);
        assert_eq!(on_tick(&mut follower, 7, 0, 504), Standing::After { missed: 2 });
        assert_eq!(on_tick(&mut follower, 7, 0, 502), Standing::Repeated);
        assert_eq!(on_tick(&mut follower, 7, 1, 9), Standing::Next, "on another connection");
    }

    #[test]
    fn everything_before_the_first_packet_of_a_new_term_is_missing() {
        let mut follower = Follower::new();
        assert_eq!(on_tick(&mut follower, 7, 0, 500), Standing::Next);
        assert_eq!(on_tick(&mut follower, 8, 0, 3), Standing::After { missed: 2 });
        assert_eq!(on_tick(&mut follower, 7, 0, 501), Standing::OldTerm { current: 8 });
        assert_eq!(on_tick(&mut follower, 8, 0, 4), Standing::Next);
        assert_eq!(follower.on_frame(&headers(8, 0, 3)), Standing::After { missed: 2 });
        assert_eq!(follower.term(), Some(8));
    }

    #[test]
    fn numbers_at_the_ends_of_their_range_do_not_overflow() {
        let mut follower = Follower::new();
        assert_eq!(on_tick(&mut follower, 0, 0, 1), Standing::Next);
        let missed = u64::MAX - 2;
        assert_eq!(on_tick(&mut follower, 0, 0, u64::MAX), Standing::After { missed });
        assert_eq!(on_tick(&mut follower, u64::MAX, 0, u64::MAX).missed(), u64::MAX - 1);
        assert_eq!(on_tick(&mut follower, u64::MAX, 0, u64::MAX), Standing::Repeated);
    }

    /// A message by its term, connection, instrument and number.
    type Sent = (u64, usize, u32, u64);

    /// What publishers of ascending terms send: for each message its connection and instrument.
    fn sent() -> impl Strategy<Value = Vec<Sent>> {
        let message = (0..3_usize, 1..4_u32);
        let term = prop::collection::vec(message, 1..40);
        prop::collection::vec(term, 1..4).prop_map(|terms| {
            let mut sent = Vec::new();
            for (term, messages) in terms.into_iter().enumerate() {
                let mut numbers: BTreeMap<(usize, u32), u64> = BTreeMap::new();
                for (connection, token) in messages {
                    let number = numbers.entry((connection, token)).or_default();
                    *number += 1;
                    sent.push((term as u64, connection, token, *number));
                }
            }
            sent
        })
    }

    proptest! {
        /// The network loses messages, repeats earlier ones, and delivers stragglers of old terms.
        #[test]
        fn every_message_is_used_once_in_order_or_counted_as_missed(
            sent in sent(),
            lost in prop::collection::vec(prop::bool::weighted(0.3), 120),
            repeated in prop::collection::vec(prop::option::of(any::<prop::sample::Index>()), 120),
            joined in any::<prop::sample::Index>(),
        ) {
            let joined = joined.index(sent.len());
            let mut follower = Follower::new();
            let mut used: Vec<Sent> = Vec::new();
            let mut missed: BTreeMap<(u64, usize, u32), u64> = BTreeMap::new();
            let mut deliver = |message: Sent| {
                let (term, connection, token, tick) = message;
                let place = PacketPlace { index: 0, count: 1, tick };
                let standing = follower.on_packet(&headers(term, connection, 1), place, token);
                if standing.is_new() {
                    *missed.entry((term, connection, token)).or_default() += standing.missed();
                    used.push(message);
                }
            };
            for (at, message) in sent.iter().enumerate().skip(joined) {
                if !lost[at] {
                    deliver(*message);
                }
                if let Some(again) = repeated[at] {
                    deliver(sent[again.index(at + 1)]);
                }
            }
            // Once, and in order for each instrument on each connection.
            let once: BTreeSet<Sent> = used.iter().copied().collect();
            prop_assert_eq!(once.len(), used.len());
            prop_assert!(used.windows(2).all(|pair| pair[0].0 <= pair[1].0), "terms never fall");
            let first_term = used.first().map(|it| it.0);
            for (&(term, connection, token), &missed) in &missed {
                let of = |it: &&Sent| (it.0, it.1, it.2) == (term, connection, token);
                let numbers: Vec<u64> = used.iter().filter(of).map(|it| it.3).collect();
                prop_assert!(numbers.is_sorted());
                let before = if Some(term) == first_term { numbers[0] - 1 } else { 0 };
                let last = numbers[numbers.len() - 1];
                prop_assert_eq!(last - before, numbers.len() as u64 + missed);
            }
        }

        #[test]
        fn frames_are_used_once_in_order_or_counted_as_missed(
            numbers in prop::collection::vec(1..30_u64, 1..60),
        ) {
            let mut follower = Follower::new();
            let mut newest: Option<u64> = None;
            for number in numbers {
                let expected = match newest {
                    Some(newest) if number <= newest => Standing::Repeated,
                    Some(newest) if number > newest + 1 => {
                        Standing::After { missed: number - newest - 1 }
                    }
                    _ => Standing::Next,
                };
                prop_assert_eq!(follower.on_frame(&headers(5, 1, number)), expected);
                newest = newest.max(Some(number));
            }
        }
    }
}
