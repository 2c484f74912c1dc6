//! What a command changes in a client's book: its instruments and their modes.

use kite_wire::{CommandKind, Mode, ParsedCommand};

/// The number of a client's socket. The caller uses each number once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// One instrument that a command names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// The instrument token.
    pub token: u32,
    /// Its mode in the client's book before the command; `None` if it was not subscribed.
    pub from: Option<Mode>,
    /// Its mode after the command. May be the same as before.
    pub to: Option<Mode>,
}

/// Why a book changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Cause {
    /// A subscribe, which means quote mode, but which a `mode` command may follow.
    Subscribe,
    /// A `mode` command.
    Mode,
    /// An unsubscribe, or the end of the client's socket.
    Unsubscribe,
}

/// What one command changes in one client's book: each instrument at most once, by ascending
/// token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Changes {
    cause: Cause,
    all: Vec<Change>,
}

impl Changes {
    /// Returns what a command changes in a book, of which `mode_of` returns the present mode of an
    /// instrument.
    ///
    /// Instruments that are already in the requested mode are included, because the command
    /// confirms it. Those to unsubscribe that are not subscribed are left out.
    #[must_use]
    pub fn of(command: ParsedCommand<'_>, mode_of: impl Fn(u32) -> Option<Mode>) -> Self {
        let (cause, to) = match command.kind {
            CommandKind::Subscribe => (Cause::Subscribe, Some(Mode::Quote)),
            CommandKind::Mode(mode) => (Cause::Mode, Some(mode)),
            CommandKind::Unsubscribe => (Cause::Unsubscribe, None),
        };
        let mut tokens: Vec<u32> = command.tokens.collect();
        tokens.sort_unstable();
        tokens.dedup();
        let change = |token| Change { token, from: mode_of(token), to };
        let all = tokens.into_iter().map(change);
        let all = all.filter(|change| change.from.is_some() || change.to.is_some()).collect();
        Self { cause, all }
    }

    /// Returns the changes of a client that leaves, from its whole book.
    #[must_use]
    pub fn leaving(book: impl IntoIterator<Item = (u32, Mode)>) -> Self {
        let change = |(token, mode)| Change { token, from: Some(mode), to: None };
        let mut all: Vec<Change> = book.into_iter().map(change).collect();
        all.sort_unstable_by_key(|change| change.token);
        all.dedup_by_key(|change| change.token);
        Self { cause: Cause::Unsubscribe, all }
    }

    /// Returns why the book changes.
    #[must_use]
    pub fn cause(&self) -> Cause {
        self.cause
    }

    /// Returns the change of an instrument, if the command names it.
    #[must_use]
    pub fn get(&self, token: u32) -> Option<&Change> {
        let found = self.all.binary_search_by_key(&token, |change| change.token).ok()?;
        self.all.get(found)
    }

    /// Iterates by ascending token.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Change> + Clone {
        self.all.iter()
    }

    /// Returns how many instruments enter the book, for the limit of a socket.
    #[must_use]
    pub fn added(&self) -> usize {
        self.all.iter().filter(|change| change.from.is_none()).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(token: u32, from: Option<Mode>, to: Option<Mode>) -> Change {
        Change { token, from, to }
    }

    #[test]
    fn each_instrument_changes_once_and_in_order() {
        let has = |token| (token < 3).then_some(Mode::Ltp);
        let of = |text| Changes::of(ParsedCommand::parse(text).unwrap(), has);
        let subscribed = of(r#"{"a":"subscribe","v":[9,2,9,1]}"#);
        let quote = Some(Mode::Quote);
        let (one, two) = (change(1, Some(Mode::Ltp), quote), change(2, Some(Mode::Ltp), quote));
        assert_eq!(subscribed.all, [one, two, change(9, None, quote)]);
        assert_eq!((subscribed.cause(), subscribed.added()), (Cause::Subscribe, 1));
        let mode = of(r#"{"a":"mode","v":["ltp",[2]]}"#);
        assert_eq!(mode.all, [change(2, Some(Mode::Ltp), Some(Mode::Ltp))]);
        let gone = of(r#"{"a":"unsubscribe","v":[9,2]}"#);
        assert_eq!(gone.all, [change(2, Some(Mode::Ltp), None)]);
        assert_eq!((gone.get(2), gone.get(9)), (gone.all.first(), None));
        assert_eq!(Changes::leaving([(2, Mode::Ltp)]), gone);
    }
}
