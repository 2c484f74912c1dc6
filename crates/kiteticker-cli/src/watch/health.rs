//! The state of the connections, and the data that did not reach the screen.

use std::collections::BTreeMap;
use std::time::Instant;

use kite_conn::{Event, Phase};
use kite_manager::Snapshot;
use kite_wire::UnixSeconds;

/// Counts of events and data that did not reach the screen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Losses {
    /// Ticks replaced by newer ones, or dropped, because the display was slower.
    pub(crate) lagged: u64,
    /// Times that a connection lost ticks and recovered.
    pub(crate) gaps: u64,
    /// Events missed because the display was slower.
    pub(crate) events: u64,
}

/// The newest figures of the feed, updated by events.
#[derive(Debug, Default)]
pub(crate) struct Health {
    pub(crate) feed: Snapshot,
    pub(crate) losses: Losses,
    /// When waiting connections retry.
    pub(crate) retry_at: BTreeMap<usize, Instant>,
    /// The newest exchange time.
    pub(crate) exchange_unix_s: Option<u32>,
}

impl Health {
    /// Processes an event from a connection.
    pub(crate) fn on_connection(&mut self, connection: usize, event: &Event, now: Instant) {
        let phase = match event {
            Event::Up { .. } => Some(Phase::Live),
            Event::Down { .. } | Event::Opening { .. } => Some(Phase::Opening),
            Event::Retry { .. } => Some(Phase::Waiting),
            Event::Renewing { .. } => Some(Phase::Renewing),
            Event::Parked(_) => Some(Phase::Parked),
            Event::Closed { .. } => Some(Phase::Closed),
            _ => None,
        };
        // The figures are updated once a second; events are faster.
        if let (Some(phase), Some(known)) = (phase, self.feed.connections.get_mut(connection)) {
            known.phase = phase;
        }
        match event {
            Event::Retry { delay, .. } => {
                self.retry_at.insert(connection, now + *delay);
            }
            Event::Gap(_) => self.losses.gaps += 1,
            _ => {}
        }
    }

    /// Returns whether every connection is up.
    pub(crate) fn are_all_live(&self) -> bool {
        let connections = &self.feed.connections;
        !connections.is_empty() && connections.iter().all(|it| it.phase == Phase::Live)
    }

    /// Forgets the newest exchange time: the ticks to come are older.
    pub(crate) fn forget_exchange_time(&mut self) {
        self.exchange_unix_s = None;
    }

    /// Processes the exchange time of a tick, if it has one.
    pub(crate) fn on_exchange_time(&mut self, time: Option<UnixSeconds>) {
        self.exchange_unix_s = self.exchange_unix_s.max(time.map(UnixSeconds::get));
    }
}
