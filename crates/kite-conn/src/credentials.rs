//! The API key and the access token, kept out of everything that is printed.
//!
//! Tokens are neither renewed nor checked here, because only the server can check one.

use std::fmt;

/// Maximum number of characters of the API key that `Debug` shows.
const SHOWN_KEY_CHARS: usize = 4;

/// A string that must not be printed.
///
/// `Debug` shows a placeholder, there is no `Display`, and only [`expose`](Self::expose) returns
/// the string.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a string.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the string itself. Keep it out of logs and errors.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// What the server requires at the handshake: an API key and the day's access token.
///
/// Tokens expire every morning (about 06:00 to 07:35 IST) and when a new one is issued for the same
/// key. An open socket survives that; the next handshake fails.
///
/// `Debug` shows at most the first four characters of the key, and no part of the token.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    api_key: String,
    access_token: Secret,
}

impl Credentials {
    /// Pairs an API key with an access token. Both are sent percent-encoded: pass them raw. The
    /// token may be empty if a [`TokenSource`](crate::TokenSource) provides it.
    #[must_use]
    pub fn new(api_key: impl Into<String>, access_token: impl Into<String>) -> Self {
        Self { api_key: api_key.into(), access_token: Secret::new(access_token) }
    }

    /// Returns the API key.
    #[must_use]
    pub fn api_key(&self) -> &str {
        &self.api_key
    }

    /// Returns the access token, still wrapped.
    #[must_use]
    pub fn access_token(&self) -> &Secret {
        &self.access_token
    }

    /// Returns the same API key with another access token.
    #[must_use]
    pub fn with_access_token(self, access_token: impl Into<Secret>) -> Self {
        Self { access_token: access_token.into(), ..self }
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // At most half of a short key, so that no key is shown whole.
        let shown = (self.api_key.chars().count() / 2).min(SHOWN_KEY_CHARS);
        let mut key: String = self.api_key.chars().take(shown).collect();
        key.push('…');
        f.debug_struct("Credentials")
            .field("api_key", &key)
            .field("access_token", &self.access_token)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Account {
        _credentials: Option<Credentials>,
        _tokens: Vec<Secret>,
    }

    #[test]
    fn debug_shows_four_characters_of_the_key_and_none_of_the_token() {
        let credentials = Credentials::new("abcdefghijkl", "s3cr3t-token");
        let shown = format!("{credentials:?}");
        assert_eq!(shown, r#"Credentials { api_key: "abcd…", access_token: [redacted] }"#);
    }

    #[test]
    fn debug_never_shows_a_short_key_whole() {
        assert!(format!("{:?}", Credentials::new("abcd", "t")).contains(r#""ab…""#));
        assert!(format!("{:?}", Credentials::new("a", "t")).contains(r#""…""#));
        assert!(format!("{:?}", Credentials::new("अआइईउऊऋए", "t")).contains(r#""अआइई…""#));
    }

    #[test]
    fn nested_debug_hides_key_and_token() {
        let account = Account {
            _credentials: Some(Credentials::new("abcdefghijkl", "s3cr3t-token")),
            _tokens: vec![Secret::from("s3cr3t-token")],
        };
        for shown in [format!("{account:?}"), format!("{account:#?}")] {
            assert!(!shown.contains("s3cr3t"), "{shown}");
            assert!(!shown.contains("abcde"), "{shown}");
            assert!(shown.contains("abcd…"), "{shown}");
        }
    }

    #[test]
    fn a_new_token_keeps_the_key() {
        let renewed = Credentials::new("key", "old").with_access_token("new");
        assert_eq!(renewed, Credentials::new("key", "new"));
        assert_ne!(renewed, Credentials::new("key", "old"));
        assert_eq!(renewed.access_token().expose(), "new");
    }
}
