//! A client's commands: subscribe, unsubscribe and mode, written as JSON and parsed.
//!
//! Neither direction allocates. The parser also accepts what other clients write: any white space,
//! keys in any order, unknown keys. Like the server, it ignores tokens written as strings.

use core::fmt;

use crate::error::CommandError;
use crate::mode::Mode;

/// A command to the server; [`fmt::Display`] writes its JSON.
///
/// ```
/// use kite_wire::{Command, Mode};
///
/// assert_eq!(
///     Command::Mode(Mode::Full, &[408_065]).to_string(),
///     r#"{"a":"mode","v":["full",[408065]]}"#
/// );
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command<'a> {
    /// Subscribes instruments; a bare subscribe means [`Mode::Quote`].
    Subscribe(&'a [u32]),
    /// Unsubscribes instruments.
    Unsubscribe(&'a [u32]),
    /// Sets the mode of subscribed instruments.
    Mode(Mode, &'a [u32]),
}

impl<'a> Command<'a> {
    /// Creates a command from its kind and its instruments.
    #[must_use]
    pub const fn new(kind: CommandKind, tokens: &'a [u32]) -> Self {
        match kind {
            CommandKind::Subscribe => Self::Subscribe(tokens),
            CommandKind::Unsubscribe => Self::Unsubscribe(tokens),
            CommandKind::Mode(mode) => Self::Mode(mode, tokens),
        }
    }

    /// Returns the requested action.
    #[must_use]
    pub const fn kind(self) -> CommandKind {
        match self {
            Self::Subscribe(_) => CommandKind::Subscribe,
            Self::Unsubscribe(_) => CommandKind::Unsubscribe,
            Self::Mode(mode, _) => CommandKind::Mode(mode),
        }
    }

    /// Returns the instruments that the command names.
    #[must_use]
    pub const fn tokens(self) -> &'a [u32] {
        let (Self::Subscribe(tokens) | Self::Unsubscribe(tokens) | Self::Mode(_, tokens)) = self;
        tokens
    }

    /// Splits the command into commands of at most `most` instruments (at least one) each.
    pub fn chunks(self, most: usize) -> impl Iterator<Item = Self> {
        let chunks = self.tokens().chunks(most.max(1));
        chunks.map(move |tokens| Self::new(self.kind(), tokens))
    }
}

impl fmt::Display for Command<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (tokens, end) = match self {
            Self::Subscribe(tokens) => {
                f.write_str(r#"{"a":"subscribe","v":["#)?;
                (tokens, "]}")
            }
            Self::Unsubscribe(tokens) => {
                f.write_str(r#"{"a":"unsubscribe","v":["#)?;
                (tokens, "]}")
            }
            Self::Mode(mode, tokens) => {
                write!(f, r#"{{"a":"mode","v":["{mode}",["#)?;
                (tokens, "]]}")
            }
        };
        let mut separator = "";
        for token in *tokens {
            write!(f, "{separator}{token}")?;
            separator = ",";
        }
        f.write_str(end)
    }
}

/// The action of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CommandKind {
    /// Subscribes instruments.
    Subscribe,
    /// Unsubscribes instruments.
    Unsubscribe,
    /// Sets a mode.
    Mode(Mode),
}

/// A command read from a client's text frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedCommand<'a> {
    /// The requested action.
    pub kind: CommandKind,
    /// The instruments that the command names.
    pub tokens: TokenList<'a>,
}

/// The instrument tokens of a command, read from its text while iterating.
///
/// Like the server, it ignores elements that are not unsigned 32-bit integers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenList<'a> {
    cursor: Cursor<'a>,
}

impl<'a> ParsedCommand<'a> {
    /// Reads the JSON of a command.
    ///
    /// # Errors
    /// Returns [`CommandError`] if a field is missing, unknown or malformed.
    pub fn parse(text: &'a str) -> Result<Self, CommandError> {
        let mut cursor = Cursor { text: text.as_bytes(), at: 0 };
        let (mut action, mut value) = (None, None);
        cursor.expect(b'{')?;
        if !cursor.accept(b'}') {
            loop {
                let key = cursor.string()?;
                cursor.expect(b':')?;
                match key {
                    b"a" if cursor.peek() == Some(b'"') => action = Some(cursor.string()?),
                    b"v" => {
                        cursor.skip_space();
                        value = Some(cursor.clone());
                        cursor.skip_value(0)?;
                    }
                    _ => cursor.skip_value(0)?,
                }
                if cursor.accept(b'}') {
                    break;
                }
                cursor.expect(b',')?;
            }
        }
        if cursor.peek().is_some() {
            return Err(cursor.malformed());
        }
        let action = action.ok_or(CommandError::Missing { field: "a" })?;
        let mut value = value.ok_or(CommandError::Missing { field: "v" })?;
        let kind = match action {
            b"subscribe" => CommandKind::Subscribe,
            b"unsubscribe" => CommandKind::Unsubscribe,
            b"mode" => {
                let wrong = CommandError::WrongValue { offset: value.at };
                value.expect(b'[').map_err(|_| wrong)?;
                let name = value.string().map_err(|_| wrong)?;
                let mode = core::str::from_utf8(name).ok().and_then(|name| name.parse().ok());
                value.expect(b',').map_err(|_| wrong)?;
                CommandKind::Mode(mode.ok_or(CommandError::UnknownMode)?)
            }
            _ => return Err(CommandError::UnknownAction),
        };
        let wrong = CommandError::WrongValue { offset: value.at };
        value.expect(b'[').map_err(|_| wrong)?;
        Ok(Self { kind, tokens: TokenList { cursor: value } })
    }
}

impl TokenList<'_> {
    /// Returns how many of the remaining elements are ignored, such as tokens in quotes.
    #[must_use]
    pub fn ignored(&self) -> usize {
        let mut rest = self.clone();
        core::iter::from_fn(|| rest.next_element()).filter(Option::is_none).count()
    }

    /// Returns the next element, which holds no token if it is ignored.
    fn next_element(&mut self) -> Option<Option<u32>> {
        // `parse` checked the whole list, so it ends with its bracket.
        if self.cursor.peek()? == b']' {
            return None;
        }
        let start = self.cursor.at;
        self.cursor.skip_value(0).ok()?;
        let element = &self.cursor.text[start..self.cursor.at];
        self.cursor.accept(b',');
        Some(core::str::from_utf8(element).ok().and_then(|text| text.parse().ok()))
    }
}

impl Iterator for TokenList<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while let Some(element) = self.next_element() {
            if element.is_some() {
                return element;
            }
        }
        None
    }
}

/// Maximum depth of skipped values. Commands nest two deep.
const MAX_DEPTH: u8 = 16;

/// A position in a JSON string.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Cursor<'a> {
    text: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn malformed(&self) -> CommandError {
        CommandError::Malformed { offset: self.at }
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.text.get(self.at) {
            self.at += 1;
        }
    }

    fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.text.get(self.at).copied()
    }

    fn accept(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, byte: u8) -> Result<(), CommandError> {
        if self.accept(byte) { Ok(()) } else { Err(self.malformed()) }
    }

    /// Reads a string and returns its bytes as written, with escapes unresolved.
    fn string(&mut self) -> Result<&'a [u8], CommandError> {
        self.expect(b'"')?;
        let start = self.at;
        loop {
            match self.text.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                Some(_) => self.at += 1,
                None => return Err(self.malformed()),
            }
        }
        let inside = &self.text[start..self.at];
        self.at += 1;
        Ok(inside)
    }

    fn skip_value(&mut self, depth: u8) -> Result<(), CommandError> {
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'[') if depth < MAX_DEPTH => {
                self.at += 1;
                if self.accept(b']') {
                    return Ok(());
                }
                loop {
                    self.skip_value(depth + 1)?;
                    if self.accept(b']') {
                        return Ok(());
                    }
                    self.expect(b',')?;
                }
            }
            Some(b'{') if depth < MAX_DEPTH => {
                self.at += 1;
                if self.accept(b'}') {
                    return Ok(());
                }
                loop {
                    self.string()?;
                    self.expect(b':')?;
                    self.skip_value(depth + 1)?;
                    if self.accept(b'}') {
                        return Ok(());
                    }
                    self.expect(b',')?;
                }
            }
            Some(byte) if byte.is_ascii_alphanumeric() || byte == b'-' => {
                while let Some(byte) = self.text.get(self.at)
                    && (byte.is_ascii_alphanumeric() || b"+-.".contains(byte))
                {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(self.malformed()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<(CommandKind, Vec<u32>), CommandError> {
        ParsedCommand::parse(text).map(|command| (command.kind, command.tokens.collect()))
    }

    #[test]
    fn commands_are_the_documented_json() {
        let tokens = [408_065, 884_737];
        assert_eq!(
            Command::Subscribe(&tokens).to_string(),
            r#"{"a":"subscribe","v":[408065,884737]}"#
        );
        assert_eq!(Command::Unsubscribe(&[]).to_string(), r#"{"a":"unsubscribe","v":[]}"#);
    }

    #[test]
    fn other_spacing_other_order_and_extra_keys_are_read() {
        let text =
            " {\"v\" : [ \"full\" , [ 1 ,\t2 ] ], \"id\": {\"x\":[null,true]}, \"a\":\"mode\" }\n";
        assert_eq!(parse(text), Ok((CommandKind::Mode(Mode::Full), Vec::from([1, 2]))));
    }

    #[test]
    fn tokens_written_as_strings_are_ignored() {
        let text = r#"{"a":"subscribe","v":[1,"2",-3,4.5,99999999999,[6],7]}"#;
        assert_eq!(parse(text), Ok((CommandKind::Subscribe, Vec::from([1, 7]))));
        let ignored = |text| ParsedCommand::parse(text).unwrap().tokens.ignored();
        assert_eq!(ignored(text), 5);
        assert_eq!(ignored(r#"{"a":"mode","v":["full",["408065", 5]]}"#), 1);
        assert_eq!(ignored(r#"{"a":"subscribe","v":[1, 2]}"#), 0);
    }

    #[test]
    fn errors_name_what_is_wrong() {
        use CommandError::{Malformed, Missing, UnknownAction, UnknownMode, WrongValue};
        assert_eq!(parse("{}"), Err(Missing { field: "a" }));
        assert_eq!(parse(r#"{"a":"subscribe"}"#), Err(Missing { field: "v" }));
        assert_eq!(parse(r#"{"a":"buy","v":[1]}"#), Err(UnknownAction));
        assert_eq!(parse(r#"{"a":"mode","v":["deep",[1]]}"#), Err(UnknownMode));
        assert_eq!(parse(r#"{"a":"subscribe","v":7}"#), Err(WrongValue { offset: 21 }));
        assert_eq!(parse(r#"{"a":"subscribe","v":[1}"#), Err(Malformed { offset: 23 }));
        assert_eq!(parse(&"[".repeat(100_000)), Err(Malformed { offset: 0 }));
    }

    proptest! {
        #[test]
        fn commands_read_back_in_chunks(
            tokens in proptest::collection::vec(any::<u32>(), 1..50),
            most in 1_usize..60,
        ) {
            for command in [Command::Subscribe(&tokens), Command::Mode(Mode::Ltp, &tokens)] {
                let mut read = Vec::new();
                for chunk in command.chunks(most) {
                    let text = chunk.to_string();
                    let parsed = ParsedCommand::parse(&text).unwrap();
                    let before = read.len();
                    read.extend(parsed.tokens);
                    prop_assert!(read.len() - before <= most);
                }
                prop_assert_eq!(&read, &tokens);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn nearly_json_never_panics(text in "[\\[\\]{}\",:av0-9\\\\ ]{0,60}") {
            let _ = parse(&text);
        }
    }
}
