//! The instruments of one socket with their modes, and what a command does to them.
//!
//! Independent of sockets and of the source of packets; the owner stores its own data with each
//! instrument.

use std::collections::{BTreeMap, HashMap};

use kite_wire::{CommandKind, Mode, ParsedCommand};

/// The instruments of one socket, each with its mode and the owner's `T`.
#[derive(Debug)]
pub struct Subscriptions<T> {
    items: Vec<Subscription<T>>,
    position_by_token: HashMap<u32, usize>,
}

/// One instrument of a socket.
#[derive(Debug)]
pub struct Subscription<T> {
    /// The instrument's token.
    pub token: u32,
    /// The mode it is subscribed in.
    pub mode: Mode,
    /// The owner's data.
    pub owned: T,
}

/// A command would exceed the socket's limit of instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LimitExceeded;

impl<T> Default for Subscriptions<T> {
    fn default() -> Self {
        Self { items: Vec::new(), position_by_token: HashMap::new() }
    }
}

impl<T> Subscriptions<T> {
    /// Returns the number of instruments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Returns whether there are no instruments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the position of an instrument. Unsubscribing others may change it.
    #[must_use]
    pub fn position(&self, token: u32) -> Option<usize> {
        self.position_by_token.get(&token).copied()
    }

    /// Returns the instrument at a position below [`Subscriptions::len`].
    ///
    /// # Panics
    /// Panics at any other position.
    pub fn at(&mut self, position: usize) -> &mut Subscription<T> {
        &mut self.items[position]
    }

    /// Returns an instrument.
    #[must_use]
    pub fn get(&self, token: u32) -> Option<&Subscription<T>> {
        self.position(token).map(|position| &self.items[position])
    }

    /// Returns the instruments and their modes.
    #[must_use]
    pub fn modes(&self) -> BTreeMap<u32, Mode> {
        self.items.iter().map(|item| (item.token, item.mode)).collect()
    }

    /// Applies a command and returns the instruments to send a snapshot of, in ascending order: all
    /// that a subscribe names, or those whose mode a `mode` command changed.
    ///
    /// Unknown tokens are ignored. `add` creates the owner's data of a new instrument.
    ///
    /// # Errors
    /// Returns an error if the instruments would exceed `limit`; nothing has changed then.
    pub fn obey(
        &mut self,
        command: ParsedCommand<'_>,
        limit: usize,
        is_known: impl Fn(u32) -> bool,
        add: impl FnMut(u32) -> T,
    ) -> Result<Vec<u32>, LimitExceeded> {
        let named = command.tokens;
        match command.kind {
            CommandKind::Subscribe => {
                self.set(named, Mode::Quote, limit, is_known, add).map(|set| set.known)
            }
            CommandKind::Mode(mode) => {
                self.set(named, mode, limit, is_known, add).map(|set| set.changed)
            }
            CommandKind::Unsubscribe => {
                self.remove(named);
                Ok(Vec::new())
            }
        }
    }

    fn set(
        &mut self,
        named: impl IntoIterator<Item = u32>,
        mode: Mode,
        limit: usize,
        is_known: impl Fn(u32) -> bool,
        mut add: impl FnMut(u32) -> T,
    ) -> Result<Set, LimitExceeded> {
        let mut known: Vec<u32> = named.into_iter().filter(|&token| is_known(token)).collect();
        known.sort_unstable();
        known.dedup();
        let is_new = |token: &&u32| !self.position_by_token.contains_key(token);
        if self.items.len() + known.iter().filter(is_new).count() > limit {
            return Err(LimitExceeded);
        }
        let mut changed = Vec::with_capacity(known.len());
        for &token in &known {
            let is_changed = match self.position_by_token.get(&token) {
                Some(&position) => std::mem::replace(&mut self.items[position].mode, mode) != mode,
                None => {
                    self.position_by_token.insert(token, self.items.len());
                    self.items.push(Subscription { token, mode, owned: add(token) });
                    true
                }
            };
            if is_changed {
                changed.push(token);
            }
        }
        Ok(Set { known, changed })
    }

    /// Ends subscriptions; tokens that are not subscribed are ignored.
    fn remove(&mut self, named: impl IntoIterator<Item = u32>) {
        for token in named {
            if let Some(position) = self.position_by_token.remove(&token) {
                self.items.swap_remove(position);
                if let Some(moved) = self.items.get(position) {
                    self.position_by_token.insert(moved.token, position);
                }
            }
        }
    }
}

/// The result of setting the mode of instruments.
struct Set {
    /// The known ones, ascending and distinct.
    known: Vec<u32>,
    /// Those that were not subscribed before, or were in another mode.
    changed: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use kite_wire::Command;

    use super::*;

    const LIMIT: usize = 5;

    fn obey(
        subscriptions: &mut Subscriptions<()>,
        command: Command<'_>,
    ) -> Result<Vec<u32>, LimitExceeded> {
        let text = command.to_string();
        let command = ParsedCommand::parse(&text).unwrap();
        subscriptions.obey(command, LIMIT, |token| token < 100, |_| ())
    }

    #[test]
    fn a_command_beyond_the_limit_is_rejected_as_a_whole() {
        let mut held = Subscriptions::default();
        obey(&mut held, Command::Mode(Mode::Full, &[0, 1, 2, 3])).unwrap();
        assert_eq!(obey(&mut held, Command::Mode(Mode::Ltp, &[0, 7, 8])), Err(LimitExceeded));
        assert_eq!(held.modes(), (0..4).map(|token| (token, Mode::Full)).collect());
        // Subscribed, repeated and unknown tokens do not count.
        let named = [0, 4, 4, 100, 255];
        assert_eq!(obey(&mut held, Command::Mode(Mode::Full, &named)), Ok(vec![4]));
        assert_eq!(obey(&mut held, Command::Subscribe(&named)), Ok(vec![0, 4]));
        assert_eq!(held.get(4).map(|item| item.mode), Some(Mode::Quote));
    }

    #[test]
    fn unsubscribing_keeps_the_others_findable() {
        let mut held = Subscriptions::default();
        obey(&mut held, Command::Subscribe(&[0, 1, 2, 3, 4])).unwrap();
        obey(&mut held, Command::Unsubscribe(&[0, 3, 77])).unwrap();
        obey(&mut held, Command::Mode(Mode::Full, &[4])).unwrap();
        let modes = [(1, Mode::Quote), (2, Mode::Quote), (4, Mode::Full)];
        assert_eq!(held.modes(), modes.into());
        for (token, mode) in modes {
            let position = held.position(token).unwrap();
            assert_eq!((held.at(position).token, held.at(position).mode), (token, mode));
        }
        obey(&mut held, Command::Unsubscribe(&[1, 2, 4])).unwrap();
        assert!(held.is_empty());
    }
}
