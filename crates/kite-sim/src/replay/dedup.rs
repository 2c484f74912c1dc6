//! Detects recorded text frames that repeat on another connection.
//!
//! Kite sends an order update on every socket of an account, so a tape of three connections holds
//! it three times.

use std::collections::VecDeque;

use bytes::Bytes;
use kite_wire::tape::Source;

/// Longest time between the same text on two connections.
const WINDOW_NS: u64 = 5_000_000_000;

/// The text frames of the last seconds, with the connections that have carried them.
#[derive(Debug, Default)]
pub(crate) struct Dedup {
    recent: VecDeque<Carried>,
}

#[derive(Debug)]
struct Carried {
    account: u8,
    text: Bytes,
    first_unix_ns: u64,
    connections: Vec<u8>,
}

impl Dedup {
    /// Returns whether a text frame is new, which means that no other connection of the account has
    /// carried it within the last seconds. One that a connection carries twice was sent twice.
    pub(crate) fn is_new(&mut self, recv_unix_ns: u64, source: Source, text: &Bytes) -> bool {
        let is_old = |carried: &Carried| recv_unix_ns.abs_diff(carried.first_unix_ns) > WINDOW_NS;
        while self.recent.front().is_some_and(is_old) {
            self.recent.pop_front();
        }
        let known = self.recent.iter_mut().find(|carried| {
            !is_old(carried)
                && carried.account == source.account
                && !carried.connections.contains(&source.connection)
                && carried.text == text
        });
        match known {
            Some(carried) => {
                carried.connections.push(source.connection);
                false
            }
            None => {
                self.recent.push_back(Carried {
                    account: source.account,
                    // A shared slice would keep the whole block of the tape alive.
                    text: Bytes::copy_from_slice(text),
                    first_unix_ns: recv_unix_ns,
                    connections: vec![source.connection],
                });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    fn are_new(texts: &[(u64, u8, u8, &'static str)]) -> Vec<bool> {
        let mut dedup = Dedup::default();
        let news = texts.iter().map(|&(at, account, connection, text)| {
            dedup.is_new(at, Source { account, connection }, &Bytes::from_static(text.as_bytes()))
        });
        news.collect()
    }

    #[test]
    fn a_text_on_several_connections_of_an_account_counts_once() {
        let texts = [(S, 0, 0, "a"), (S + 1, 0, 2, "a"), (S + 2, 0, 1, "a"), (S + 3, 0, 1, "b")];
        assert_eq!(are_new(&texts), [true, false, false, true]);
    }

    #[test]
    fn a_text_twice_on_one_connection_or_on_two_accounts_counts_twice() {
        assert_eq!(are_new(&[(S, 0, 0, "a"), (S, 0, 0, "a")]), [true, true]);
        // Twice on each of two connections is twice.
        let twice = [(S, 0, 0, "a"), (S, 0, 0, "a"), (S, 0, 1, "a"), (S, 0, 1, "a")];
        assert_eq!(are_new(&twice), [true, true, false, false]);
        assert_eq!(are_new(&[(S, 0, 0, "a"), (S, 1, 1, "a")]), [true, true]);
    }

    #[test]
    fn the_same_text_later_is_new() {
        let late = [(S, 0, 0, "a"), (6 * S, 0, 1, "a"), (7 * S, 0, 2, "a"), (13 * S, 0, 0, "a")];
        assert_eq!(are_new(&late), [true, false, true, true]);
    }

    #[test]
    fn a_clock_that_steps_back_hides_nothing() {
        assert_eq!(are_new(&[(60 * S, 0, 0, "a"), (S, 0, 1, "a")]), [true, true]);
    }
}
