//! The newest ticks of instruments, as the rows that an export has.

use std::cell::LazyCell;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use kite_export::TickLines;
use kite_manager::{LatestTick, Manager};
use kite_wire::tape::{Received, Source};
use serde_json::json;

use crate::events::shown::merged;
use crate::router::json;
use crate::state::State;

/// Instruments of one request.
const MOST: usize = 1_000;

/// Answers `/api/latest?i=NSE:INFY&i=408065`.
pub(crate) async fn latest(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let asked: Vec<_> = form_urlencoded::parse(query.as_bytes())
        .filter_map(|(key, value)| (key == "i").then_some(value))
        .take(MOST + 1)
        .collect();
    if asked.is_empty() || asked.len() > MOST {
        let error = format!("expected 1 to {MOST} instruments, such as ?i=NSE:INFY&i=408065");
        return failed(StatusCode::BAD_REQUEST, &json!({ "error": error }));
    }
    let Some(latest) = state.manager.latest() else {
        let error = json!({ "error": "the newest ticks are not kept" });
        return failed(StatusCode::SERVICE_UNAVAILABLE, &error);
    };
    let subscribed = LazyCell::new(|| merged(state.manager.distribution()));
    // Every number is a token, but not every token is that of an instrument.
    let is_known = |name: &str, token| {
        name.parse::<u32>().is_err()
            || state.names.name(token).is_some()
            || subscribed.contains_key(&token)
    };
    let (mut found, mut unknown, mut without_tick) = (Vec::new(), Vec::new(), Vec::new());
    for name in &asked {
        match state.token(name) {
            None => unknown.push(name),
            Some(token) => match latest.get(token) {
                Some(tick) => found.push(tick),
                None if is_known(name, token) => without_tick.push(name),
                None => unknown.push(name),
            },
        }
    }
    if found.len() < asked.len() {
        let error = "instruments without a tick";
        let body = json!({ "error": error, "unknown": unknown, "without_tick": without_tick });
        return failed(StatusCode::NOT_FOUND, &body);
    }
    json(ticks(&state, &found))
}

/// Returns ticks as a JSON array, in their order.
pub(crate) fn ticks(state: &State, ticks: &[LatestTick]) -> Bytes {
    let names = Arc::clone(&state.names);
    // A formatter for each request, because names may become known later.
    let mut lines = TickLines::new(move |token| names.name(token));
    for tick in ticks {
        lines.push(received(&state.manager, tick), tick.packet());
    }
    array(&lines.take())
}

fn received(manager: &Manager, tick: &LatestTick) -> Received {
    let seat = manager.seat_of(tick);
    let number = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
    let source =
        Source { account: number(seat.account_index), connection: number(seat.connection) };
    Received { recv_unix_ns: tick.received().to_unix_ns(), source }
}

/// Makes lines elements of an array. A line of JSON has no line feed but the one at its end.
fn array(lines: &[u8]) -> Bytes {
    let lines = lines.strip_suffix(b"\n").unwrap_or(lines);
    let mut array = Vec::with_capacity(lines.len() + 2);
    array.push(b'[');
    array.extend(lines.iter().map(|&byte| if byte == b'\n' { b',' } else { byte }));
    array.push(b']');
    array.into()
}

fn failed(status: StatusCode, body: &serde_json::Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

impl State {
    /// Returns the token that a reader means by a name or a number.
    pub(crate) fn token(&self, name: &str) -> Option<u32> {
        self.names.token(name).or_else(|| name.parse().ok())
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
