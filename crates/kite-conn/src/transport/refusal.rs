//! A response other than 101, and whether it means that the credentials are bad.

use std::fmt;
use std::time::Duration;

use serde_json::Value;

use super::body::Body;
use super::retry_after::Asked;
use super::spelling::Spellings;
use crate::one_line::OneLine;

/// Maximum number of characters of the server's message in an error.
const SHOWN_MESSAGE_CHARS: usize = 200;

/// A server's refusal of a handshake, or a proxy's of `CONNECT`.
///
/// Any access token of this connection (of the last eight), value of the endpoint's query or
/// credential of the proxy that the response echoes, no matter how escaped, is replaced by
/// `[redacted]`, if necessary along with the whole body. Query values and proxy users of less than
/// four bytes are not redacted.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Refusal {
    /// The HTTP status.
    pub status: u16,
    /// The message of Kite's JSON error, `{"status":"error","message":"…"}`; `None` if the body is
    /// anything else, such as the HTML page of a load balancer, or is a proxy's.
    pub message: Option<String>,
    /// The body as text, at most 16 KiB of it; bytes that are not UTF-8 are replaced.
    pub body: String,
    /// Whether `body` is all that the server sent. False if it was cut off by the limit, the
    /// connect timeout or a broken connection.
    pub body_complete: bool,
    /// The `Retry-After` header, at most a day; [`OpenError::retry_after`] returns how much of it
    /// is followed. A date is compared with the response's `Date`, or with the local clock if it
    /// has none; a date in the past is zero.
    ///
    /// [`OpenError::retry_after`]: crate::OpenError::retry_after
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub(super) fn new(
        status: u16,
        body: &Body,
        retry_after: Option<Duration>,
        secrets: &Spellings,
    ) -> Self {
        Self {
            status,
            message: kite_message(&body.bytes).map(|message| secrets.redact(message)),
            body: secrets.redact_body(&body.bytes, body.complete),
            body_complete: body.complete,
            retry_after,
        }
    }

    /// Creates the refusal of a proxy. It has no `message`, so it never counts as a refusal of
    /// Kite's credentials.
    pub(super) fn by_proxy(
        status: u16,
        body: &Body,
        retry_after: Option<Duration>,
        secrets: &Spellings,
    ) -> Self {
        Self { message: None, ..Self::new(status, body, retry_after, secrets) }
    }

    /// Returns whether new credentials are needed: 400, 401 or 403 with Kite's JSON error.
    ///
    /// The same statuses without it are from a proxy, a firewall or the load balancer and are
    /// unrelated to the credentials.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        matches!(self.status, 400 | 401 | 403) && self.message.is_some()
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server refused the handshake with status {}", self.status)?;
        if let Some(message) = &self.message {
            let shown: String = message.chars().take(SHOWN_MESSAGE_CHARS).collect();
            write!(f, ": {}", OneLine(shown))?;
        }
        Asked(self.retry_after).fmt(f)
    }
}

/// Returns the message of Kite's JSON error.
fn kite_message(body: &[u8]) -> Option<String> {
    let value: Value = serde_json::from_slice(body).ok()?;
    if value.get("status")?.as_str()? != "error" {
        return None;
    }
    Some(value.get("message")?.as_str()?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, body: &str) -> Refusal {
        refusal_with("tok3n/+x", status, body, true)
    }

    fn refusal_with(token: &str, status: u16, body: &str, complete: bool) -> Refusal {
        let body = Body { bytes: body.into(), complete };
        Refusal::new(status, &body, None, &Spellings::of([token.to_owned()]))
    }

    #[test]
    fn kites_json_error_with_400_401_403_is_an_authentication_failure() {
        let body = r#"{"status":"error","message":"Authentication failed.","error_type":"x"}"#;
        for status in [400, 401, 403] {
            let refusal = refusal(status, body);
            assert!(refusal.is_auth());
            assert_eq!(refusal.message.as_deref(), Some("Authentication failed."));
        }
        for status in [200, 302, 404, 429, 500, 503] {
            assert!(!refusal(status, body).is_auth(), "{status}");
        }
    }

    #[test]
    fn any_other_body_is_not_an_authentication_failure() {
        for body in [
            "",
            "<html><body>400 Bad Request</body></html>",
            "{",
            "null",
            "[]",
            r#"{"message":"x"}"#,
            r#"{"status":"error"}"#,
            r#"{"status":"error","message":null}"#,
            r#"{"status":"ok","message":"x"}"#,
            r#"{"status":403,"message":"x"}"#,
        ] {
            let refusal = refusal(403, body);
            assert!(!refusal.is_auth(), "{body}");
            assert_eq!((refusal.message, refusal.body.as_str()), (None, body));
        }
    }

    #[test]
    fn the_token_is_redacted_however_it_is_encoded() {
        let body = r#"{"status":"error","message":"a tok3n\/+x b tok3n%2F%2Bx c tok3n%2f%2bx d \u0074ok3n/+x e tok3n/+x"}"#;
        let refusal = refusal(403, body);
        let expected = "a [redacted] b [redacted] c [redacted] d [redacted] e [redacted]";
        assert_eq!(refusal.message.as_deref(), Some(expected));
        assert_eq!(refusal.body, format!(r#"{{"message":"{expected}","status":"error"}}"#));
        assert!(refusal.is_auth());
    }

    #[test]
    fn a_token_cut_off_at_the_end_is_removed() {
        let cut = refusal_with("abcdefgh", 500, "no: abcdef", false);
        assert_eq!((cut.body.as_str(), cut.body_complete), ("no: ", false));
        let whole = refusal_with("abcdefgh", 500, "no: abcdef", true);
        assert_eq!((whole.body.as_str(), whole.body_complete), ("no: abcdef", true));
    }

    #[test]
    fn an_empty_token_redacts_nothing() {
        assert_eq!(refusal_with("", 500, "text", false).body, "text");
    }

    #[test]
    fn display_is_one_short_line() {
        let body = format!(r#"{{"status":"error","message":"a\nb{}"}}"#, "x".repeat(500));
        let shown = refusal(403, &body).to_string();
        assert!(shown.starts_with("the server refused the handshake with status 403: a bx"));
        assert!(shown.len() < 260 && !shown.contains('\n'), "{shown}");
        assert_eq!(
            refusal(502, "<html>").to_string(),
            "the server refused the handshake with status 502"
        );
        let body = Body { bytes: body.into(), complete: true };
        let day = Some(std::time::Duration::from_secs(86_400));
        let shown = Refusal::new(503, &body, day, &Spellings::of([])).to_string();
        assert!(shown.ends_with("xx (retry after 86400 s)") && shown.len() < 280, "{shown}");
    }
}
