//! Finds out when the server no longer sends instruments that it was asked to unsubscribe.
//!
//! Kite confirms no command. But what one socket carries is in order: a server that has answered a
//! ping has read the unsubscribe command before it, and what it sends afterwards takes that command
//! into account. No socket and no clock here.

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

/// Time after which a ping counts as answered, for a server that answers none.
const ANSWERED_WITHIN: Duration = Duration::from_secs(30);

/// The unsubscribe commands of one socket whose pings are not answered yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Departures(VecDeque<Departure>);

#[derive(Debug)]
struct Departure {
    sent: Instant,
    /// The payload of the ping after the command.
    ping: [u8; 8],
    /// In ascending order, because they are looked up while an answer is due.
    tokens: Vec<u32>,
}

impl Departures {
    /// Records an unsubscribe command and the ping that follows it.
    pub(crate) fn add(&mut self, now: Instant, ping: [u8; 8], tokens: &[u32]) {
        let mut tokens = tokens.to_vec();
        tokens.sort_unstable();
        self.0.push_back(Departure { sent: now, ping, tokens });
    }

    /// Returns whether the server may still send an instrument for which an answer is due.
    pub(crate) fn contains(&self, token: u32) -> bool {
        self.0.iter().any(|departure| departure.tokens.binary_search(&token).is_ok())
    }

    /// Returns the instruments that the server no longer sends because it has sent this pong.
    ///
    /// A pong also answers the pings before it. An instrument that a later command names too is
    /// returned once that one is answered.
    pub(crate) fn on_pong(&mut self, payload: &[u8]) -> Vec<u32> {
        let answered = self.0.iter().rposition(|departure| departure.ping == payload);
        self.take(answered.map_or(0, |at| at + 1))
    }

    /// Returns the instruments of commands that have waited too long for an answer.
    pub(crate) fn poll_overdue(&mut self, now: Instant) -> Vec<u32> {
        let is_overdue = |it: &&Departure| it.sent + ANSWERED_WITHIN <= now;
        let overdue = self.0.iter().take_while(is_overdue).count();
        self.take(overdue)
    }

    /// Returns when [`Departures::poll_overdue`] is due.
    pub(crate) fn due(&self) -> Option<Instant> {
        self.0.front().map(|it| it.sent + ANSWERED_WITHIN)
    }

    fn take(&mut self, count: usize) -> Vec<u32> {
        let mut taken: Vec<u32> = self.0.drain(..count).flat_map(|it| it.tokens).collect();
        if !taken.is_empty() && !self.0.is_empty() {
            let later: BTreeSet<u32> = self.0.iter().flat_map(|it| &it.tokens).copied().collect();
            taken.retain(|token| !later.contains(token));
        }
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn ping(number: u64) -> [u8; 8] {
        number.to_be_bytes()
    }

    #[test]
    fn a_pong_answers_its_ping_and_those_before() {
        let (mut departures, now) = (Departures::default(), Instant::now());
        departures.add(now, ping(2), &[1, 2]);
        departures.add(now, ping(3), &[3]);
        departures.add(now, ping(7), &[4]);
        assert!(departures.on_pong(&ping(1)).is_empty(), "a ping of another kind");
        assert!(departures.on_pong(b"unasked").is_empty());
        assert_eq!(departures.on_pong(&ping(3)), [1, 2, 3]);
        assert!(departures.on_pong(&ping(2)).is_empty());
        assert!(departures.contains(4) && !departures.contains(1));
        assert_eq!(departures.on_pong(&ping(7)), [4]);
    }

    #[test]
    fn an_instrument_that_was_unsubscribed_twice_waits_for_the_second_answer() {
        let (mut departures, now) = (Departures::default(), Instant::now());
        departures.add(now, ping(1), &[1, 2]);
        departures.add(now, ping(2), &[2]);
        assert_eq!(departures.on_pong(&ping(1)), [1]);
        assert_eq!(departures.on_pong(&ping(2)), [2]);
    }

    #[test]
    fn a_server_that_answers_no_ping_counts_as_having_read_the_command_in_the_end() {
        let (mut departures, start) = (Departures::default(), Instant::now());
        assert_eq!(departures.due(), None);
        departures.add(start, ping(1), &[1]);
        departures.add(start + SECOND, ping(2), &[2]);
        assert_eq!(departures.due(), Some(start + ANSWERED_WITHIN));
        assert!(departures.poll_overdue(start + ANSWERED_WITHIN - SECOND).is_empty());
        assert_eq!(departures.poll_overdue(start + ANSWERED_WITHIN), [1]);
        assert_eq!(departures.poll_overdue(start + ANSWERED_WITHIN + SECOND), [2]);
        assert_eq!(departures.due(), None);
    }
}
