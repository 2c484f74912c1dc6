//! What one browser has got, and what it gets next.
//!
//! Nothing is queued for a browser. When its connection has room, it gets the difference between the
//! newest state and what it has got, so that one that reads slowly skips states and is never behind.

use bytes::Bytes;
use kite_manager::Stamp;
use kite_wire::Tick;
use serde::Serialize;

use super::board::{Board, event};
use crate::history::Point;
use crate::prices::row::{Panel, Row};
use crate::prices::view::View;

/// The newest tick of an instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Newest {
    pub(crate) tick: Tick,
    pub(crate) received: Stamp,
}

/// One browser's event stream.
#[derive(Debug)]
pub(crate) struct Follower {
    view: View,
    /// The versions of what it has got, zero for nothing.
    status: u64,
    incidents: u64,
    /// The number of the newest point that it has got.
    points: u64,
    directory: Option<u64>,
    /// The instruments that it shows, each with the time of the tick that it has got.
    rows: Vec<(u32, Option<Stamp>)>,
    panel: Option<Stamp>,
}

#[derive(Serialize)]
struct Rates<'a> {
    run: &'a str,
    /// The number of the newest point.
    newest: u64,
    /// Whether the points replace those that the browser has.
    all: bool,
    points: Vec<&'a Point>,
}

#[derive(Serialize)]
struct List<'a> {
    subscribed: usize,
    found: usize,
    from: usize,
    rows: Vec<Named<'a>>,
}

#[derive(Serialize)]
struct Named<'a> {
    token: u32,
    name: &'a str,
}

#[derive(Serialize)]
struct Prices<'a> {
    rows: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    panel: Option<Panel<'a>>,
}

impl Follower {
    pub(crate) fn new(view: View) -> Self {
        Self {
            view,
            status: 0,
            incidents: 0,
            points: 0,
            directory: None,
            rows: Vec::new(),
            panel: None,
        }
    }

    /// Returns the events that bring the browser from what it has got to the newest state; `None` if
    /// it has got that.
    pub(crate) fn next(
        &mut self,
        board: &Board,
        newest: impl Fn(u32) -> Option<Newest>,
        now: Stamp,
    ) -> Option<Bytes> {
        let mut text = String::new();
        board.status.push_unseen(&mut text, &mut self.status);
        board.incidents.push_unseen(&mut text, &mut self.incidents);
        self.push_rates(&mut text, board);
        self.push_list(&mut text, board);
        self.push_prices(&mut text, board, newest, now);
        Some(text).filter(|text| !text.is_empty()).map(Bytes::from)
    }

    fn push_rates(&mut self, text: &mut String, board: &Board) {
        let (newest, is_first) = (board.history.newest(), self.points == 0);
        if is_first
            && let Some((run, seen)) = self.view.has.take()
            && run == board.run
        {
            self.points = seen;
        }
        let before = self.points;
        if newest != before {
            self.points = newest;
            let points = board.history.since(before).collect();
            let rates = Rates { run: &board.run, newest, all: before == 0, points };
            text.push_str(&event("rates", &rates));
        }
    }

    fn push_list(&mut self, text: &mut String, board: &Board) {
        let version = Some(board.directory.version());
        if self.directory == version {
            return;
        }
        self.directory = version;
        let rows = board.directory.rows(&self.view);
        self.rows = rows.shown.iter().map(|entry| (entry.token, None)).collect();
        self.panel = None;
        let list = List {
            subscribed: board.directory.len(),
            found: rows.found,
            from: self.view.from,
            rows: rows
                .shown
                .iter()
                .map(|entry| Named { token: entry.token, name: &entry.name })
                .collect(),
        };
        text.push_str(&event("list", &list));
    }

    fn push_prices(
        &mut self,
        text: &mut String,
        board: &Board,
        newest: impl Fn(u32) -> Option<Newest>,
        now: Stamp,
    ) {
        let age_ms = |at: Stamp| u64::try_from(now.since(at).as_millis()).unwrap_or(u64::MAX);
        let mut rows = Vec::new();
        for (token, shown) in &mut self.rows {
            if let Some(found) = newest(*token)
                && *shown != Some(found.received)
            {
                *shown = Some(found.received);
                rows.push(Row::new(&found.tick, age_ms(found.received)));
            }
        }
        let panel = self.view.depth.and_then(|token| board.directory.get(token));
        let panel = panel.and_then(|entry| {
            let found = newest(entry.token);
            let at = found.map_or(Stamp::from_nanos(0), |found| found.received);
            let is_new = self.panel.replace(at) != Some(at);
            let tick = found.as_ref().map(|found| (&found.tick, age_ms(found.received)));
            is_new.then(|| Panel::new(entry, tick))
        });
        if !rows.is_empty() || panel.is_some() {
            text.push_str(&event("prices", &Prices { rows, panel }));
        }
    }
}

#[cfg(test)]
mod tests;
