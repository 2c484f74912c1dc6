//! Decides which subscription commands to send to the server.
//!
//! Sends the difference between the desired and the announced subscriptions. On a new socket
//! nothing is announced, so a reconnect uses the same function and restores the exact modes.
//! Performs no I/O and reads no clock, and the output order is fixed, so tests compare it exactly.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use kite_wire::{Command, Mode};

/// Rejections are assumed to arrive within this time after their command.
const ANSWERED_WITHIN: Duration = Duration::from_secs(10);
/// Maximum number of commands remembered for that.
const MOST_RECENT: usize = 1_024;

/// The subscriptions of one socket: desired, and announced to the server.
#[derive(Debug, Default)]
pub(crate) struct Book {
    desired: BTreeMap<u32, Mode>,
    announced: BTreeMap<u32, Mode>,
    /// Tokens whose desired and announced states may differ.
    changed: BTreeSet<u32>,
    /// The tokens of the last subscribe commands, and when they were sent, because an error message
    /// does not name the ones it means.
    recent: VecDeque<(Instant, Vec<u32>)>,
    /// Tokens that were announced and may have been rejected because the limit is reached.
    doubted: BTreeSet<u32>,
}

impl Book {
    /// Sets a token's desired mode, or removes it.
    pub(crate) fn set_mode(&mut self, token: u32, mode: Option<Mode>) {
        match mode {
            Some(mode) => self.desired.insert(token, mode),
            None => self.desired.remove(&token),
        };
        self.changed.insert(token);
    }

    /// Returns the number of desired instruments.
    pub(crate) fn len(&self) -> usize {
        self.desired.len()
    }

    /// Returns the desired set.
    pub(crate) fn desired(&self) -> &BTreeMap<u32, Mode> {
        &self.desired
    }

    /// Returns the announced set, whose ticks the server sends.
    pub(crate) fn announced(&self) -> &BTreeMap<u32, Mode> {
        &self.announced
    }

    /// Clears the announced set for a new socket.
    pub(crate) fn forget_announced(&mut self) {
        self.announced.clear();
        self.doubted.clear();
        self.recent.clear();
        self.changed = self.desired.keys().copied().collect();
    }

    /// Records that the server rejected instruments because the limit is reached. Returns how many
    /// may be affected, unless that is unchanged.
    ///
    /// The error does not name them, so it is taken to mean the subscribe commands of the last ten
    /// seconds. For an instrument that was accepted this costs only a repeated command. They still
    /// count as announced, so that one that was accepted after all can be unsubscribed. They are
    /// sent again once others have been unsubscribed, and on the next socket.
    pub(crate) fn doubt_recent(&mut self, now: Instant) -> Option<usize> {
        self.forget_old(now);
        let before = self.doubted.len();
        let named = self.recent.iter().flat_map(|(_, named)| named);
        self.doubted.extend(named.filter(|token| self.announced.contains_key(token)));
        let after = self.doubted.len();
        (before == 0 || after > before).then_some(after)
    }

    /// Passes the commands that make the announced set equal the desired one to `send`, and records
    /// them as announced. Returns the instruments that were removed before they were announced.
    ///
    /// Unsubscriptions are first, because they make room below the server's limit. A mode always
    /// follows its subscribe, since quote as the default mode is known only from users' reports.
    pub(crate) fn drain(&mut self, now: Instant, mut send: impl FnMut(Command<'_>)) -> Vec<u32> {
        self.retry_doubted();
        let (mut gone, mut new, mut never) = (Vec::new(), Vec::new(), Vec::new());
        let mut modes: [Vec<u32>; Mode::ALL.len()] = Default::default();
        for token in std::mem::take(&mut self.changed) {
            match (self.desired.get(&token), self.announced.get(&token)) {
                (None, Some(_)) => {
                    self.announced.remove(&token);
                    gone.push(token);
                }
                (Some(&mode), announced) if announced != Some(&mode) => {
                    if announced.is_none() {
                        new.push(token);
                    }
                    self.announced.insert(token, mode);
                    modes[mode as usize].push(token);
                }
                (None, None) => never.push(token),
                _ => {}
            }
        }
        if !gone.is_empty() {
            send(Command::Unsubscribe(&gone));
        }
        if !new.is_empty() {
            send(Command::Subscribe(&new));
            self.forget_old(now);
            self.recent.push_back((now, new));
        }
        for (mode, tokens) in Mode::ALL.into_iter().zip(&modes) {
            if !tokens.is_empty() {
                send(Command::Mode(mode, tokens));
            }
        }
        never
    }

    fn forget_old(&mut self, now: Instant) {
        let is_old = |(at, _): &(Instant, _)| now.saturating_duration_since(*at) > ANSWERED_WITHIN;
        while self.recent.front().is_some_and(is_old) || self.recent.len() >= MOST_RECENT {
            self.recent.pop_front();
        }
    }

    /// Treats doubted tokens as not announced if unsubscriptions are about to make room.
    fn retry_doubted(&mut self) {
        let is_leaving =
            |token: &u32| self.announced.contains_key(token) && !self.desired.contains_key(token);
        // Unsubscribing a token that is itself doubted may make no room, but trying costs little.
        if self.doubted.is_empty() || !self.changed.iter().any(is_leaving) {
            return;
        }
        for token in std::mem::take(&mut self.doubted) {
            if self.desired.contains_key(&token) {
                self.announced.remove(&token);
                self.changed.insert(token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::model::Server;
    use super::*;

    fn drained(book: &mut Book) -> Vec<String> {
        let mut commands = Vec::new();
        book.drain(Instant::now(), |command| commands.push(command.to_string()));
        commands
    }

    fn doubt(book: &mut Book) -> Option<usize> {
        book.doubt_recent(Instant::now())
    }

    #[test]
    fn a_new_socket_gets_everything_in_a_fixed_order() {
        let mut book = Book::default();
        for (token, mode) in [(9, Mode::Ltp), (3, Mode::Full), (5, Mode::Quote), (1, Mode::Full)] {
            book.set_mode(token, Some(mode));
        }
        let expected = [
            r#"{"a":"subscribe","v":[1,3,5,9]}"#,
            r#"{"a":"mode","v":["ltp",[9]]}"#,
            r#"{"a":"mode","v":["quote",[5]]}"#,
            r#"{"a":"mode","v":["full",[1,3]]}"#,
        ];
        assert_eq!(drained(&mut book), expected);
        assert!(drained(&mut book).is_empty());
        book.forget_announced();
        assert_eq!(drained(&mut book), expected);
    }

    #[test]
    fn only_differences_are_sent() {
        let mut book = Book::default();
        book.set_mode(1, Some(Mode::Full));
        book.set_mode(2, Some(Mode::Ltp));
        drained(&mut book);
        book.set_mode(1, None);
        book.set_mode(1, Some(Mode::Full));
        book.set_mode(3, Some(Mode::Ltp));
        book.set_mode(3, None);
        book.set_mode(2, Some(Mode::Quote));
        assert_eq!(drained(&mut book), [r#"{"a":"mode","v":["quote",[2]]}"#]);
        book.set_mode(2, None);
        assert_eq!(drained(&mut book), [r#"{"a":"unsubscribe","v":[2]}"#]);
    }

    #[test]
    fn rejected_instruments_are_sent_again_once_there_is_room() {
        let mut book = Book::default();
        book.set_mode(1, Some(Mode::Ltp));
        drained(&mut book);
        book.set_mode(2, Some(Mode::Full));
        book.set_mode(3, Some(Mode::Full));
        drained(&mut book);
        assert_eq!(doubt(&mut book), Some(3), "1 was sent recently too");
        assert_eq!(doubt(&mut book), None, "the number is unchanged");
        assert!(drained(&mut book).is_empty(), "no room has been made");
        book.set_mode(1, None);
        let expected = [
            r#"{"a":"unsubscribe","v":[1]}"#,
            r#"{"a":"subscribe","v":[2,3]}"#,
            r#"{"a":"mode","v":["full",[2,3]]}"#,
        ];
        assert_eq!(drained(&mut book), expected);
    }

    #[test]
    fn only_recent_subscriptions_are_doubted() {
        let (start, mut book) = (Instant::now(), Book::default());
        for (token, second) in [(1, 0), (2, 5), (3, 12)] {
            book.set_mode(token, Some(Mode::Ltp));
            book.drain(start + Duration::from_secs(second), |_| {});
        }
        assert_eq!(book.doubt_recent(start + Duration::from_secs(13)), Some(2));
        assert_eq!(book.doubted, BTreeSet::from([2, 3]));
    }

    #[test]
    fn doubted_instruments_can_be_unsubscribed() {
        let mut book = Book::default();
        book.set_mode(2, Some(Mode::Full));
        book.set_mode(3, Some(Mode::Full));
        drained(&mut book);
        doubt(&mut book);
        book.set_mode(2, None);
        let expected = [
            r#"{"a":"unsubscribe","v":[2]}"#,
            r#"{"a":"subscribe","v":[3]}"#,
            r#"{"a":"mode","v":["full",[3]]}"#,
        ];
        assert_eq!(drained(&mut book), expected);
        doubt(&mut book);
        book.forget_announced();
        assert_eq!(drained(&mut book).len(), 2, "everything is sent once on a new socket");
    }

    #[derive(Debug, Clone)]
    enum Op {
        Refused,
        SetMode(u32, Option<Mode>),
        Drain,
        Reconnect,
    }

    fn op() -> impl Strategy<Value = Op> {
        let mode = prop_oneof![
            Just(None),
            Just(Some(Mode::Ltp)),
            Just(Some(Mode::Quote)),
            Just(Some(Mode::Full))
        ];
        prop_oneof![
            6 => (0_u32..20, mode).prop_map(|(token, mode)| Op::SetMode(token, mode)),
            2 => Just(Op::Drain),
            1 => Just(Op::Reconnect),
            1 => Just(Op::Refused),
        ]
    }

    proptest! {
        #[test]
        fn the_server_holds_what_is_desired_after_every_drain(
            ops in proptest::collection::vec(op(), 0..200),
        ) {
            let (mut book, mut server) = (Book::default(), Server::default());
            for op in ops {
                match op {
                    Op::Refused => {
                        doubt(&mut book);
                        continue;
                    }
                    Op::SetMode(token, mode) => {
                        book.set_mode(token, mode);
                        continue;
                    }
                    Op::Drain => {}
                    Op::Reconnect => {
                        book.forget_announced();
                        server = Server::default();
                    }
                }
                for command in drained(&mut book) {
                    server.obey(&command);
                }
                prop_assert_eq!(&server.subscriptions, &book.desired);
            }
        }
    }
}
