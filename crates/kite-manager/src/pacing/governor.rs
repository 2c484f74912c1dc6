//! Paces the handshakes of all connections of one api_key.
//!
//! Kite allows three sockets per api_key and refuses a fourth with a 429, even while the slot of a
//! recently lost socket is not free yet. Connections that retry independently would compete for
//! that slot. Performs no I/O and reads no clock; the caller reports what happens and when, and
//! polls for the connection that may start a handshake.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How handshakes are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Sockets that the server allows at the same time.
    pub(crate) slots: usize,
    /// Minimum time between the starts of two handshakes.
    pub(crate) stagger: Duration,
    /// Time all connections wait after a 429; doubles with each further 429 until a handshake
    /// succeeds.
    pub(crate) hold: Duration,
    /// Maximum of this wait, unless the server asks for more.
    pub(crate) hold_cap: Duration,
    /// Maximum time a handshake may block others; one that has not reported by then is written off.
    pub(crate) lease: Duration,
}

impl Pace {
    /// Returns the default pace for handshakes that take at most `lease`.
    pub(crate) fn new(lease: Duration) -> Self {
        Self {
            slots: crate::MAX_CONNECTIONS,
            stagger: Duration::from_millis(250),
            hold: Duration::from_secs(1),
            hold_cap: Duration::from_secs(30),
            lease,
        }
    }
}

/// Why a handshake failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The server has no free slot.
    TooManyRequests {
        /// The wait that the server asks for.
        retry_after: Option<Duration>,
    },
    /// Any other failure, after which the other connections do not wait.
    Other,
}

/// What the poller should do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// This connection may begin its handshake now. Returned once; the handshake counts as begun.
    Go(u64),
    /// No handshake may begin before this instant; if `None`, not before the next report or
    /// request.
    Wait(Option<Instant>),
}

/// The sockets of one api_key and the connections waiting for one.
///
/// Every connection is identified by an id that is unique for the api_key.
#[derive(Debug, Clone)]
pub(crate) struct Governor {
    pace: Pace,
    /// Waiting connections, in the order of their requests.
    asking: VecDeque<u64>,
    in_flight: Option<Handshake>,
    open: Vec<u64>,
    /// When the next handshake may begin at the earliest.
    earliest: Option<Instant>,
    /// 429s since the last successful handshake.
    refusals: u32,
    /// The latest instant seen. Keeps time from running backwards if tasks report out of order.
    now: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Handshake {
    id: u64,
    /// When it is written off.
    until: Instant,
}

/// Upper bound of all waits, so that a large `Retry-After` cannot overflow the clock.
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

impl Governor {
    pub(crate) fn new(pace: Pace) -> Self {
        Self {
            pace,
            asking: VecDeque::new(),
            in_flight: None,
            open: Vec::new(),
            earliest: None,
            refusals: 0,
            now: None,
        }
    }

    /// Queues a request for a socket. A connection that is already queued keeps its place; its
    /// former socket or handshake is released.
    pub(crate) fn ask(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.release(id);
        if !self.asking.contains(&id) {
            self.asking.push_back(id);
        }
    }

    /// Records that a handshake succeeded, even if it had been written off.
    pub(crate) fn on_opened(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.withdraw(id);
        self.open.push(id);
        self.refusals = 0;
    }

    /// Records that a handshake failed. To retry, the connection must request again.
    pub(crate) fn on_failed(&mut self, now: Instant, id: u64, failure: Failure) {
        let now = self.advance(now);
        self.release(id);
        if let Failure::TooManyRequests { retry_after } = failure {
            let doubled = self.pace.hold.saturating_mul(1 << self.refusals.min(20));
            let hold = doubled.min(self.pace.hold_cap).max(retry_after.unwrap_or_default());
            self.refusals = self.refusals.saturating_add(1);
            self.not_before(now, hold);
        }
    }

    /// Records that a socket was lost.
    pub(crate) fn on_lost(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.release(id);
    }

    /// Removes a connection with its request, handshake and socket.
    pub(crate) fn withdraw(&mut self, id: u64) {
        self.release(id);
        self.asking.retain(|other| *other != id);
    }

    /// Returns which connection may begin next. Must be polled until it returns [`Next::Wait`].
    pub(crate) fn poll(&mut self, now: Instant) -> Next {
        let now = self.advance(now);
        self.in_flight = self.in_flight.filter(|handshake| handshake.until > now);
        let Some(&id) = self.asking.front() else { return Next::Wait(None) };
        if self.open.len() >= self.pace.slots {
            return Next::Wait(None);
        }
        let next = self.earliest.max(self.in_flight.map(|handshake| handshake.until));
        if next.is_some_and(|next| next > now) {
            return Next::Wait(next);
        }
        self.asking.pop_front();
        self.in_flight = Some(Handshake { id, until: now + self.pace.lease.min(DAY) });
        self.not_before(now, self.pace.stagger);
        Next::Go(id)
    }

    /// Frees the slot of a socket or handshake.
    fn release(&mut self, id: u64) {
        self.open.retain(|other| *other != id);
        self.in_flight = self.in_flight.filter(|handshake| handshake.id != id);
    }

    /// Delays the next handshake by at least `wait`; never shortens an existing delay.
    fn not_before(&mut self, now: Instant, wait: Duration) {
        self.earliest = self.earliest.max(Some(now + wait.min(DAY)));
    }

    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.now.map_or(now, |latest| latest.max(now));
        self.now = Some(now);
        now
    }
}
