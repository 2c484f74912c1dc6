//! The paths of the server.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::bars;
use crate::events;
use crate::guard::{self, Guard};
use crate::latest;
use crate::metrics;
use crate::page;
use crate::state::State;

/// Creates the router. Routes above `check_token` have data and need the token; those below, such as
/// the files of a page, have none and need none, because a browser sends no token with a link.
///
/// A handler reads `State`: `snapshot` for what changes once a second, already encoded as JSON, and
/// `latest::ticks` for prices. It has neither to check the request nor to add headers.
pub(crate) fn router(state: State, guard: Arc<Guard>) -> Router {
    Router::new()
        .route("/metrics", get(scrape))
        .route("/readyz", get(readyz))
        .route("/api/status", get(status))
        .route("/api/latest", get(latest::latest))
        .route("/api/candles", get(bars::candles))
        .route("/events", get(events::events))
        .route_layer(from_fn_with_state(Arc::clone(&guard), guard::check_token))
        .route("/healthz", get(healthz))
        .merge(page::routes())
        .fallback(not_found)
        .layer(from_fn_with_state(guard, guard::check))
        .with_state(state)
}

async fn scrape(Shared(state): Shared<State>) -> Response {
    let text = state.snapshot().metrics(&state.manager);
    ([(CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}

async fn status(Shared(state): Shared<State>) -> Response {
    json(state.snapshot().json())
}

async fn healthz() -> &'static str {
    "ok\n"
}

async fn readyz(Shared(state): Shared<State>) -> Response {
    let sampled = state.snapshot();
    let readiness = &sampled.status.readiness;
    if readiness.is_ready {
        return "ready\n".into_response();
    }
    let reasons: String = readiness.reasons.iter().flat_map(|reason| [reason, "\n"]).collect();
    (StatusCode::SERVICE_UNAVAILABLE, reasons).into_response()
}

async fn not_found() -> (StatusCode, &'static str) {
    (StatusCode::NOT_FOUND, "there is nothing here\n")
}

/// Returns a response of JSON.
pub(crate) fn json(body: Bytes) -> Response {
    ([(CONTENT_TYPE, "application/json")], body).into_response()
}
