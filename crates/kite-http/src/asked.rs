//! The instruments that a request names, and answers of JSON.

use std::borrow::Cow;

use axum::body::Bytes;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use crate::state::State;

/// Returns the instruments of a query, as they are written.
///
/// # Errors
/// Returns the refusal of a request that names none, or more than `most`.
pub(crate) fn names(query: &str, most: usize) -> Result<Vec<Cow<'_, str>>, Refusal> {
    let asked: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(key, value)| (key == "i").then_some(value))
        .take(most + 1)
        .collect();
    if asked.is_empty() || asked.len() > most {
        let error = format!("expected 1 to {most} instruments, such as ?i=NSE:INFY&i=408065");
        return Err(Refusal::new(StatusCode::BAD_REQUEST, json!({ "error": error })));
    }
    Ok(asked)
}

/// Makes lines elements of an array. A line of JSON has no line feed but the one at its end.
pub(crate) fn array(lines: &[u8]) -> Bytes {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut array = Vec::with_capacity(lines.len() + 2);
    array.push(b'[');
    array.extend(lines.iter().map(|&byte| if byte == b'\n' { b',' } else { byte }));
    array.push(b']');
    array.into()
}

/// The answer to a request that cannot be fulfilled, which says why.
#[derive(Debug)]
pub(crate) struct Refusal {
    status: StatusCode,
    body: serde_json::Value,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, body: serde_json::Value) -> Self {
        Self { status, body }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let content_type = [(CONTENT_TYPE, "application/json")];
        (self.status, content_type, self.body.to_string()).into_response()
    }
}

impl State {
    /// Returns the token that a reader means by a name or a number.
    pub(crate) fn token(&self, name: &str) -> Option<u32> {
        self.names.token(name).or_else(|| name.parse().ok())
    }

    /// Returns whether a token that a reader means is that of an instrument, as far as names show.
    /// Every number is a token, but not every token is that of an instrument.
    pub(crate) fn is_known(&self, name: &str, token: u32) -> bool {
        name.parse::<u32>().is_err() || self.names.name(token).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_an_array() {
        assert_eq!(array(b""), "[]");
        assert_eq!(array(b"{\"a\":1}\n"), "[{\"a\":1}]");
        assert_eq!(array(b"{\"a\":1}\n{\"a\":2}\n"), "[{\"a\":1},{\"a\":2}]");
    }
}
