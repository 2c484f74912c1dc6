//! Decides everything about one connection: when to open, what to send, when to give up.
//!
//! No socket, no clock, no runtime: [`Session::handle`] takes an input with its time,
//! [`Session::poll`] gives what to do next until there is nothing left but to wait.

mod backoff;
mod book;
mod watchdog;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use kite_wire::Mode;

use self::backoff::Backoff;
use self::book::Book;
use self::watchdog::{Verdict, Watchdog};
use crate::clock::FAR;
use crate::event::{Event, LossCause, ParkReason};
use crate::transport::OpenError;

/// A connection must have lived this long before its failures are forgotten: one that is accepted
/// and dropped at once must not be retried at full speed.
const STABLE_AFTER: Duration = Duration::from_secs(10);

/// The numbers a session decides by.
#[derive(Debug, Clone)]
pub(crate) struct Policy {
    /// Base of the exponential backoff.
    pub(crate) reconnect_delay: Duration,
    /// Longest delay between two tries.
    pub(crate) reconnect_delay_cap: Duration,
    /// How many reconnects in a row without a stable connection between them.
    pub(crate) max_reconnect_attempts: usize,
    /// Silence that sends a ping; twice this is death.
    pub(crate) silence_threshold: Duration,
    /// How long the closing handshake may take.
    pub(crate) close_deadline: Duration,
    /// Seed of the jitter.
    pub(crate) seed: u64,
}

/// What happens to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The socket asked for is open, its handshake done.
    Opened,
    /// The socket asked for could not be opened.
    OpenFailed(OpenError),
    /// The open socket ended.
    Lost(LossCause),
    /// An instrument is wanted in this mode, or not at all.
    Want(u32, Option<Mode>),
    /// Other credentials are at hand.
    CredentialsChanged,
    /// Bytes of ours wait for the socket, or no longer do.
    WriteBlocked(bool),
    /// The socket took some of the bytes that wait, not all.
    WriteProgressed,
    /// Reading stops because the consumer is slow, or goes on.
    ReadingPaused(bool),
    /// The user wants a ping sent.
    Ping,
    /// The user wants the connection ended.
    Close,
}

/// What a session wants done.
#[derive(Debug)]
pub(crate) enum Output {
    /// Open a socket, answer by [`Input::Opened`] or [`Input::OpenFailed`].
    Open,
    /// Send a text frame.
    Send(String),
    /// Send a ping.
    Ping,
    /// Send a close frame and read on until the stream ends ([`Input::Lost`]).
    SendClose,
    /// Drop the socket, or the attempt to open it, as it is. No answer is expected.
    Abort,
    /// Tell the application.
    Tell(Event),
    /// Nothing to do before this moment (or at all) unless an input comes.
    Wait(Option<Instant>),
    /// Over: nothing will ever come again.
    Done,
}

#[derive(Debug)]
enum Phase {
    Opening,
    Live { since: Instant, watchdog: Watchdog },
    Waiting { until: Instant },
    Parked,
    Closing { until: Instant },
    Done,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    policy: Policy,
    phase: Phase,
    book: Book,
    backoff: Backoff,
    epoch: u32,
    pending: VecDeque<Output>,
}

impl Session {
    /// Starts a session; its first output opens a socket.
    pub(crate) fn new(mut policy: Policy) -> Self {
        for duration in [
            &mut policy.reconnect_delay,
            &mut policy.reconnect_delay_cap,
            &mut policy.silence_threshold,
            &mut policy.close_deadline,
        ] {
            *duration = (*duration).min(FAR);
        }
        let backoff = Backoff::new(policy.reconnect_delay, policy.reconnect_delay_cap, policy.seed);
        let mut session = Self {
            policy,
            phase: Phase::Parked,
            book: Book::default(),
            backoff,
            epoch: 0,
            pending: VecDeque::new(),
        };
        session.open();
        session
    }

    /// Gives the number of the present or last socket, from 1; 0 before the first.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Says whether a socket is open and subscriptions flow.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live { .. })
    }

    /// Something came from the server: the hot path, one store.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        if let Phase::Live { watchdog, .. } = &mut self.phase {
            watchdog.heard(now);
        }
    }

    /// Takes an input.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match (input, &mut self.phase) {
            (_, Phase::Done) => {}
            (Input::Want(token, mode), _) => self.book.want(token, mode),
            (Input::Opened, Phase::Opening) => self.on_opened(now),
            (Input::OpenFailed(error), Phase::Opening) => self.on_open_failed(now, error),
            (Input::Lost(cause), Phase::Live { since, .. }) => {
                let since = *since;
                self.on_lost(now, since, cause);
            }
            (Input::Lost(_), Phase::Closing { .. }) => self.finish(),
            (Input::CredentialsChanged, Phase::Parked | Phase::Waiting { .. }) => {
                self.backoff.reset();
                self.open();
            }
            (Input::CredentialsChanged, Phase::Opening) => {
                // The running try carries the old token; its refusal would park us for nothing.
                self.pending.push_back(Output::Abort);
                self.backoff.reset();
                self.open();
            }
            (Input::WriteBlocked(blocked), Phase::Live { watchdog, .. }) => {
                watchdog.write_blocked(now, blocked);
            }
            (Input::ReadingPaused(paused), Phase::Live { watchdog, .. }) => {
                watchdog.pause_reading(now, paused);
            }
            (Input::WriteProgressed, Phase::Live { watchdog, .. }) => {
                watchdog.write_progressed(now)
            }
            // Behind bytes that the socket does not take, pings would only pile up.
            (Input::Ping, Phase::Live { watchdog, .. }) if !watchdog.is_write_blocked() => {
                self.pending.push_back(Output::Ping);
            }
            (Input::Close, Phase::Live { .. }) => {
                self.pending.push_back(Output::SendClose);
                self.phase = Phase::Closing { until: now + self.policy.close_deadline };
            }
            (Input::Close, Phase::Opening) => {
                self.pending.push_back(Output::Abort);
                self.finish();
            }
            (Input::Close, Phase::Waiting { .. } | Phase::Parked) => self.finish(),
            // The rest comes late, of a socket that is no longer ours.
            _ => {}
        }
    }

    /// Gives what to do next; to be called until it says to wait or that all is over.
    pub(crate) fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.pending.pop_front() {
                return output;
            }
            match &mut self.phase {
                Phase::Opening | Phase::Parked => return Output::Wait(None),
                Phase::Done => return Output::Done,
                Phase::Waiting { until } if now >= *until => self.open(),
                Phase::Waiting { until } => return Output::Wait(Some(*until)),
                Phase::Closing { until } if now >= *until => {
                    self.pending.push_back(Output::Abort);
                    self.finish();
                }
                Phase::Closing { until } => return Output::Wait(Some(*until)),
                Phase::Live { since, watchdog } => {
                    let since = *since;
                    let verdict = watchdog.check(now);
                    // Behind bytes that the socket does not take, commands would only pile up: the
                    // book merges them meanwhile.
                    if !watchdog.is_write_blocked() {
                        let pending = &mut self.pending;
                        self.book.drain(|it| pending.push_back(Output::Send(it.to_string())));
                    }
                    let cause = match verdict {
                        Verdict::Fine { until } if self.pending.is_empty() => {
                            return Output::Wait(Some(until));
                        }
                        Verdict::Fine { .. } => continue,
                        Verdict::Probe { .. } => {
                            self.pending.push_back(Output::Ping);
                            continue;
                        }
                        Verdict::Silent { silence } => LossCause::Silence { silence },
                        Verdict::WriteBlocked { blocked } => LossCause::WriteBlocked { blocked },
                    };
                    self.pending.clear();
                    self.pending.push_back(Output::Abort);
                    self.on_lost(now, since, cause);
                }
            }
        }
    }

    fn open(&mut self) {
        let attempt = self.backoff.failures().saturating_add(1);
        self.phase = Phase::Opening;
        self.pending.push_back(Output::Tell(Event::Opening { attempt }));
        self.pending.push_back(Output::Open);
    }

    fn on_opened(&mut self, now: Instant) {
        self.epoch = self.epoch.saturating_add(1);
        self.book.forget_told();
        self.pending
            .push_back(Output::Tell(Event::Up { epoch: self.epoch, instruments: self.book.len() }));
        let watchdog = Watchdog::new(now, self.policy.silence_threshold);
        self.phase = Phase::Live { since: now, watchdog };
    }

    fn on_lost(&mut self, now: Instant, since: Instant, cause: LossCause) {
        self.pending.push_back(Output::Tell(Event::Down { epoch: self.epoch, cause }));
        if now.saturating_duration_since(since) >= STABLE_AFTER {
            self.backoff.reset();
        }
        self.backoff.fail();
        let delay = self.backoff.delay();
        self.retry(now, delay, None);
    }

    fn on_open_failed(&mut self, now: Instant, error: OpenError) {
        self.backoff.fail();
        let told = Event::OpenFailed { attempt: self.backoff.failures(), error: error.clone() };
        self.pending.push_back(Output::Tell(told));
        if error.is_auth() {
            self.park(ParkReason::Authentication(error));
            return;
        }
        if !error.is_retryable() {
            self.park(ParkReason::Configuration(error));
            return;
        }
        let delay = match &error {
            // A server that is there but busy says when, or the exponential step does; any other
            // refusal comes from something in between that haste will not move.
            OpenError::Refused(refusal) if is_transient(refusal.status) => {
                self.backoff.delay().max(refusal.retry_after.unwrap_or_default())
            }
            OpenError::Refused(_) => self.backoff.slow_delay(),
            _ => self.backoff.delay(),
        };
        self.retry(now, delay, Some(error));
    }

    fn retry(&mut self, now: Instant, delay: Duration, last: Option<OpenError>) {
        let (failures, limit) = (self.backoff.failures(), self.policy.max_reconnect_attempts);
        if usize::try_from(failures).unwrap_or(usize::MAX) > limit {
            self.park(ParkReason::AttemptsUsedUp { failures, limit, last });
            return;
        }
        let attempt = failures.saturating_add(1);
        self.pending.push_back(Output::Tell(Event::Retry { attempt, delay }));
        self.phase = Phase::Waiting { until: now + delay };
    }

    fn park(&mut self, reason: ParkReason) {
        self.pending.push_back(Output::Tell(Event::Parked(reason)));
        self.phase = Phase::Parked;
    }

    fn finish(&mut self) {
        self.pending.push_back(Output::Tell(Event::Closed));
        self.phase = Phase::Done;
    }
}

/// Statuses that pass by themselves: too many sockets, a slot not yet free, a server in trouble.
fn is_transient(status: u16) -> bool {
    matches!(status, 404 | 408 | 409 | 421 | 425 | 426 | 429 | 500..=599)
}

#[cfg(test)]
mod model;
#[cfg(test)]
mod tests;
