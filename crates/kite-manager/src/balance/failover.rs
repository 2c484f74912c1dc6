//! Decides when the instruments of a connection move to other connections, and when they return.
//!
//! Performs no I/O and reads no clock; the caller reports what happens and when, and polls for
//! actions. The [`Balancer`](super::Balancer) decides where the instruments go.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::balance::Standing;
use crate::config::FailoverConfig;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its handshake is complete.
    Up,
    /// Its socket was lost or could not be opened.
    Down,
    /// It has stopped retrying.
    Parked,
}

/// What to do next. Each action is returned once and counts as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Hand over the instruments of this connection; call [`Failover::on_dark`] if some found no
    /// room.
    HandOver(usize),
    /// Return its instruments to this connection.
    GiveBack(usize),
    /// Nothing before this instant; if `None`, not before the next change.
    Wait(Option<Instant>),
}

/// The state of each connection, and since when.
#[derive(Debug)]
pub(crate) struct Failover {
    /// `None` if failover is off.
    config: Option<FailoverConfig>,
    connections: Vec<State>,
    /// The latest instant seen. Keeps time from running backwards if tasks report out of order.
    now: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Up,
    Down {
        since: Instant,
    },
    /// Its instruments have been handed over, as far as there was room.
    Away {
        /// When it came up again, if it is up.
        up_since: Option<Instant>,
        left: Left,
    },
}

/// What remained on the connection after a handover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Instruments that found no room elsewhere.
    Dark,
    /// Such instruments, and there may be room now.
    MayFit,
}

impl Failover {
    /// Creates the state for connections that open their first sockets now, so none is up yet.
    pub(crate) fn new(connections: usize, config: Option<FailoverConfig>, now: Instant) -> Self {
        Self { config, connections: vec![State::Down { since: now }; connections], now }
    }

    /// Records a change of a connection.
    pub(crate) fn handle(&mut self, now: Instant, connection: usize, change: Change) {
        let now = self.advance(now);
        let Some(state) = self.connections.get_mut(connection) else { return };
        let makes_room = matches!((*state, change), (State::Down { .. }, Change::Up));
        *state = match (*state, change) {
            (State::Down { .. }, Change::Up) => State::Up,
            (State::Up, Change::Down | Change::Parked) => State::Down { since: now },
            (State::Away { up_since: None, left }, Change::Up) => {
                State::Away { up_since: Some(now), left }
            }
            (State::Away { left, .. }, Change::Down | Change::Parked) => {
                State::Away { up_since: None, left }
            }
            (same, _) => same,
        };
        if makes_room {
            self.retry();
        }
    }

    /// Records that instruments of a lost connection have no room elsewhere, because some could not
    /// be handed over or new ones were placed on it. [`Failover::retry`] tries them again.
    pub(crate) fn on_dark(&mut self, connection: usize) {
        if let Some(State::Away { left: left @ Left::Nothing, .. }) =
            self.connections.get_mut(connection)
        {
            *left = Left::Dark;
        }
    }

    /// Records that there may be more room because instruments were unsubscribed. Not needed when a
    /// connection comes up.
    pub(crate) fn retry(&mut self) {
        for state in &mut self.connections {
            if let State::Away { left: left @ Left::Dark, .. } = state {
                *left = Left::MayFit;
            }
        }
    }

    /// Returns the next action. Must be polled until it returns [`Action::Wait`].
    pub(crate) fn poll(&mut self, now: Instant) -> Action {
        let now = self.advance(now);
        let Some(config) = self.config else { return Action::Wait(None) };
        let mut deadline: Option<Instant> = None;
        // Giving back comes first, because it makes room for handing over.
        for connection in 0..self.connections.len() {
            let State::Away { up_since: Some(since), .. } = self.connections[connection] else {
                continue;
            };
            if is_due(since, config.stable_after, now, &mut deadline) {
                self.connections[connection] = State::Up;
                self.retry();
                return Action::GiveBack(connection);
            }
        }
        for (connection, state) in self.connections.iter_mut().enumerate() {
            let is_due = match *state {
                State::Down { since } => is_due(since, config.after, now, &mut deadline),
                // A connection that is up again streams its remaining instruments, and soon the
                // others.
                State::Away { up_since, left } => up_since.is_none() && left == Left::MayFit,
                State::Up => false,
            };
            if is_due {
                *state = State::Away { up_since: None, left: Left::Nothing };
                return Action::HandOver(connection);
            }
        }
        Action::Wait(deadline)
    }

    /// Returns the standing of a connection, for the balancer.
    pub(crate) fn standing(&self, connection: usize) -> Standing {
        match self.connections.get(connection) {
            Some(State::Up) => Standing::Up,
            Some(State::Down { .. }) => Standing::Down,
            Some(State::Away { .. }) | None => Standing::Lost,
        }
    }

    fn advance(&mut self, now: Instant) -> Instant {
        self.now = self.now.max(now);
        self.now
    }
}

/// Returns whether `wait` has passed since `since`; otherwise moves the deadline forward if needed.
fn is_due(since: Instant, wait: Duration, now: Instant, deadline: &mut Option<Instant>) -> bool {
    // Beyond the range of the clock means never.
    let Some(due) = since.checked_add(wait) else { return false };
    if due > now {
        *deadline = Some(deadline.map_or(due, |deadline| deadline.min(due)));
    }
    due <= now
}
