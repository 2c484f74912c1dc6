//! The secrets of a connection, because a server or a proxy may echo them in its texts.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::endpoint::Endpoint;
use super::spelling::Spellings;
use crate::credentials::Secret;

/// Tokens live for at most a day, so older ones have long expired.
const REMEMBERED: usize = 8;

/// Number of bytes of the shortest token that is searched for in frames. Kite's have 32, and what is
/// much shorter occurs in orders by chance.
const SHORTEST_IN_FRAMES: usize = 8;

/// The access tokens used last, without repetition, and the values of the endpoint's query.
///
/// Everything that a server sends as text is redacted here before the application receives it.
#[derive(Debug)]
pub(crate) struct Secrets {
    tokens: VecDeque<Secret>,
    endpoint: Endpoint,
    spellings: Arc<Spellings>,
    /// Those of the tokens alone.
    in_frames: Spellings,
}

impl Secrets {
    pub(crate) fn new(endpoint: Endpoint) -> Self {
        let spellings = Arc::new(Spellings::of(endpoint.secrets()));
        Self { tokens: VecDeque::new(), endpoint, spellings, in_frames: Spellings::of([]) }
    }

    /// Records a token in use; returns the spellings of all secrets.
    pub(crate) fn remember(&mut self, token: &Secret) -> Arc<Spellings> {
        if self.tokens.front() != Some(token) {
            self.tokens.retain(|it| it != token);
            self.tokens.push_front(token.clone());
            self.tokens.truncate(REMEMBERED);
            let tokens = self.tokens.iter().map(|token| token.expose().to_owned());
            let long = tokens.clone().filter(|token| token.len() >= SHORTEST_IN_FRAMES);
            self.in_frames = Spellings::of(long);
            self.spellings = Arc::new(Spellings::of(tokens.chain(self.endpoint.secrets())));
        }
        Arc::clone(&self.spellings)
    }

    /// Redacts a text.
    pub(crate) fn redact(&self, text: String) -> String {
        self.spellings.redact(text)
    }

    /// Redacts access tokens in a text frame; `None` if it has none. Values of the endpoint's query
    /// are left, since a word such as `full` is part of many orders.
    pub(crate) fn redact_frame(&self, text: &str) -> Option<Bytes> {
        let is_found = self.in_frames.occur_in(text);
        is_found.then(|| self.in_frames.redact_body(text.as_bytes(), true).into())
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::text::TextMessage;

    use super::*;

    #[test]
    fn the_last_eight_tokens_are_remembered() {
        let mut secrets = Secrets::new(Endpoint::default());
        for n in [0, 1, 0, 2, 3, 4, 5, 6, 7, 8] {
            secrets.remember(&Secret::from(format!("t0k3n-{n}")));
        }
        let text = (0..9).map(|n| format!("t0k3n-{n} ")).collect();
        let kept = "t0k3n-1 ".to_owned() + &"[redacted] ".repeat(7);
        assert_eq!(secrets.redact(text), "[redacted] ".to_owned() + &kept);
        assert!(!format!("{secrets:?}").contains("t0k3n"));
    }

    #[test]
    fn only_a_frame_with_a_secret_is_replaced() {
        let mut secrets = Secrets::new(Endpoint::default());
        secrets.remember(&Secret::from("tok3n/+x"));
        assert_eq!(secrets.redact_frame(r#"{"type":"error","data":"a\nb"}"#), None);
        for echoed in ["tok3n/+x", r"tok3n\/+x", r"\u0074ok3n/+x", "tok3n%2F%2Bx"] {
            let frame = format!(r#"{{"type":"error","data":"no {echoed}"}}"#);
            let redacted = secrets.redact_frame(&frame).unwrap();
            let message = TextMessage::parse(std::str::from_utf8(&redacted).unwrap()).unwrap();
            assert_eq!(message, TextMessage::Error("no [redacted]".to_owned()), "{echoed}");
        }
    }
}
