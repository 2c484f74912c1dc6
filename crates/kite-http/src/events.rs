//! The event stream of the page: the state, and what changes of it, as server-sent events.
//!
//! The streams wait for turns, two a second, and each writes what its browser lacks once its
//! connection has room. How that is decided stands in `follower`, without I/O.

pub(crate) mod board;
pub(crate) mod follower;
pub(crate) mod shown;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::extract::{RawQuery, State as Shared};
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderName};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::Stream;
use futures_util::stream::unfold;
use kite_manager::Stamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{MissedTickBehavior, interval};

use self::board::Board;
use self::follower::{Follower, Newest};
use self::shown::Shown;
use crate::history::Counts;
use crate::prices::view::View;
use crate::state::State;

/// The time between two turns.
const TURN: Duration = Duration::from_millis(500);

/// The time between two samples of the counts, and of the state if there is a browser.
const SAMPLE_EVERY: Duration = Duration::from_secs(1);

/// Keeps proxies from collecting events before they pass them on.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

/// What event streams are written from.
#[derive(Debug)]
pub(crate) struct Live {
    board: Mutex<Board>,
    /// Counts the turns.
    turns: watch::Sender<u64>,
    places: Arc<Semaphore>,
    /// When the board's state was read last.
    read: Mutex<Option<Instant>>,
}

impl Live {
    /// `connections` is the number of connections of the server, a quarter of which event streams do
    /// not take, so that metrics and health can be read however many pages are open.
    pub(crate) fn new(connections: usize) -> Self {
        let places = (connections - connections / 4).min(Semaphore::MAX_PERMITS);
        Self {
            board: Mutex::new(Board::new(Stamp::now().to_unix_ns().to_string())),
            turns: watch::Sender::new(0),
            places: Arc::new(Semaphore::new(places)),
            read: Mutex::default(),
        }
    }

    /// Reads the state unless it was read within the last turn.
    fn refresh(&self, state: &State) {
        let mut read = self.read.lock();
        if read.is_some_and(|at| at.elapsed() < TURN) {
            return;
        }
        *read = Some(Instant::now());
        let sampled = state.snapshot();
        let subscribed = shown::merged(state.manager.distribution());
        let mut board = self.board.lock();
        board.set_status(&Shown::new(&sampled.status));
        board.set_incidents(&sampled.status.incidents);
        board.directory.set(subscribed, |token| state.names.name(token));
    }
}

/// Takes the samples and the turns, for ever.
pub(crate) async fn publish(state: State) {
    let began = Instant::now();
    let mut sampled = None;
    let mut turns = interval(TURN);
    turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        turns.tick().await;
        let now = Instant::now();
        // A turn may be some milliseconds early.
        let is_due = |at: Instant| now.duration_since(at) + TURN / 2 >= SAMPLE_EVERY;
        let is_watched = state.live.turns.receiver_count() > 0;
        if sampled.is_none_or(is_due) {
            sampled = Some(now);
            let counts = state.counts();
            state.live.board.lock().history.sample(now.duration_since(began), counts);
            if is_watched {
                state.live.refresh(&state);
            }
        }
        state.live.turns.send_modify(|turn| *turn += 1);
    }
}

impl State {
    /// Returns the counts that rates are computed from. Cheaper than a snapshot.
    fn counts(&self) -> Counts {
        let statuses = self.manager.statuses();
        let mut counts = Counts { ticks: Some(0), bytes: Some(0), ..Counts::default() };
        for (_, stats) in &statuses {
            counts.ticks = counts.ticks.map(|ticks| ticks + stats.ticks);
            counts.bytes = counts.bytes.map(|bytes| bytes + stats.bytes);
        }
        counts.ticks_out = self.relay.as_ref().map(|read| read().ticks_out);
        counts.on_disk = self.recorder.as_ref().map(|(_, read)| read().bytes_on_disk);
        counts
    }
}

/// Answers `/events`, whose query says which prices are shown.
pub(crate) async fn events(Shared(state): Shared<State>, RawQuery(query): RawQuery) -> Response {
    let view = match View::from_query(&query.unwrap_or_default()) {
        Ok(view) => view,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let Ok(place) = Arc::clone(&state.live.places).try_acquire_owned() else {
        return (StatusCode::SERVICE_UNAVAILABLE, "too many pages are open\n").into_response();
    };
    state.live.refresh(&state);
    let body = Body::from_stream(stream(state, view, place));
    ([(CONTENT_TYPE, "text/event-stream"), UNBUFFERED], body).into_response()
}

/// The events of one browser. Polled only while its connection has room.
fn stream(
    state: State,
    view: View,
    place: OwnedSemaphorePermit,
) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let mut turns = state.live.turns.subscribe();
    // The first events do not wait for a turn.
    turns.mark_changed();
    unfold((Follower::new(view), turns, state, place), async |mut it| {
        loop {
            let (follower, turns, state, _) = &mut it;
            // An error means that the sender was dropped, but the state has it.
            turns.changed().await.ok()?;
            if let Some(text) = follow(follower, state) {
                return Some((Ok(text), it));
            }
        }
    })
}

fn follow(follower: &mut Follower, state: &State) -> Option<Bytes> {
    let latest = state.manager.latest();
    let newest = |token| {
        let tick = latest.as_ref()?.get(token)?;
        Some(Newest { tick: tick.tick(), received: tick.received() })
    };
    follower.next(&state.live.board.lock(), newest, Stamp::now())
}
