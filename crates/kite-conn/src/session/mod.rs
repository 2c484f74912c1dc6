//! Decides everything about one connection: when to open, what to send, when to give up.
//!
//! Performs no I/O and reads no clock: [`Session::handle`] takes an input with its time,
//! [`Session::poll`] returns what to do next until only waiting is left.
//!
//! Its caller, the driver, repeats this sequence:
//!
//! 1. Call [`Session::poll`] repeatedly, carrying out each [`Output`] immediately, until it returns
//!    [`Output::Wait`] or [`Output::Done`]. No input is passed in between.
//! 2. After [`Output::Wait`] wait for the socket, for a handle's request, for the end of an attempt
//!    or a renewal, and for the instant returned with it.
//! 3. Read the socket first. Its messages are passed to [`Session::on_frame`],
//!    [`Session::on_message`] and [`Session::on_pong`], the hot path, bytes that complete none to
//!    [`Session::on_progress`]; everything else to [`Session::handle`]. Both are done before the next [`Session::poll`], which checks for
//!    silence, so that a late poll follows the reading of what has arrived meanwhile.
//! 4. Go back to 1 after a [`Session::handle`], a [`Session::on_frame`] that returned true, or the
//!    instant waited for. After other frames only from time to time.
//!
//! An [`Output::Open`] is answered by [`Input::Opened`] or [`Input::OpenFailed`], an
//! [`Output::Renew`] by [`Input::Renewed`] or [`Input::RenewalFailed`], unless [`Output::Abort`] is
//! returned first. An open socket ends by [`Input::Lost`] or by [`Output::Abort`], once. Late
//! inputs, about a socket that no longer exists, are ignored.

mod backoff;
mod book;
mod departures;
mod freshness;
mod round_trip;
mod watchdog;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use kite_wire::{Command, CommandKind, Mode};

use self::backoff::Delays;
use self::book::Book;
use self::departures::Departures;
use self::freshness::Freshness;
use self::round_trip::RoundTrip;
use self::watchdog::{Finding, Watchdog};
use crate::clock::{FAR, Stamp};
use crate::config::{Liveness, Reconnect, TokenSourceError};
use crate::observe::{Event, LossCause, ParkReason};
use crate::transport::OpenError;

/// Limit for the growing tolerance of a silent feed whose socket answers pings: 32 times twice the
/// threshold, ten minutes with the default. An idle socket without heartbeats may be valid.
const LONGEST_FEED_PATIENCE: u32 = 32;

/// Time for reading, at the deadline of a drain that the sink has held back, what has arrived.
const LAST_READING: Duration = Duration::from_millis(100);

/// An input to a session.
#[derive(Debug)]
pub(crate) enum Input {
    /// The requested socket is open, its handshake done.
    Opened,
    /// The requested socket could not be opened.
    OpenFailed(OpenError),
    /// The open socket ended.
    Lost(LossCause),
    /// The open socket failed. What it received is read until [`Input::Lost`], or until a slow
    /// consumer has delayed that for twice the threshold.
    Broken(LossCause),
    /// The open socket will be reported as lost, and ended within a message.
    Truncated,
    /// An instrument's desired mode; `None` removes it.
    SetMode(u32, Option<Mode>),
    /// The user has set other credentials.
    CredentialsChanged,
    /// The token source has returned credentials.
    Renewed,
    /// The token source has failed.
    RenewalFailed(TokenSourceError),
    /// The server sent an error message.
    ServerError(String),
    /// The machine slept, so its wall clock ran ahead of the monotonic one by this much.
    Suspended(Duration),
    /// Whether bytes wait to be written to the socket.
    WriteBlocked(bool),
    /// The socket accepted some of the waiting bytes, not all.
    WriteProgressed,
    /// Whether reading is paused because the consumer is slow.
    ReadingPaused(bool),
    /// The user requested a ping.
    Ping,
    /// The user requested to close the connection without waiting for the sink.
    Close,
    /// The user requested to deliver everything the server has sent, and to close the connection
    /// then, or at this instant.
    Drain(Instant),
    /// The sink's consumers have taken everything, as asked by [`Session::is_draining`].
    Drained,
}

/// An action requested by a session.
#[derive(Debug)]
pub(crate) enum Output {
    /// Open a socket; answer with [`Input::Opened`] or [`Input::OpenFailed`].
    Open,
    /// Send a command.
    Send(Sent),
    /// Request credentials; answer with [`Input::Renewed`] or [`Input::RenewalFailed`].
    Renew,
    /// Send a ping with this payload.
    Ping([u8; 8]),
    /// The server no longer sends these instruments, apart from later subscriptions.
    Departed(Vec<u32>),
    /// Discard, from now on, what the sink does not accept immediately.
    StopWaiting,
    /// Send a close frame and continue reading until the stream ends ([`Input::Lost`]).
    SendClose,
    /// Drop the socket, the attempt to open it, or the request for credentials. No answer is
    /// expected.
    Abort,
    /// Report an event to the application.
    Report(Event),
    /// Nothing to do before this instant (or ever) without an input.
    Wait(Option<(Instant, Why)>),
    /// The session has ended.
    Done,
}

/// A command on its way to the server.
#[derive(Debug)]
pub(crate) struct Sent {
    kind: CommandKind,
    tokens: Vec<u32>,
}

impl From<Command<'_>> for Sent {
    fn from(command: Command<'_>) -> Self {
        Self { kind: command.kind(), tokens: command.tokens().to_vec() }
    }
}

impl Sent {
    pub(crate) fn as_command(&self) -> Command<'_> {
        Command::new(self.kind, &self.tokens)
    }
}

/// The reason for a wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Why {
    /// The next attempt is due.
    Retry,
    /// The socket may have been silent for the threshold.
    Silence,
    /// A ping may be unanswered.
    Pong,
    /// The feed may have been silent for too long.
    Feed,
    /// The socket may have accepted no bytes for too long.
    Write,
    /// Ticks may have become stale.
    Ticks,
    /// A broken socket may not have been read to its end for too long.
    Broken,
    /// The closing handshake, or the drain, has taken long enough.
    Close,
}

#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one for each connection, live nearly all the time")]
enum Phase {
    Renewing,
    Opening,
    Live(Live),
    Waiting {
        until: Instant,
    },
    Parked,
    Closing(Closing),
    /// There is no socket, and the sink's consumers take what was received.
    Draining {
        until: Instant,
        /// Whether the socket was read to its end.
        clean: bool,
    },
    Done,
}

/// Whether the current credentials can open a socket, as far as is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// They have no access token.
    Incomplete,
    /// The server has not refused them.
    Usable,
    /// The server has refused them.
    Refused,
}

/// A socket after its close frame was sent.
#[derive(Debug)]
struct Closing {
    until: Instant,
    /// Whether reading waits for the sink.
    drains: bool,
    /// Whether the sink has held reading back since, so that more may have arrived.
    was_paused: bool,
    /// Whether the socket ended within a message.
    is_truncated: bool,
}

impl Closing {
    fn new(until: Instant, drains: bool, was_paused: bool) -> Self {
        Self { until, drains, was_paused, is_truncated: false }
    }
}

#[derive(Debug)]
struct Live {
    since: Instant,
    watchdog: Watchdog,
    freshness: Freshness,
    round_trip: RoundTrip,
    departures: Departures,
    /// Instruments that came back before their departure was answered, and were removed before they
    /// were announced. The answer is to the first departure, so they are reported once more.
    removed_again: Vec<u32>,
    /// When the socket failed, and why.
    broken: Option<(Instant, LossCause)>,
}

impl Live {
    /// Sends the differences between the desired and the announced subscriptions. A ping follows an
    /// unsubscribe command, because its answer shows that the server has read the command.
    fn announce(&mut self, now: Instant, book: &mut Book, pending: &mut VecDeque<Output>) {
        let mut never = book.drain(now, |command| {
            pending.push_back(Output::Send(Sent::from(command)));
            if command.kind() == CommandKind::Unsubscribe {
                let ping = self.round_trip.ping(now);
                self.departures.add(now, ping, command.tokens());
                pending.push_back(Output::Ping(ping));
            }
        });
        never.append(&mut self.removed_again);
        never.sort_unstable();
        never.dedup();
        never.retain(|token| !book.desired().contains_key(token));
        (self.removed_again, never) =
            never.into_iter().partition(|&token| self.departures.contains(token));
        if !never.is_empty() {
            pending.push_back(Output::Departed(never));
        }
    }
}

/// Whether a [`TokenSource`](crate::TokenSource) provides credentials, and when it is asked for
/// other ones than those that were refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Renews {
    /// There is no source.
    Never,
    /// After a growing delay, because the source may log in.
    AfterDelay,
    /// Without a delay, because the source itself waits until there are other credentials.
    Promptly,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Session {
    reconnect: Reconnect,
    liveness: Liveness,
    renews: Renews,
    phase: Phase,
    book: Book,
    delays: Delays,
    epoch: u32,
    /// Maximum silence of a feed while pings are answered, in units of twice the threshold.
    feed_patience: u32,
    /// Whether ticks were stale on the last socket.
    freshness: Option<Freshness>,
    credentials: Standing,
    pending: VecDeque<Output>,
}

impl Session {
    /// Starts a session; its first output opens a socket.
    ///
    /// If there is a source of credentials, the first output requests them unless the session
    /// `has_token`.
    pub(crate) fn new(
        mut reconnect: Reconnect,
        mut liveness: Liveness,
        renews: Renews,
        has_token: bool,
    ) -> Self {
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
        let delays = Delays::new(&reconnect);
        let mut session = Self {
            reconnect,
            liveness,
            renews,
            phase: Phase::Parked,
            book: Book::default(),
            delays,
            epoch: 0,
            feed_patience: 1,
            freshness: None,
            credentials: if has_token { Standing::Usable } else { Standing::Incomplete },
            pending: VecDeque::new(),
        };
        session.open();
        session
    }

    /// Returns the number of the current or last socket, from 1; 0 before the first.
    pub(crate) fn epoch(&self) -> u32 {
        self.epoch
    }

    /// Returns whether a socket is open.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Live(_))
    }

    /// Returns whether the session waits for the sink's consumers ([`Input::Drained`]).
    pub(crate) fn is_draining(&self) -> bool {
        matches!(self.phase, Phase::Draining { .. })
    }

    /// Returns whether a suspension of the machine would matter now.
    pub(crate) fn suspension_matters(&self) -> bool {
        matches!(self.phase, Phase::Live(_) | Phase::Waiting { .. })
    }

    /// Returns the subscriptions announced on the current or last socket, whose ticks the server
    /// sends.
    pub(crate) fn announced(&self) -> &BTreeMap<u32, Mode> {
        self.book.announced()
    }

    /// Returns the desired set.
    pub(crate) fn desired(&self) -> &BTreeMap<u32, Mode> {
        self.book.desired()
    }

    /// Handles bytes that do not complete a message.
    pub(crate) fn on_progress(&mut self, now: Instant) {
        if let Phase::Live(live) = &mut self.phase {
            live.watchdog.progressed(now);
        }
    }

    /// Handles a message that is not part of the feed: a text frame or a ping.
    pub(crate) fn on_message(&mut self, now: Instant) {
        if let Phase::Live(live) = &mut self.phase {
            live.watchdog.received(now);
        }
    }

    /// Handles a binary frame, with ticks or a heartbeat. This is the hot path, a few stores.
    /// Returns whether an event is pending.
    pub(crate) fn on_frame(&mut self, now: Instant, has_ticks: bool) -> bool {
        let Phase::Live(live) = &mut self.phase else { return false };
        live.watchdog.fed(now);
        if has_ticks && let Some(silence) = live.freshness.on_ticks(now) {
            self.pending.push_back(Output::Report(Event::TicksResumed { silence }));
            return true;
        }
        false
    }

    /// Handles a pong. Returns the round-trip time if it answers the last ping.
    pub(crate) fn on_pong(&mut self, now: Instant, payload: &[u8]) -> Option<Duration> {
        let Phase::Live(live) = &mut self.phase else { return None };
        live.watchdog.received(now);
        live.round_trip.on_pong(now, payload)
    }

    /// Returns the instruments that the server no longer sends because it has sent this pong.
    pub(crate) fn departed(&mut self, payload: &[u8]) -> Vec<u32> {
        let Phase::Live(live) = &mut self.phase else { return Vec::new() };
        live.departures.on_pong(payload)
    }

    /// Handles an input.
    pub(crate) fn handle(&mut self, now: Instant, input: Input) {
        match (input, &mut self.phase) {
            (_, Phase::Done) => {}
            (Input::SetMode(token, mode), _) => self.set_mode(now, token, mode),
            (Input::Opened, Phase::Opening) => self.on_opened(now),
            (Input::OpenFailed(error), Phase::Opening) => self.on_open_failed(now, error),
            (Input::Lost(cause), Phase::Live(_)) => self.on_lost(now, cause),
            (Input::Truncated, Phase::Closing(closing)) => closing.is_truncated = true,
            (
                Input::Lost(cause),
                &mut Phase::Closing(Closing { until, drains, is_truncated, .. }),
            ) => {
                let clean = is_end_of_stream(&cause) && !is_truncated;
                if drains { self.drain(until, clean) } else { self.finish(clean) }
            }
            (Input::Broken(cause), Phase::Live(live)) => live.broken = Some((now, cause)),
            (Input::CredentialsChanged, Phase::Parked | Phase::Waiting { .. }) => {
                self.open_with_new_credentials();
            }
            (Input::CredentialsChanged, Phase::Opening | Phase::Renewing) => {
                // The current attempt uses the old token; its refusal would park the connection
                // needlessly.
                self.pending.push_back(Output::Abort);
                self.open_with_new_credentials();
            }
            (Input::CredentialsChanged, Phase::Live(_)) => self.credentials = Standing::Usable,
            (Input::Renewed, Phase::Renewing) => {
                self.credentials = Standing::Usable;
                self.open_socket();
            }
            (Input::RenewalFailed(error), Phase::Renewing) => self.on_renewal_failed(now, error),
            (Input::ServerError(message), Phase::Live(_)) if is_limit_refusal(&message) => {
                // The modes that follow a subscribe are rejected as well; send one event per
                // request.
                if let Some(instruments) = self.book.doubt_recent(now) {
                    self.report(Event::LimitRefused { message, instruments });
                }
            }
            (Input::Suspended(slept), Phase::Live(live)) => {
                live.watchdog.suspect();
                self.report(Event::Suspended { slept });
            }
            (Input::Suspended(slept), Phase::Waiting { until }) => {
                // The delay ends sooner by the time slept.
                *until = until.checked_sub(slept).unwrap_or(now);
                self.report(Event::Suspended { slept });
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
            // While writing is blocked, pings would only accumulate.
            (Input::Ping, Phase::Live(live)) if !live.watchdog.is_write_blocked() => {
                self.pending.push_back(Output::Ping(live.round_trip.ping(now)));
            }
            (Input::ReadingPaused(true), Phase::Closing(closing)) => closing.was_paused = true,
            (Input::Close, _) => self.close(now),
            (Input::Drain(until), Phase::Live(live)) => {
                let was_paused = live.watchdog.is_reading_paused();
                self.pending.push_back(Output::SendClose);
                self.phase = Phase::Closing(Closing::new(until, true, was_paused));
            }
            (
                Input::Drain(deadline),
                Phase::Closing(Closing { until, .. }) | Phase::Draining { until, .. },
            ) => *until = deadline.min(*until),
            (Input::Drain(until), _) => {
                self.give_up_attempt();
                self.drain(until, true);
            }
            (Input::Drained, &mut Phase::Draining { clean, .. }) => self.finish(clean),
            // Any other input is late and concerns a socket that is already gone.
            _ => {}
        }
    }

    /// Returns what to do next. Call it until it returns `Wait` or `Done`.
    pub(crate) fn poll(&mut self, now: Instant) -> Output {
        loop {
            if let Some(output) = self.pending.pop_front() {
                return output;
            }
            match &mut self.phase {
                Phase::Opening | Phase::Renewing | Phase::Parked => return Output::Wait(None),
                Phase::Done => return Output::Done,
                Phase::Waiting { until } if now >= *until => self.open(),
                Phase::Waiting { until } => return Output::Wait(Some((*until, Why::Retry))),
                Phase::Closing(closing) if now >= closing.until => self.on_close_deadline(now),
                &mut Phase::Draining { until, clean } if now >= until => self.finish(clean),
                Phase::Closing(Closing { until, .. }) | Phase::Draining { until, .. } => {
                    return Output::Wait(Some((*until, Why::Close)));
                }
                Phase::Live(_) => {
                    if let Some(wait) = self.poll_live(now) {
                        return wait;
                    }
                }
            }
        }
    }

    /// Checks a live socket; returns the wait if there is nothing to do.
    fn poll_live(&mut self, now: Instant) -> Option<Output> {
        let Phase::Live(live) = &mut self.phase else { return None };
        if let Some((since, cause)) = &live.broken {
            let due = *since + self.liveness.silence_threshold * 2;
            if now < due {
                return Some(Output::Wait(Some((due, Why::Broken))));
            }
            let cause = cause.clone();
            self.pending.push_back(Output::Abort);
            self.on_lost(now, cause);
            return None;
        }
        if live.watchdog.has_flowed() {
            self.feed_patience = 1;
            live.watchdog.lose_patience();
        }
        let finding = live.watchdog.check(now);
        let cause = match finding {
            Finding::Fine { next } => {
                // While writing is blocked, commands would only accumulate; the book merges them
                // meanwhile.
                if !live.watchdog.is_write_blocked() {
                    live.announce(now, &mut self.book, &mut self.pending);
                }
                let overdue = live.departures.poll_overdue(now);
                if !overdue.is_empty() {
                    self.pending.push_back(Output::Departed(overdue));
                }
                let watched = self.book.len() > 0 && !live.watchdog.is_reading_paused();
                if watched && let Some(silence) = live.freshness.check(now) {
                    let instruments = self.book.len();
                    self.report(Event::TicksStale { silence, instruments });
                    return None;
                }
                if !self.pending.is_empty() {
                    return None;
                }
                let ticks = live.freshness.due().filter(|_| watched).map(|due| (due, Why::Ticks));
                let pong = live.departures.due().map(|due| (due, Why::Pong));
                return Some(Output::Wait(next.into_iter().chain(ticks).chain(pong).min()));
            }
            Finding::Probe => {
                self.pending.push_back(Output::Ping(live.round_trip.ping(now)));
                return None;
            }
            Finding::FeedSilent { silence, grace } => {
                self.report(Event::FeedSilent { silence, grace });
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

    fn report(&mut self, event: Event) {
        self.pending.push_back(Output::Report(event));
    }

    fn set_mode(&mut self, now: Instant, token: u32, mode: Option<Mode>) {
        if let (Phase::Live(live), 0) = (&mut self.phase, self.book.len()) {
            // Before, no ticks could be expected.
            live.freshness.restart(now);
        }
        self.book.set_mode(token, mode);
    }

    fn open_with_new_credentials(&mut self) {
        // A source may return one bad token after another, which other connections of the account
        // receive too, so its delays continue to grow. A parked connection has no delay.
        if !self.renews() || matches!(self.phase, Phase::Parked) {
            self.delays.reset();
        }
        self.credentials = Standing::Usable;
        self.open_socket();
    }

    fn renews(&self) -> bool {
        self.renews != Renews::Never
    }

    /// Begins an attempt, by requesting credentials if there is a source and the current ones
    /// cannot open a socket.
    fn open(&mut self) {
        if !self.renews() || self.credentials == Standing::Usable {
            self.open_socket();
            return;
        }
        let refused = self.credentials == Standing::Refused;
        self.phase = Phase::Renewing;
        self.report(Event::Renewing { attempt: self.attempt(), refused });
        self.pending.push_back(Output::Renew);
    }

    fn open_socket(&mut self) {
        self.phase = Phase::Opening;
        self.report(Event::Opening { attempt: self.attempt() });
        self.pending.push_back(Output::Open);
    }

    /// Returns the number of the current attempt since the last stable connection, from 1.
    fn attempt(&self) -> u32 {
        self.delays.failures().saturating_add(1)
    }

    fn on_opened(&mut self, now: Instant) {
        self.epoch = self.epoch.saturating_add(1);
        self.book.forget_announced();
        self.report(Event::Up { epoch: self.epoch, instruments: self.book.len() });
        let threshold = self.liveness.silence_threshold;
        let feed_patience = threshold * 2 * self.feed_patience;
        // Ticks reported stale on the previous socket stay so until ticks arrive.
        let fresh = || Freshness::new(now, self.liveness.stale_after);
        let mut freshness = self.freshness.take().unwrap_or_else(fresh);
        freshness.restart(now);
        self.phase = Phase::Live(Live {
            since: now,
            watchdog: Watchdog::new(now, threshold, feed_patience),
            freshness,
            round_trip: RoundTrip::default(),
            departures: Departures::default(),
            removed_again: Vec::new(),
            broken: None,
        });
    }

    /// Handles the loss of the live socket.
    fn on_lost(&mut self, now: Instant, cause: LossCause) {
        let Phase::Live(live) = &self.phase else { return };
        let last_heard = Stamp::at(live.watchdog.last_heard());
        self.freshness = Some(live.freshness.clone());
        if now.saturating_duration_since(live.since) >= self.reconnect.stable_after {
            self.delays.reset();
        }
        self.report(Event::Down { epoch: self.epoch, cause, last_heard });
        self.delays.fail();
        let delay = self.delays.delay();
        self.retry(now, delay, None);
    }

    fn on_open_failed(&mut self, now: Instant, error: OpenError) {
        self.delays.fail();
        let failed = Event::OpenFailed { attempt: self.delays.failures(), error: error.clone() };
        self.report(failed);
        if error.is_auth() {
            self.credentials = Standing::Refused;
            if !self.renews() {
                self.park(ParkReason::Authentication(error));
                return;
            }
        }
        if !error.is_auth() && !error.is_retryable() {
            self.park(ParkReason::Configuration(error));
            return;
        }
        let delay = match &error {
            _ if error.is_auth() && self.renews == Renews::Promptly => Duration::ZERO,
            // A refusal that new credentials may fix is retried like any failure.
            _ if error.is_auth() => self.delays.delay(),
            // A busy server needs time. Any other refusal is from something in between that an early
            // retry cannot overcome. Both may ask for more.
            OpenError::Refused(refusal) | OpenError::ProxyRefused { refusal, .. } => {
                let delay = match is_transient(refusal.status) {
                    true => self.delays.patient_delay(),
                    false => self.delays.slow_delay(),
                };
                delay.max(error.retry_after().unwrap_or_default())
            }
            _ => self.delays.delay(),
        };
        self.retry(now, delay, Some(error));
    }

    fn on_renewal_failed(&mut self, now: Instant, error: TokenSourceError) {
        self.delays.fail();
        self.report(Event::RenewalFailed { attempt: self.delays.failures(), error });
        let delay = self.delays.delay();
        self.retry(now, delay, None);
    }

    fn retry(&mut self, now: Instant, delay: Duration, last: Option<OpenError>) {
        let (failures, limit) = (self.delays.failures(), self.reconnect.max_attempts);
        if usize::try_from(failures).unwrap_or(usize::MAX) > limit {
            self.park(ParkReason::AttemptsUsedUp { failures, limit, last });
            return;
        }
        self.report(Event::Retry { attempt: self.attempt(), delay });
        self.phase = Phase::Waiting { until: now + delay };
    }

    fn park(&mut self, reason: ParkReason) {
        self.report(Event::Parked(reason));
        self.phase = Phase::Parked;
    }

    /// Closes without waiting for the sink.
    fn close(&mut self, now: Instant) {
        let deadline = now + self.liveness.close_deadline;
        match &mut self.phase {
            Phase::Live(_) => {
                self.pending.extend([Output::StopWaiting, Output::SendClose]);
                self.phase = Phase::Closing(Closing::new(deadline, false, false));
            }
            Phase::Closing(closing) => {
                if std::mem::take(&mut closing.drains) {
                    self.pending.push_back(Output::StopWaiting);
                }
                closing.until = deadline.min(closing.until);
            }
            &mut Phase::Draining { clean, .. } => self.finish(clean),
            _ => {
                self.give_up_attempt();
                self.finish(true);
            }
        }
    }

    /// Ends an attempt to open a socket, or a request for credentials.
    fn give_up_attempt(&mut self) {
        if matches!(self.phase, Phase::Opening | Phase::Renewing) {
            self.pending.push_back(Output::Abort);
        }
    }

    fn on_close_deadline(&mut self, now: Instant) {
        match &mut self.phase {
            Phase::Closing(closing) if closing.drains && closing.was_paused => {
                // What has arrived is read and discarded, so that it can be counted.
                (closing.drains, closing.until) = (false, now + LAST_READING);
                self.pending.push_back(Output::StopWaiting);
            }
            _ => {
                self.pending.push_back(Output::Abort);
                self.finish(false);
            }
        }
    }

    /// Waits for the consumers, once the socket has ended.
    fn drain(&mut self, until: Instant, clean: bool) {
        self.phase = Phase::Draining { until, clean };
    }

    /// Ends the session; `clean` if the socket was read to its end, or there was none.
    fn finish(&mut self, clean: bool) {
        self.report(Event::Closed { clean });
        self.phase = Phase::Done;
    }
}

/// Returns whether a socket that was closing has ended after everything that the server sent on it.
fn is_end_of_stream(cause: &LossCause) -> bool {
    matches!(cause, LossCause::CloseFrame { .. } | LossCause::Eof)
}

/// Returns whether a server's error message is about the number of instruments. Kite's is "Can't
/// subscribe to more than 3000 instruments."; no others are documented.
fn is_limit_refusal(message: &str) -> bool {
    let message = message.to_ascii_lowercase();
    message.contains("instrument") && (message.contains("more than") || message.contains("limit"))
}

/// Returns whether a status is temporary: too many sockets, a slot not yet free, a failing server.
fn is_transient(status: u16) -> bool {
    matches!(status, 404 | 408 | 409 | 421 | 425 | 426 | 429 | 500..=599)
}

#[cfg(any(test, fuzzing))]
mod model;
#[cfg(any(test, fuzzing))]
pub(crate) mod ops;
#[cfg(test)]
mod tests;
