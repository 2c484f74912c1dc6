//! Decides what to tell the server about subscriptions.
//!
//! Desired against told: the difference is what is sent. A new socket has been told nothing, so a
//! reconnect is the same function, and exact modes come back by construction. No socket and no
//! clock here, and a fixed output order, so tests compare it exactly.

use std::collections::{BTreeMap, BTreeSet};

use kite_wire::{Command, Mode};

/// The subscriptions of one socket: what is wanted and what the server has been told.
#[derive(Debug, Default)]
pub(crate) struct Book {
    desired: BTreeMap<u32, Mode>,
    told: BTreeMap<u32, Mode>,
    /// Tokens whose desired and told states may differ.
    changed: BTreeSet<u32>,
}

impl Book {
    /// Wants a token in this mode, or not at all.
    pub(crate) fn want(&mut self, token: u32, mode: Option<Mode>) {
        match mode {
            Some(mode) => self.desired.insert(token, mode),
            None => self.desired.remove(&token),
        };
        self.changed.insert(token);
    }

    /// Says how many instruments are wanted.
    pub(crate) fn len(&self) -> usize {
        self.desired.len()
    }

    /// Forgets what the server was told: a new socket knows nothing.
    pub(crate) fn forget_told(&mut self) {
        self.told.clear();
        self.changed = self.desired.keys().copied().collect();
    }

    /// Hands over the commands that make told equal desired, and takes them as told.
    ///
    /// Unsubscriptions come first: they make room below the server's limit. A mode always follows
    /// its subscribe, since a bare one means quote only by users' reports.
    pub(crate) fn drain(&mut self, mut send: impl FnMut(Command<'_>)) {
        let (mut gone, mut new) = (Vec::new(), Vec::new());
        let mut modes: [Vec<u32>; Mode::ALL.len()] = Default::default();
        for token in std::mem::take(&mut self.changed) {
            match (self.desired.get(&token), self.told.get(&token)) {
                (None, Some(_)) => {
                    self.told.remove(&token);
                    gone.push(token);
                }
                (Some(&mode), told) if told != Some(&mode) => {
                    if told.is_none() {
                        new.push(token);
                    }
                    self.told.insert(token, mode);
                    modes[mode as usize].push(token);
                }
                _ => {}
            }
        }
        if !gone.is_empty() {
            send(Command::Unsubscribe(&gone));
        }
        if !new.is_empty() {
            send(Command::Subscribe(&new));
        }
        for (mode, tokens) in Mode::ALL.into_iter().zip(&modes) {
            if !tokens.is_empty() {
                send(Command::Mode(mode, tokens));
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
        book.drain(|command| commands.push(command.to_string()));
        commands
    }

    #[test]
    fn a_new_socket_is_told_everything_in_a_fixed_order() {
        let mut book = Book::default();
        for (token, mode) in [(9, Mode::Ltp), (3, Mode::Full), (5, Mode::Quote), (1, Mode::Full)] {
            book.want(token, Some(mode));
        }
        let expected = [
            r#"{"a":"subscribe","v":[1,3,5,9]}"#,
            r#"{"a":"mode","v":["ltp",[9]]}"#,
            r#"{"a":"mode","v":["quote",[5]]}"#,
            r#"{"a":"mode","v":["full",[1,3]]}"#,
        ];
        assert_eq!(drained(&mut book), expected);
        assert!(drained(&mut book).is_empty());
        book.forget_told();
        assert_eq!(drained(&mut book), expected);
    }

    #[test]
    fn only_differences_are_sent() {
        let mut book = Book::default();
        book.want(1, Some(Mode::Full));
        book.want(2, Some(Mode::Ltp));
        drained(&mut book);
        book.want(1, None);
        book.want(1, Some(Mode::Full));
        book.want(3, Some(Mode::Ltp));
        book.want(3, None);
        book.want(2, Some(Mode::Quote));
        assert_eq!(drained(&mut book), [r#"{"a":"mode","v":["quote",[2]]}"#]);
        book.want(2, None);
        assert_eq!(drained(&mut book), [r#"{"a":"unsubscribe","v":[2]}"#]);
    }

    #[derive(Debug, Clone)]
    enum Op {
        Want(u32, Option<Mode>),
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
            6 => (0_u32..20, mode).prop_map(|(token, mode)| Op::Want(token, mode)),
            2 => Just(Op::Drain),
            1 => Just(Op::Reconnect),
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
                    Op::Want(token, mode) => {
                        book.want(token, mode);
                        continue;
                    }
                    Op::Drain => {}
                    Op::Reconnect => {
                        book.forget_told();
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
