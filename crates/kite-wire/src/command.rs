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

/// The elements of a [`TokenList`] that are ignored, counted by the reason.
///
/// [`Display`](fmt::Display) writes the reasons in words, without the client's text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct IgnoredTokens {
    /// Elements that are not whole numbers, such as tokens in quotes.
    pub not_numbers: usize,
    /// Whole numbers that are negative or above 4,294,967,295.
    pub out_of_range: usize,
}

impl IgnoredTokens {
    /// Returns whether nothing is ignored.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for IgnoredTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reasons = [
            (self.not_numbers, "whole numbers without quotes"),
            (self.out_of_range, "from 0 to 4,294,967,295"),
        ];
        let mut joint = "";
        for (count, wanted) in reasons.into_iter().filter(|(count, _)| *count > 0) {
            let are = if count == 1 { "is" } else { "are" };
            write!(f, "{joint}instrument tokens must be {wanted}; {count} of the list {are} not")?;
            joint = ", and ";
        }
        Ok(())
    }
}

impl<'a> TokenList<'a> {
    /// Returns how many of the remaining elements are ignored, such as tokens in quotes.
    #[must_use]
    pub fn ignored(&self) -> IgnoredTokens {
        let mut rest = self.clone();
        let mut ignored = IgnoredTokens::default();
        while let Some(element) = rest.next_element() {
            if token(element).is_some() {
                continue;
            }
            let digits = element.strip_prefix(b"-").unwrap_or(element);
            match !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
                true => ignored.out_of_range += 1,
                false => ignored.not_numbers += 1,
            }
        }
        ignored
    }

    /// Returns the text of the next element.
    fn next_element(&mut self) -> Option<&'a [u8]> {
        // `parse` checked the whole list, so it ends with its bracket.
        if self.cursor.peek()? == b']' {
            return None;
        }
        let start = self.cursor.at;
        self.cursor.skip_value(0).ok()?;
        let element = &self.cursor.text[start..self.cursor.at];
        self.cursor.accept(b',');
        Some(element)
    }
}

/// Reads an element; one that is ignored is no token.
fn token(element: &[u8]) -> Option<u32> {
    core::str::from_utf8(element).ok()?.parse().ok()
}

impl Iterator for TokenList<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        while let Some(element) = self.next_element() {
            if let Some(token) = token(element) {
                return Some(token);
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
    }

    #[test]
    fn ignored_tokens_are_counted_by_the_reason() {
        let ignored = |list: &str| {
            let text = std::format!(r#"{{"a":"mode","v":["full",[{list}]]}}"#);
            let ignored = ParsedCommand::parse(&text).unwrap().tokens.ignored();
            assert_eq!(ignored.is_empty(), ignored.to_string().is_empty());
            (ignored.not_numbers, ignored.out_of_range, ignored.to_string())
        };
        assert_eq!(ignored("1, 4294967295"), (0, 0, String::new()));
        let text = "instrument tokens must be whole numbers without quotes; 1 of the list is not";
        for element in [r#""408065""#, r#""-1""#, "1.5", "1e3", "null", "[6]"] {
            assert_eq!(ignored(&std::format!("{element}, 5")), (1, 0, text.to_string()));
        }
        let text = "instrument tokens must be from 0 to 4,294,967,295; 1 of the list is not";
        for element in ["-1", "4294967296", "99999999999999999999999"] {
            assert_eq!(ignored(element), (0, 1, text.to_string()));
        }
        let text = "instrument tokens must be whole numbers without quotes; 1 of the list is not, \
                    and instrument tokens must be from 0 to 4,294,967,295; 2 of the list are not";
        assert_eq!(ignored(r#"-1, "2", 5000000000"#), (1, 2, text.to_string()));
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
