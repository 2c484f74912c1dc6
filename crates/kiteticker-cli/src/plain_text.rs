//! Text from outside the command, in files, on standard input and in the environment: as editors,
//! spreadsheets and shells write it, with a byte order mark, CRLF and blanks.

use std::io::{self, Read};

pub(crate) use kite_instruments::trimmed;
use kite_instruments::without_mark;

/// Reads at most this much: more is no list or file that a person wrote.
const MOST_BYTES: u64 = 16 << 20;

/// Reads a whole text, without its byte order mark.
pub(crate) fn read(source: impl Read) -> io::Result<String> {
    let mut bytes = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it is larger than 16 MiB"));
    }
    // The error of `from_utf8` would hold the text, which may have an access token.
    String::from_utf8(without_mark(&bytes).into_owned())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8 text"))
}

/// Iterates over the lines of a text that are not blank, with their numbers, counted from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines().map(trimmed)).filter(|(_, line)| !line.is_empty())
}

/// Returns an environment variable; `None` if it is not set, blank or not valid text.
pub(crate) fn variable(name: &str) -> Option<String> {
    let value = std::env::var(name).ok()?;
    Some(trimmed(&value)).filter(|value| !value.is_empty()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_read_in_utf8_and_utf16_and_nothing_else() {
        let text = "\u{feff}NSE:INFY\r\n";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &utf16] {
            assert_eq!(read(bytes).unwrap(), "NSE:INFY\r\n");
        }
        let error = read(b"secret\xff".as_slice()).unwrap_err();
        assert_eq!(error.to_string(), "it is not UTF-8 text");
        assert!(!format!("{error:?}").contains("secret"));
        assert!(read(io::repeat(b' ')).is_err(), "an endless source");
    }

    #[test]
    fn lines_are_numbered_and_blank_ones_left_out() {
        let text = " a\r\n\r\n\u{a0}\nb\u{feff}";
        assert_eq!(lines(text).collect::<Vec<_>>(), [(1, "a"), (4, "b")]);
    }
}
