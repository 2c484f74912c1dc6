//! Text as editors, spreadsheets and shells write it: with a byte order mark, with blanks around
//! values.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

const UTF8_MARK: &[u8] = &[0xef, 0xbb, 0xbf];
const UTF16_LE_MARK: &[u8] = &[0xff, 0xfe];
const UTF16_BE_MARK: &[u8] = &[0xfe, 0xff];

/// Removes a byte order mark. If it is that of UTF-16, which PowerShell writes by `>`, the text is
/// converted to UTF-8; what is not valid UTF-16 becomes U+FFFD.
///
/// Text without a mark is returned as it is, valid or not.
///
/// ```
/// use kite_wire::plain::without_mark;
///
/// assert_eq!(*without_mark(b"\xef\xbb\xbfINFY"), *b"INFY");
/// assert_eq!(*without_mark(b"\xff\xfeT\0C\0S\0"), *b"TCS");
/// ```
#[must_use]
pub fn without_mark(bytes: &[u8]) -> Cow<'_, [u8]> {
    if let Some(rest) = bytes.strip_prefix(UTF8_MARK) {
        Cow::Borrowed(rest)
    } else if let Some(rest) = bytes.strip_prefix(UTF16_LE_MARK) {
        Cow::Owned(from_utf16(rest, u16::from_le_bytes))
    } else if let Some(rest) = bytes.strip_prefix(UTF16_BE_MARK) {
        Cow::Owned(from_utf16(rest, u16::from_be_bytes))
    } else {
        Cow::Borrowed(bytes)
    }
}

fn from_utf16(bytes: &[u8], unit: impl Fn([u8; 2]) -> u16) -> Vec<u8> {
    let units = bytes.chunks(2).map(|pair| match *pair {
        [first, second] => unit([first, second]),
        // An odd last byte is half of a unit.
        _ => char::REPLACEMENT_CHARACTER as u16,
    });
    let chars = char::decode_utf16(units).map(|char| char.unwrap_or(char::REPLACEMENT_CHARACTER));
    chars.collect::<String>().into_bytes()
}

/// Removes what editors and spreadsheets put around a value and do not show: blanks of all kinds,
/// line ends, byte order marks and zero-width spaces.
///
/// ```
/// use kite_wire::plain::trimmed;
///
/// assert_eq!(trimmed("\u{feff} NSE:NIFTY 50\u{a0}\r\n"), "NSE:NIFTY 50");
/// ```
#[must_use]
pub fn trimmed(text: &str) -> &str {
    text.trim_matches(|char: char| char.is_whitespace() || matches!(char, '\u{feff}' | '\u{200b}'))
}

/// Does the same for text that may not be valid UTF-8.
#[must_use]
#[inline]
pub fn trimmed_bytes(bytes: &[u8]) -> &[u8] {
    // Nearly all values of a list begin and end with a visible ASCII character.
    match bytes {
        [] => bytes,
        [only] if only.is_ascii_graphic() => bytes,
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => bytes,
        _ => core::str::from_utf8(bytes)
            .map_or_else(|_| bytes.trim_ascii(), |text| trimmed(text).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use std::prelude::rust_2024::*;

    use super::*;

    #[test]
    fn utf16_is_converted_in_both_byte_orders() {
        for (mark, bytes) in [
            (UTF16_LE_MARK, u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (UTF16_BE_MARK, u16::to_be_bytes),
        ] {
            let units: Vec<u8> = "₹ 𝄞,\r\n".encode_utf16().flat_map(bytes).collect();
            assert_eq!(*without_mark(&[mark, &units].concat()), *"₹ 𝄞,\r\n".as_bytes());
            let torn = [mark, &units[..3]].concat();
            assert_eq!(*without_mark(&torn), *"₹\u{fffd}".as_bytes());
        }
    }

    #[test]
    fn bytes_are_trimmed_as_text_is_and_never_within() {
        for text in ["", " ", "a", "\u{feff}a b\u{a0}", "\t\u{200b}é\r", "\u{feff}\u{feff}", "x "]
        {
            assert_eq!(trimmed_bytes(text.as_bytes()), trimmed(text).as_bytes(), "{text:?}");
        }
        assert_eq!(trimmed_bytes(b" \xff\xfe\n"), b"\xff\xfe", "not UTF-8");
    }
}
