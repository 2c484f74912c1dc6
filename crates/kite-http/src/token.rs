//! The token that readers from other machines present.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use kite_manager::Secret;
use subtle::ConstantTimeEq;

use crate::error::HttpError;

/// The shortest token accepted: 16 characters of base64 are 96 bits.
const LEAST: usize = 16;

/// Checks that readers can be asked for a token.
///
/// # Errors
/// [`HttpError::TokenCharacter`] or [`HttpError::TokenTooShort`].
pub fn check_token(token: &Secret) -> Result<(), HttpError> {
    let text = token.expose();
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(HttpError::TokenCharacter);
    }
    match text.len() {
        len if len < LEAST => Err(HttpError::TokenTooShort { len, least: LEAST }),
        _ => Ok(()),
    }
}

/// A token, sent as `Authorization: Bearer TOKEN`.
#[derive(Debug, Clone)]
pub(crate) struct Token(Secret);

impl Token {
    pub(crate) fn new(secret: Secret) -> Result<Self, HttpError> {
        check_token(&secret).map(|()| Self(secret))
    }

    /// Returns whether the headers have this token. The time taken depends on its length alone.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let (Some(value), None) = (values.next(), values.next()) else { return false };
        let Some((scheme, sent)) = value.to_str().ok().and_then(|it| it.split_once(' ')) else {
            return false;
        };
        let is_equal = sent.trim_matches(' ').as_bytes().ct_eq(self.0.expose().as_bytes());
        scheme.eq_ignore_ascii_case("bearer") && bool::from(is_equal)
    }
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    const SECRET: &str = "correct-horse-battery";

    fn is_in(values: &[&str]) -> bool {
        let token = Token::new(Secret::new(SECRET)).unwrap();
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_str(value).unwrap());
        }
        token.is_in(&headers)
    }

    #[test]
    fn only_the_whole_token_is_accepted_and_only_once() {
        assert!(is_in(&["Bearer correct-horse-battery"]));
        assert!(is_in(&["bearer  correct-horse-battery"]));
        for values in [
            &[][..],
            &["correct-horse-battery"],
            &["Bearer"],
            &["Bearer "],
            &["Bearer correct-horse-batter"],
            &["Bearer correct-horse-battery2"],
            &["Bearer Correct-horse-battery"],
            &["Basic correct-horse-battery"],
            &["Bearer correct-horse-battery", "Bearer correct-horse-battery"],
        ] {
            assert!(!is_in(values), "{values:?}");
        }
    }

    #[test]
    fn weak_tokens_are_refused_and_none_is_shown() {
        let refused = |text: &str| Token::new(Secret::new(text)).unwrap_err().to_string();
        assert_eq!(refused(""), "the token has 0 characters: at least 16 are needed");
        assert_eq!(
            refused("fifteen-letters"),
            "the token has 15 characters: at least 16 are needed"
        );
        assert_eq!(
            refused("sixteen letters-and-more"),
            "the token has a character other than visible ASCII"
        );
        let token = Token::new(Secret::new(SECRET)).unwrap();
        assert!(!format!("{token:?}").contains(SECRET));
    }
}
