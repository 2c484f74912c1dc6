//! Paces the handshakes of all connections of one api_key.
//!
//! Kite allows three sockets on an api_key and refuses a fourth with a 429, also while the slot of
//! a socket just lost is not free yet. Connections that each try on their own would take that slot
//! from one another. No socket and no clock: it is told what happens and when, and is asked who
//! may go.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How handshakes are paced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pace {
    /// Sockets that the server allows at once.
    pub(crate) slots: usize,
    /// The least time from the beginning of one handshake to that of the next.
    pub(crate) stagger: Duration,
    /// How long all wait after a 429; doubles with each further one until a handshake succeeds.
    pub(crate) hold: Duration,
    /// The longest such wait, but for one that the server asks for.
    pub(crate) hold_cap: Duration,
    /// How long a handshake may take; one that has not reported by then is written off.
    pub(crate) lease: Duration,
}

impl Pace {
    /// Gives the usual pace for handshakes that take at most `lease`.
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
    /// The server has no slot free.
    TooManyRequests {
        /// How long it asks to stay away.
        retry_after: Option<Duration>,
    },
    /// Anything else: no reason for the others to wait.
    Other,
}

/// Who may begin a handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// This one, now: given once and taken as begun.
    Go(u64),
    /// Nobody before this moment; nobody at all before a report or another who asks, where there
    /// is none.
    Wait(Option<Instant>),
}

/// The sockets of one api_key and those who want one.
///
/// Whoever asks has an id of their own among all connections of the api_key.
#[derive(Debug, Clone)]
pub(crate) struct Governor {
    pace: Pace,
    /// First come, first served.
    asking: VecDeque<u64>,
    in_flight: Option<Handshake>,
    open: Vec<u64>,
    /// When the next handshake may begin at the earliest.
    earliest: Option<Instant>,
    /// 429s since the last handshake that succeeded.
    refusals: u32,
    /// The latest moment seen: time does not run backwards here, whatever order tasks report in.
    now: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Handshake {
    id: u64,
    /// When it is written off.
    until: Instant,
}

/// The longest wait of all: far from the end of the clock, whatever a server asks for.
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

    /// Takes a wish for a socket. Who asks already keeps their place; who had a socket or a
    /// handshake has it no more.
    pub(crate) fn ask(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.release(id);
        if !self.asking.contains(&id) {
            self.asking.push_back(id);
        }
    }

    /// Takes the end of a handshake: the socket is open. One that was written off counts all the
    /// same.
    pub(crate) fn on_opened(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.withdraw(id);
        self.open.push(id);
        self.refusals = 0;
    }

    /// Takes the end of a handshake: there is no socket. Who wants to try again asks again.
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

    /// Takes the end of a socket.
    pub(crate) fn on_lost(&mut self, now: Instant, id: u64) {
        self.advance(now);
        self.release(id);
    }

    /// Forgets someone altogether: they want nothing and have nothing.
    pub(crate) fn withdraw(&mut self, id: u64) {
        self.release(id);
        self.asking.retain(|other| *other != id);
    }

    /// Gives who may begin next. To be asked again until it says to wait.
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

    /// Lets nobody begin for so long; does not shorten what others set.
    fn not_before(&mut self, now: Instant, wait: Duration) {
        self.earliest = self.earliest.max(Some(now + wait.min(DAY)));
    }

    fn advance(&mut self, now: Instant) -> Instant {
        let now = self.now.map_or(now, |latest| latest.max(now));
        self.now = Some(now);
        now
    }
}
