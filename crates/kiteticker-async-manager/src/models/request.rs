//! Commands to the server, as owned values.

use std::fmt;

use kite_wire::{Command, CommandKind};

use crate::models::Mode;

/// A command to the server; [`fmt::Display`] writes its JSON.
///
/// The manager and the ticker write their own commands. This type is for programs that use a
/// socket directly, and for tests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    kind: CommandKind,
    instrument_tokens: Vec<u32>,
}

impl Request {
    /// Creates the command that subscribes to instruments, in [`Mode::Quote`] unless a mode command
    /// follows.
    #[must_use]
    pub fn subscribe(instrument_tokens: &[u32]) -> Self {
        Self::new(CommandKind::Subscribe, instrument_tokens)
    }

    /// Creates the command that sets the mode of subscribed instruments.
    #[must_use]
    pub fn mode(mode: Mode, instrument_tokens: &[u32]) -> Self {
        Self::new(CommandKind::Mode(mode.into()), instrument_tokens)
    }

    /// Creates the command that unsubscribes from instruments.
    #[must_use]
    pub fn unsubscribe(instrument_tokens: &[u32]) -> Self {
        Self::new(CommandKind::Unsubscribe, instrument_tokens)
    }

    fn new(kind: CommandKind, instrument_tokens: &[u32]) -> Self {
        Self { kind, instrument_tokens: instrument_tokens.to_vec() }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = &self.instrument_tokens[..];
        let command = match self.kind {
            CommandKind::Subscribe => Command::Subscribe(tokens),
            CommandKind::Unsubscribe => Command::Unsubscribe(tokens),
            CommandKind::Mode(mode) => Command::Mode(mode, tokens),
        };
        command.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_print_the_documented_json() {
        let tokens = [408_065, 884_737];
        assert_eq!(
            Request::subscribe(&tokens).to_string(),
            r#"{"a":"subscribe","v":[408065,884737]}"#
        );
        assert_eq!(
            Request::unsubscribe(&tokens).to_string(),
            r#"{"a":"unsubscribe","v":[408065,884737]}"#
        );
        assert_eq!(
            Request::mode(Mode::Full, &tokens[..1]).to_string(),
            r#"{"a":"mode","v":["full",[408065]]}"#
        );
        assert_eq!(Request::subscribe(&[]).to_string(), r#"{"a":"subscribe","v":[]}"#);
    }
}
