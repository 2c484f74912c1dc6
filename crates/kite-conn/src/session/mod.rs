//! Decides everything about one connection: when to open, what to send, when to give up.
//!
//! No socket, no clock, no runtime: [`Session::handle`] takes an input with its time,
//! [`Session::poll`] returns what to do next until there is nothing left but to wait.
//!
//! Its caller, the driver, goes round this sequence:
//!
//! 1. [`Session::poll`], again and again, carrying out each [`Output`] at once, until it returns
//!    [`Output::Wait`] or [`Output::Done`]. No input comes in between.
//! 2. After [`Output::Wait`] the driver waits: for the socket, for a request of a handle, for the end
//!    of an attempt or a renewal, and for the moment that came with it.
//! 3. The socket comes first. What it brings goes to [`Session::on_frame`], [`Session::on_heard`] and
//!    [`Session::on_pong`], the hot path; whatever else happens to [`Session::handle`]. Both before
//!    the next [`Session::poll`], which checks for silence: a poll that comes late must have heard
//!    what has arrived meanwhile.
//! 4. After a [`Session::handle`], a [`Session::on_frame`] that returned true, and the moment waited
//!    for: back to 1. After other frames only now and then.
//!
//! An [`Output::Open`] is answered by [`Input::Opened`] or [`Input::OpenFailed`], an
//! [`Output::Renew`] by [`Input::Renewed`] or [`Input::RenewalFailed`], unless [`Output::Abort`] comes
//! first. An open socket ends by [`Input::Lost`] or by [`Output::Abort`], once. Inputs that come late,
//! of a socket that is no longer there, are ignored.

mod backoff;
mod book;
mod freshness;
mod round_trip;
mod watchdog;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use kite_wire::Mode;

use self::backoff::Backoff;
use self::book::Book;
use self::freshness::Freshness;
use self::round_trip::RoundTrip;
use self::watchdog::{Finding, Watchdog};
use crate::clock::{FAR, Stamp};
use crate::config::{Liveness, Reconnect, TokenSourceError};
use crate::observe::{Event, LossCause, ParkReason};
use crate::transport::OpenError;

/// How much longer each time a silent feed is borne that answers pings: up to 32 times twice the
/// threshold, ten minutes with the default. An idle socket without heartbeats may be lawful.
const LONGEST_FEED_PATIENCE: u32 = 32;

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
    /// The user has set other credentials.
    CredentialsChanged,
    /// The token source has given credentials.
    Renewed,
    /// The token source has failed.
    RenewalFailed(TokenSourceError),
    /// The server said by a text that it refuses something.
    ServerError(String),
    /// The machine slept: its wall clock ran ahead of the monotonic one by so much.
    Suspended(Duration),
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
    /// Ask for credentials, answer by [`Input::Renewed`] or [`Input::RenewalFailed`].
    Renew {
        /// Whether the present ones were refused.
        refused: bool,
    },
    /// Send a ping with this payload.
    Ping([u8; 8]),
    /// Send a close frame and read on until the stream ends ([`Input::Lost`]).
    SendClose,
    /// Drop the socket, the attempt to open it, or the question for credentials, as it is. No
    /// answer is expected.
    Abort,
    /// Tell the application.
    Tell(Event),
    /// Nothing to do before this moment (or at all) unless an input comes.
    Wait(Option<(Instant, Why)>),
    /// Over: nothing will ever come again.
    Done,
}

/// What a session wakes for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The next try is due.
    Retry,
    /// The socket may have been silent for the threshold.
    Silence,
    /// A ping may be without its answer.
    Pong,
    /// The feed may have been silent for too long.
    Feed,
    /// The socket may have taken none of our bytes for too long.
    Write,
    /// Ticks may have become stale.
    Ticks,
    /// The closing handshake has taken long enough.
    Close,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each connection, live nearly all the time")]
enum Phase {
    Renewing { refused: bool },
    Opening,
    Live(Live),
    Waiting { until: Instant },
    Parked,
    Closing { until: Instant },
    Done,
}

#[derive(Debug)]
struct Live {
    since: Instant,
    watchdog: Watchdog,
    freshness: Freshness,
    round_trip: RoundTrip,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    reconnect: Reconnect,
    liveness: Liveness,
    /// Whether there is a token source.
    renews: bool,
    phase: Phase,
    book: Book,
    backoff: Backoff,
    epoch: u32,
    /// How many times twice the threshold a feed may be silent that answers pings.
    feed_patience: u32,
    /// Whether ticks are stale, of the present socket or the last.
    freshness: Option<Freshness>,
    /// Whether the credentials were used before, so that newer ones may be had.
    credentials_used: bool,
    /// Whether the server has refused the present credentials.
    credentials_refused: bool,
    pending: VecDeque<Output>,
}

impl Session {
    /// Starts a session; its first output opens a socket.
    ///
    /// With `renews`, a [`TokenSource`](crate::TokenSource) can be asked for credentials.
    pub(crate) fn new(mut reconnect: Reconnect, mut liveness: Liveness, renews: bool) -> Self {
        for duration in [
            &mut reconnect.delay,
            &mut reconnect.delay_cap,
            &mut reconnect.stable_after,
            &mut liveness.silence_threshold,
            &mut liveness.stale_after,
            &mut liveness.close_deadline,
        ] {
            *duration = (*duration).min(FAR);
        }
        let backoff = Backoff::new(&reconnect);
        let mut session = Self {
            reconnect,
            liveness,
            renews,
            phase: Phase::Parked,
            book: Book::default(),
            backoff,
            epoch: 0,
            feed_patience: 1,
            freshness: None,
            credentials_used: false,
            credentials_refused: false,
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
    #[cfg(any(test, fuzzing))]
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// Says whether time that a suspended machine slept through would matter.
    pub(crate) fn minds_suspension(&self) -> bool {
        matches!(self.phase, Phase::Live(_) | Phase::Waiting { .. })
    }

    /// Gives what the server of the present or last socket was told: what it sends ticks of.
    pub(crate) fn told(&self) -> &BTreeMap<u32, Mode> {
        self.book.told()
    }

    /// Gives what is wanted.
    pub(crate) fn desired(&self) -> &BTreeMap<u32, Mode> {
        self.book.desired()
    }

    /// Something came from the server that is not of the feed: a text, a ping.
    pub(crate) fn on_heard(&mut self, now: Instant) {
        if let Phase::Live(live) = &mut self.phase {
            live.watchdog.heard(now);
        }
    }

    /// A binary frame came, with ticks or a heartbeat: the hot path, some stores. Says whether
    /// there is something to tell.
    pub(crate) fn on_frame(&mut self, now: Instant, has_ticks: bool) -> bool {
        let Phase::Live(live) = &mut self.phase else { return false };
        live.watchdog.fed(now);
        if has_ticks && let Some(silence) = live.freshness.on_ticks(now) {
            self.pending.push_back(Output::Tell(Event::TicksResumed { silence }));
            return true;
        }
        false
    }

    /// A pong came. Gives the round trip if it answers our last ping.
    pub(crate) fn on_pong(&mut self, now: Instant, payload: &[u8]) -> Option<Duration> {
        let Phase::Live(live) = &mut self.phase else { return None };
        live.watchdog.heard(now);
        live.round_trip.on_pong(now, payload)
    }

    /// Takes an input.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match (input, &mut self.phase) {
            (_, Phase::Done) => {}
            (Input::Want(token, mode), _) => self.want(now, token, mode),
            (Input::Opened, Phase::Opening) => self.on_opened(now),
            (Input::OpenFailed(error), Phase::Opening) => self.on_open_failed(now, error),
            (Input::Lost(cause), Phase::Live(_)) => self.on_lost(now, cause),
            (Input::Lost(_), Phase::Closing { .. }) => self.finish(),
            (Input::CredentialsChanged, Phase::Parked | Phase::Waiting { .. }) => {
                self.open_with_new_credentials();
            }
            (Input::CredentialsChanged, Phase::Opening | Phase::Renewing { .. }) => {
                // The running try carries the old token; its refusal would park us for nothing.
                self.pending.push_back(Output::Abort);
                self.open_with_new_credentials();
            }
            (Input::CredentialsChanged, Phase::Live(_)) => self.take_credentials(),
            (Input::Renewed, Phase::Renewing { .. }) => {
                self.take_credentials();
                self.open_socket();
            }
            (Input::RenewalFailed(error), &mut Phase::Renewing { refused }) => {
                self.on_renewal_failed(now, error, refused);
            }
            (Input::ServerError(message), Phase::Live(_)) if is_limit_refusal(&message) => {
                // The modes that follow a subscribe are refused as well: one wish, one event.
                if let Some(instruments) = self.book.doubt_recent(now) {
                    self.tell(Event::LimitRefused { message, instruments });
                }
            }
            (Input::Suspended(slept), Phase::Live(live)) => {
                live.watchdog.suspect();
                self.tell(Event::Suspended { slept });
            }
            (Input::Suspended(slept), Phase::Waiting { until }) => {
                // The delay is over sooner by the time that was slept.
                *until = until.checked_sub(slept).unwrap_or(now);
                self.tell(Event::Suspended { slept });
            }
            (Input::WriteBlocked(blocked), Phase::Live(live)) => {
                live.watchdog.write_blocked(now, blocked);
            }
            (Input::ReadingPaused(paused), Phase::Live(live)) => {
                live.watchdog.pause_reading(now, paused);
                if !paused {
                    live.freshness.restart(now);
                }
            }
            (Input::WriteProgressed, Phase::Live(live)) => live.watchdog.write_progressed(now),
            // Behind bytes that the socket does not take, pings would only pile up.
            (Input::Ping, Phase::Live(live)) if !live.watchdog.is_write_blocked() => {
                self.pending.push_back(Output::Ping(live.round_trip.ping(now)));
            }
            (Input::Close, Phase::Live(_)) => {
                self.pending.push_back(Output::SendClose);
                self.phase = Phase::Closing { until: now + self.liveness.close_deadline };
            }
            (Input::Close, Phase::Opening | Phase::Renewing { .. }) => {
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
                Phase::Opening | Phase::Renewing { .. } | Phase::Parked => {
                    return Output::Wait(None);
                }
                Phase::Done => return Output::Done,
                Phase::Waiting { until } if now >= *until => self.open(),
                Phase::Waiting { until } => return Output::Wait(Some((*until, Why::Retry))),
                Phase::Closing { until } if now >= *until => {
                    self.pending.push_back(Output::Abort);
                    self.finish();
                }
                Phase::Closing { until } => return Output::Wait(Some((*until, Why::Close))),
                Phase::Live(_) => {
                    if let Some(wait) = self.poll_live(now) {
                        return wait;
                    }
                }
            }
        }
    }

    /// Looks after a live socket; gives the wait where there is nothing to do.
    fn poll_live(&mut self, now: Instant) -> Option<Output> {
        let Phase::Live(live) = &mut self.phase else { return None };
        if live.watchdog.has_flowed() {
            self.feed_patience = 1;
            live.watchdog.lose_patience();
        }
        let finding = live.watchdog.check(now);
        let cause = match finding {
            Finding::Fine { next } => {
                // Behind bytes that the socket does not take, commands would only pile up: the book
                // merges them meanwhile.
                if !live.watchdog.is_write_blocked() {
                    let pending = &mut self.pending;
                    self.book.drain(now, |it| pending.push_back(Output::Send(it.to_string())));
                }
                let watched = self.book.len() > 0 && !live.watchdog.is_reading_paused();
                if watched && let Some(silence) = live.freshness.check(now) {
                    let instruments = self.book.len();
                    self.tell(Event::TicksStale { silence, instruments });
                    return None;
                }
                if !self.pending.is_empty() {
                    return None;
                }
                let ticks = live.freshness.due().filter(|_| watched).map(|due| (due, Why::Ticks));
                return Some(Output::Wait(next.into_iter().chain(ticks).min()));
            }
            Finding::Probe => {
                self.pending.push_back(Output::Ping(live.round_trip.ping(now)));
                return None;
            }
            Finding::FeedSilent { silence, grace } => {
                self.tell(Event::FeedSilent { silence, grace });
                return None;
            }
            Finding::Silent { silence } => LossCause::Silence { silence },
            Finding::FeedDead { silence } => {
                self.feed_patience = (self.feed_patience * 2).min(LONGEST_FEED_PATIENCE);
                LossCause::FeedSilence { silence }
            }
            Finding::WriteBlocked { blocked } => LossCause::WriteBlocked { blocked },
        };
        self.pending.push_back(Output::Abort);
        self.on_lost(now, cause);
        None
    }

    fn tell(&mut self, event: Event) {
        self.pending.push_back(Output::Tell(event));
    }

    fn want(&mut self, now: Instant, token: u32, mode: Option<Mode>) {
        if let (Phase::Live(live), 0) = (&mut self.phase, self.book.len()) {
            // Nobody could expect ticks before.
            live.freshness.restart(now);
        }
        self.book.want(token, mode);
    }

    fn take_credentials(&mut self) {
        (self.credentials_used, self.credentials_refused) = (false, false);
    }

    fn open_with_new_credentials(&mut self) {
        self.backoff.reset();
        self.take_credentials();
        self.open_socket();
    }

    /// Begins a try: with the credentials at hand where they have not been used yet, else by
    /// asking for newer ones.
    fn open(&mut self) {
        if self.renews && self.credentials_used {
            let refused = self.credentials_refused;
            self.phase = Phase::Renewing { refused };
            self.tell(Event::Renewing { attempt: self.attempt(), refused });
            self.pending.push_back(Output::Renew { refused });
        } else {
            self.open_socket();
        }
    }

    fn open_socket(&mut self) {
        self.credentials_used = true;
        self.phase = Phase::Opening;
        self.tell(Event::Opening { attempt: self.attempt() });
        self.pending.push_back(Output::Open);
    }

    /// Gives the number of the present try since the last stable connection, from 1.
    fn attempt(&self) -> u32 {
        self.backoff.failures().saturating_add(1)
    }

    fn on_opened(&mut self, now: Instant) {
        self.epoch = self.epoch.saturating_add(1);
        self.book.forget_told();
        self.tell(Event::Up { epoch: self.epoch, instruments: self.book.len() });
        let threshold = self.liveness.silence_threshold;
        let feed_patience = threshold * 2 * self.feed_patience;
        // What was told stale on the socket before is so until ticks come.
        let anew = || Freshness::new(now, self.liveness.stale_after);
        let mut freshness = self.freshness.take().unwrap_or_else(anew);
        freshness.restart(now);
        self.phase = Phase::Live(Live {
            since: now,
            watchdog: Watchdog::new(now, threshold, feed_patience),
            freshness,
            round_trip: RoundTrip::default(),
        });
    }

    /// The live socket is gone.
    fn on_lost(&mut self, now: Instant, cause: LossCause) {
        let Phase::Live(live) = &self.phase else { return };
        let last_heard = Stamp::at(live.watchdog.last_heard());
        self.freshness = Some(live.freshness.clone());
        if now.saturating_duration_since(live.since) >= self.reconnect.stable_after {
            self.backoff.reset();
        }
        self.tell(Event::Down { epoch: self.epoch, cause, last_heard });
        self.backoff.fail();
        let delay = self.backoff.delay();
        self.retry(now, delay, None);
    }

    fn on_open_failed(&mut self, now: Instant, error: OpenError) {
        self.backoff.fail();
        let told = Event::OpenFailed { attempt: self.backoff.failures(), error: error.clone() };
        self.tell(told);
        self.credentials_refused |= error.is_auth();
        if error.is_auth() && !self.renews {
            self.park(ParkReason::Authentication(error));
            return;
        }
        if !error.is_auth() && !error.is_retryable() {
            self.park(ParkReason::Configuration(error));
            return;
        }
        let delay = match &error {
            // A server that is there but busy says when, or is spared half of the exponential step.
            // A refusal that new credentials may mend is tried like any failure. Any other comes
            // from something in between that haste will not move.
            OpenError::Refused(refusal) | OpenError::ProxyRefused { refusal, .. } => {
                if is_transient(refusal.status) {
                    self.backoff.patient_delay().max(error.retry_after().unwrap_or_default())
                } else if error.is_auth() {
                    self.backoff.delay()
                } else {
                    self.backoff.slow_delay()
                }
            }
            _ => self.backoff.delay(),
        };
        self.retry(now, delay, Some(error));
    }

    fn on_renewal_failed(&mut self, now: Instant, error: TokenSourceError, refused: bool) {
        if !refused {
            // What we have was never refused: a source in trouble must not keep the feed down.
            self.tell(Event::RenewalFailed { attempt: self.attempt(), error });
            self.open_socket();
            return;
        }
        self.backoff.fail();
        self.tell(Event::RenewalFailed { attempt: self.backoff.failures(), error });
        let delay = self.backoff.delay();
        self.retry(now, delay, None);
    }

    fn retry(&mut self, now: Instant, delay: Duration, last: Option<OpenError>) {
        let (failures, limit) = (self.backoff.failures(), self.reconnect.max_attempts);
        if usize::try_from(failures).unwrap_or(usize::MAX) > limit {
            self.park(ParkReason::AttemptsUsedUp { failures, limit, last });
            return;
        }
        self.tell(Event::Retry { attempt: self.attempt(), delay });
        self.phase = Phase::Waiting { until: now + delay };
    }

    fn park(&mut self, reason: ParkReason) {
        self.tell(Event::Parked(reason));
        self.phase = Phase::Parked;
    }

    fn finish(&mut self) {
        self.tell(Event::Closed);
        self.phase = Phase::Done;
    }
}

/// Says whether the server's error text is about the number of instruments. Kite's own is "Can't
/// subscribe to more than 3000 instruments."; nothing else of it is documented.
fn is_limit_refusal(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("instrument") && (message.contains("more than") || message.contains("limit"))
}

/// Statuses that pass by themselves: too many sockets, a slot not yet free, a server in trouble.
fn is_transient(status: u16) -> bool {
    matches!(status, 404 | 408 | 409 | 421 | 425 | 426 | 429 | 500..=599)
}

#[cfg(any(test, fuzzing))]
mod model;
#[cfg(any(test, fuzzing))]
pub(crate) mod ops;
#[cfg(test)]
mod tests;
