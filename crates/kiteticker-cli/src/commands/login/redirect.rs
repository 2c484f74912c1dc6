//! What a login leads to: the URL with the request token. No socket here.

use std::fmt;

use kite_conn::Secret;
use kite_conn::rustls::crypto::ring;
use kite_server::request::form_value;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use subtle::ConstantTimeEq as _;

use crate::exit::CliError;

/// A random text that comes back with the login, which shows that the login is the one that was
/// begun here. `Debug` does not show it.
#[derive(Clone)]
pub(super) struct State(String);

impl State {
    /// Creates a state of 128 bits.
    ///
    /// # Errors
    /// Returns an error if the operating system has no random numbers.
    pub(super) fn random() -> Result<Self, CliError> {
        let mut bytes = [0; 16];
        let filled = ring::default_provider().secure_random.fill(&mut bytes);
        filled.map_err(|_| CliError::unable("the operating system has no random numbers"))?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// Compares in a time that depends on lengths only.
    fn is(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("State")
    }
}

/// Returns the URL of the login page.
pub(super) fn login_url(page: &str, api_key: &str, state: &State) -> String {
    const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    let escaped = |text: &str| utf8_percent_encode(text, ESCAPED).to_string();
    let (key, passed) = (escaped(api_key), escaped(&format!("state={}", state.0)));
    format!("{page}?v=3&api_key={key}&redirect_params={passed}")
}

/// What the query of a redirect says.
#[derive(Debug)]
pub(super) enum Redirect {
    /// The user logged in.
    LoggedIn(Secret),
    /// The login failed, or was cancelled; with the words of the page.
    Failed(String),
    /// It is not the redirect of this login.
    Foreign,
}

/// Reads the query of a redirect, which must have the state.
pub(super) fn read(query: &str, state: &State) -> Redirect {
    match form_value(query, "state") {
        Some(other) if state.is(&other) => outcome(query),
        _ => Redirect::Foreign,
    }
}

/// Reads the outcome in a query whose state is right.
pub(super) fn outcome(query: &str) -> Redirect {
    let value = |name| form_value(query, name).filter(|value: &String| !value.is_empty());
    let is_success = value("status").is_none_or(|status| status == "success");
    match value("request_token").filter(|token| is_success && is_token(token)) {
        Some(token) => Redirect::LoggedIn(token.into()),
        None => {
            let words = value("message").or_else(|| value("error_type"));
            Redirect::Failed(words.unwrap_or_else(|| "it gave no reason".to_owned()))
        }
    }
}

/// Returns whether a text may be a request token.
pub(super) fn is_token(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
    !text.is_empty() && text.len() <= 256 && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> State {
        State("s7a7e".into())
    }

    fn said(query: &str) -> String {
        match read(query, &state()) {
            Redirect::LoggedIn(token) => format!("token {}", token.expose()),
            Redirect::Failed(words) => format!("failed: {words}"),
            Redirect::Foreign => "foreign".to_owned(),
        }
    }

    #[test]
    fn the_login_url_has_the_key_and_the_state_and_nothing_else() {
        assert_eq!(
            login_url("https://kite.zerodha.com/connect/login", "a&b", &state()),
            "https://kite.zerodha.com/connect/login?v=3&api_key=a%26b&\
             redirect_params=state%3Ds7a7e"
        );
    }

    #[test]
    fn only_the_right_state_is_a_login() {
        assert_eq!(said("status=success&request_token=abc&state=s7a7e"), "token abc");
        assert_eq!(said("state=s7a7e&request_token=abc"), "token abc");
        for query in [
            "",
            "request_token=abc",
            "request_token=abc&state=",
            "request_token=abc&state=S7A7E",
            "request_token=abc&state=s7a7",
            "request_token=abc&state=s7a7e2",
            "request_token=abc&xstate=s7a7e",
        ] {
            assert_eq!(said(query), "foreign", "{query}");
        }
    }

    #[test]
    fn a_login_without_a_token_has_failed() {
        let cancelled = "status=error&message=Login+cancelled&state=s7a7e";
        assert_eq!(said(cancelled), "failed: Login cancelled");
        for query in
            ["state=s7a7e", "state=s7a7e&request_token=", "state=s7a7e&request_token=a%0Ab"]
        {
            assert_eq!(said(query), "failed: it gave no reason", "{query}");
        }
        assert!(said("status=error&request_token=abc&state=s7a7e").starts_with("failed"));
    }

    #[test]
    fn states_are_random_and_not_shown() {
        let [a, b] = [(); 2].map(|()| State::random().unwrap());
        assert!(a.0 != b.0 && a.0.len() == 32);
        assert!(!format!("{a:?}").contains(&a.0));
    }
}
