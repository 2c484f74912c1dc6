//! The answer to a request for bars.

use std::cell::LazyCell;

use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::response::Response;
use kite_candles::{Bar, Every};
use kite_export::{BarLines, BarRow};
use kite_manager::Stamp;
use kite_wire::ist::Day;
use serde_json::json;

use super::Length;
use crate::asked::{self, Refusal};
use crate::events::shown::merged;
use crate::router::json;
use crate::state::State;

/// Instruments of one request.
const MOST: usize = 100;

/// Answers `/api/candles?i=NSE:INFY&every=1m`.
pub(crate) async fn candles(
    Shared(state): Shared<State>,
    RawQuery(query): RawQuery,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    if state.lengths.is_empty() {
        let error = json!({ "error": "bars are not kept" });
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error));
    }
    let length = length(&state, &query)?;
    let asked = asked::names(&query, MOST)?;
    let subscribed = LazyCell::new(|| merged(state.manager.distribution()));
    let today = Day::at_unix_ns(Stamp::now().to_unix_ns());
    let (mut unknown, mut not_subscribed) = (Vec::new(), Vec::new());
    let mut lines = BarLines::json(false);
    let kept = length.kept.lock();
    for name in &asked {
        let Some(token) = state.token(name) else {
            unknown.push(name);
            continue;
        };
        let symbol = state.names.name(token);
        let ended = kept.bars.get(token, today).unwrap_or_default();
        let last = ended.last().map(|bar| bar.start);
        let is_newer = |bar: &Bar| {
            Day::at_unix_s(bar.start.get().into()) == today
                && last.is_none_or(|last| bar.start > last)
        };
        let newer = kept.stream.newest(token).filter(is_newer);
        let mut bars = ended.iter().copied().chain(newer).peekable();
        if bars.peek().is_none() && !subscribed.contains_key(&token) {
            let known = state.is_known(name, token);
            if known { &mut not_subscribed } else { &mut unknown }.push(name);
        }
        for bar in bars {
            lines.push(BarRow { bar: &bar, every: length.every, symbol: symbol.as_deref() });
        }
    }
    if !(unknown.is_empty() && not_subscribed.is_empty()) {
        let error = "instruments without bars";
        let body = json!({ "error": error, "unknown": unknown, "not_subscribed": not_subscribed });
        return Err(Refusal::new(StatusCode::NOT_FOUND, body));
    }
    Ok(json(asked::array(&lines.take())))
}

/// Returns the length that is asked for; it may be left out if there is one.
fn length<'a>(state: &'a State, query: &str) -> Result<&'a Length, Refusal> {
    let kept: Vec<String> = state.lengths.iter().map(|it| it.every.to_string()).collect();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    let asked = pairs.find_map(|(key, value)| (key == "every").then_some(value));
    let Some(asked) = asked else {
        if let [only] = &state.lengths[..] {
            return Ok(only);
        }
        let error = format!("expected a length, such as every={}", kept[0]);
        let body = json!({ "error": error, "kept": kept });
        return Err(Refusal::new(StatusCode::BAD_REQUEST, body));
    };
    let every = asked.parse::<Every>().map_err(|error| {
        let body = json!({ "error": format!("every is {error}") });
        Refusal::new(StatusCode::BAD_REQUEST, body)
    })?;
    state.lengths.iter().find(|it| it.every == every).ok_or_else(|| {
        let error = format!("bars of {every} are not kept");
        Refusal::new(StatusCode::NOT_FOUND, json!({ "error": error, "kept": kept }))
    })
}
