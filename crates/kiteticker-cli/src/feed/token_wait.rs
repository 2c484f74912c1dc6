//! Whether connections wait for a new access token, so that a wait is announced once for all.

use std::collections::BTreeSet;

use kite_conn::{Event, OpenError};
use kite_manager::Seat;

/// A wait for a token, as the events of the connections show it.
#[derive(Debug, Default)]
pub(super) struct TokenWait {
    /// The connections that have not received credentials yet.
    waiting: BTreeSet<Seat>,
    /// The last refusal of the credentials.
    refusal: Option<OpenError>,
}

/// What has changed.
#[derive(Debug)]
pub(super) enum Change {
    /// The credentials were refused, and other ones are waited for.
    Began(Option<OpenError>),
    /// There are other credentials.
    Ended,
}

impl TokenWait {
    /// Returns whether a token is waited for.
    pub(super) fn lasts(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Handles an event of a connection.
    pub(super) fn on_event(&mut self, seat: &Seat, event: &Event) -> Option<Change> {
        match event {
            Event::OpenFailed { error, .. } if error.is_auth() => {
                self.refusal = Some(error.clone());
                None
            }
            Event::Renewing { refused: true, .. } => {
                let lasts = self.lasts();
                self.waiting.insert(seat.clone());
                (!lasts).then(|| Change::Began(self.refusal.clone()))
            }
            // The others receive the same credentials.
            Event::Opening { .. } if self.waiting.contains(seat) => self.end(),
            _ => None,
        }
    }

    /// Ends the wait if no connection waits any more, although no event said so.
    pub(super) fn on_none_waiting(&mut self) -> Option<Change> {
        if self.lasts() { self.end() } else { None }
    }

    fn end(&mut self) -> Option<Change> {
        self.waiting.clear();
        Some(Change::Ended)
    }
}
