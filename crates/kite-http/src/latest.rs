//! The newest ticks of instruments, as the rows that an export has.

use std::cell::LazyCell;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use kite_export::TickLines;
use kite_manager::{LatestTick, Manager};
use kite_wire::tape::{Received, Source};
use serde_json::json;

use crate::asked::{self, Refusal, array};
use crate::events::shown::merged;
use crate::router::json;
use crate::state::State;

/// Instruments of one request.
const MOST: usize = 1_000;

/// Answers `/api/latest?i=NSE:INFY&i=408065`.
pub(crate) async fn latest(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let asked = asked::names(&query, MOST)?;
    let Some(latest) = state.manager.latest() else {
        let error = json!({ "error": "the newest ticks are not kept" });
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error));
    };
    let subscribed = LazyCell::new(|| merged(state.manager.distribution()));
    let is_known =
        |name: &str, token| state.is_known(name, token) || subscribed.contains_key(&token);
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
        return Err(Refusal::new(StatusCode::NOT_FOUND, body));
    }
    Ok(json(ticks(&state, &found)))
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
