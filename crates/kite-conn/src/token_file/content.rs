//! The text of a credentials file.

use kite_wire::plain::{trimmed, without_mark};

use super::TokenFileError;
use crate::credentials::{Credentials, Secret};

/// Reads the key and the token.
pub(super) fn parse(bytes: &[u8]) -> Result<Credentials, TokenFileError> {
    let bytes = without_mark(bytes);
    // The error of `from_utf8` would hold the text.
    let text = std::str::from_utf8(&bytes).map_err(|_| TokenFileError::NotText)?;
    let (mut key, mut token) = (None, None);
    let lines = (1..).zip(text.lines().map(trimmed));
    for (line, text) in lines.filter(|(_, text)| !text.is_empty() && !text.starts_with('#')) {
        let (name, value) = text.split_once('=').ok_or(TokenFileError::Form { line })?;
        let (place, name) = match trimmed(name) {
            "api_key" => (&mut key, "api_key"),
            "access_token" => (&mut token, "access_token"),
            _ => return Err(TokenFileError::Name { line }),
        };
        let value = Secret::from(trimmed(unquoted(trimmed(value))));
        if place.replace(value).is_some() {
            return Err(TokenFileError::Again { line, name });
        }
    }
    let required = |value: Option<Secret>, name| {
        value.filter(|value| !value.expose().is_empty()).ok_or(TokenFileError::Missing { name })
    };
    let (key, token) = (required(key, "api_key")?, required(token, "access_token")?);
    Ok(Credentials::new(key.expose(), token.expose()))
}

fn unquoted(value: &str) -> &str {
    let inner = |quote| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
    inner('"').or_else(|| inner('\'')).unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "verysecrettoken";

    #[test]
    fn a_file_may_have_comments_blank_lines_and_quotes() {
        let text = "# mine\n\n api_key=\"k\" \r\naccess_token = 'a=b#c'\n";
        assert_eq!(parse(text.as_bytes()), Ok(Credentials::new("k", "a=b#c")));
    }

    #[test]
    fn a_file_is_read_as_editors_and_shells_write_it() {
        let text = "\u{feff}api_key\u{a0}= k\r\n \t\r\naccess_token = \" a=b \"\u{200b}\r\n";
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &utf16] {
            assert_eq!(parse(bytes), Ok(Credentials::new("k", "a=b")));
        }
    }

    #[test]
    fn mistakes_are_reported_by_line_without_the_files_text() {
        for (text, expected) in [
            (format!("api_key = k\n{TOKEN}\n"), TokenFileError::Form { line: 2 }),
            (format!("token = {TOKEN}\n"), TokenFileError::Name { line: 1 }),
            (
                format!("access_token = {TOKEN}\naccess_token = {TOKEN}\n"),
                TokenFileError::Again { line: 2, name: "access_token" },
            ),
            (format!("access_token = {TOKEN}\n"), TokenFileError::Missing { name: "api_key" }),
            (
                "api_key = k\naccess_token = ''\n".into(),
                TokenFileError::Missing { name: "access_token" },
            ),
        ] {
            let error = parse(text.as_bytes()).unwrap_err();
            assert!(!format!("{error} {error:?}").contains(TOKEN));
            assert_eq!(error, expected);
        }
        let torn = [b"access_token = ", TOKEN.as_bytes(), b"\xff"].concat();
        assert_eq!(parse(&torn), Err(TokenFileError::NotText));
    }
}
