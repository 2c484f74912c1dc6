//! Decides when the instruments of a connection go to others, and when they come back.
//!
//! No socket and no clock: it is told what happens and when, and is asked what to do. Where the
//! instruments go is the [`Balancer`](super::Balancer)'s.

#[cfg(test)]
mod tests;

use std::time::{Duration, Instant};

use crate::balance::Standing;
use crate::config::FailoverConfig;

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    /// Its handshake is done.
    Up,
    /// Its socket is gone, or could not be opened.
    Down,
    /// It does not try any more.
    Parked,
}

/// What to do. Each is given once and taken as done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Hand over what this connection carries; [`Failover::on_dark`] if not all found room.
    HandOver(usize),
    /// Give this connection back what it had.
    GiveBack(usize),
    /// Nothing before this moment; nothing at all before a change, where there is none.
    Wait(Option<Instant>),
}

/// Where each connection stands, and since when.
#[derive(Debug)]
pub(crate) struct Failover {
    /// `None`: it is off, and nothing is ever handed over.
    patience: Option<FailoverConfig>,
    connections: Vec<State>,
    /// The latest moment seen: time does not run backwards here, whatever order tasks report in.
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
        /// Since when it has been up again, if it is.
        up_since: Option<Instant>,
        left: Left,
    },
}

/// What a hand over left behind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    Nothing,
    /// Instruments without room elsewhere.
    Dark,
    /// The same, and there may be room now.
    MayFit,
}

impl Failover {
    /// Makes one for connections that open their first sockets now: none is up yet.
    pub(crate) fn new(connections: usize, patience: Option<FailoverConfig>, now: Instant) -> Self {
        Self { patience, connections: vec![State::Down { since: now }; connections], now }
    }

    /// Takes what happened to a connection.
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

    /// Notes that instruments of a lost connection have no room elsewhere: not all could be handed
    /// over, or new ones had to go there. They are tried again by [`Failover::retry`].
    pub(crate) fn on_dark(&mut self, connection: usize) {
        if let Some(State::Away { left: left @ Left::Nothing, .. }) =
            self.connections.get_mut(connection)
        {
            *left = Left::Dark;
        }
    }

    /// Notes that there may be more room: instruments were unsubscribed. A connection that comes
    /// up makes room as well, unasked.
    pub(crate) fn retry(&mut self) {
        for state in &mut self.connections {
            if let State::Away { left: left @ Left::Dark, .. } = state {
                *left = Left::MayFit;
            }
        }
    }

    /// Gives what is to be done next. To be asked again until it says to wait.
    pub(crate) fn poll(&mut self, now: Instant) -> Action {
        let now = self.advance(now);
        let Some(patience) = self.patience else { return Action::Wait(None) };
        let mut deadline: Option<Instant> = None;
        // Giving back comes first: it makes room for handing over.
        for connection in 0..self.connections.len() {
            let State::Away { up_since: Some(since), .. } = self.connections[connection] else {
                continue;
            };
            if is_due(since, patience.stable_after, now, &mut deadline) {
                self.connections[connection] = State::Up;
                self.retry();
                return Action::GiveBack(connection);
            }
        }
        for (connection, state) in self.connections.iter_mut().enumerate() {
            let is_due = match *state {
                State::Down { since } => is_due(since, patience.after, now, &mut deadline),
                // One that is up again serves what was left, and soon the rest.
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

    /// Gives what can be expected of a connection, for the balancer.
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

/// Says whether so long has passed since; else brings the deadline forward to when it will have.
fn is_due(since: Instant, wait: Duration, now: Instant, deadline: &mut Option<Instant>) -> bool {
    // Beyond the end of the clock is never.
    let Some(due) = since.checked_add(wait) else { return false };
    if due > now {
        *deadline = Some(deadline.map_or(due, |deadline| deadline.min(due)));
    }
    due <= now
}
