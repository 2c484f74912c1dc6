//! Carries out what the session decides. Nothing else touches the socket.
//!
//! The socket is never split and nothing here awaits a write: reads, writes, requests and the timer
//! are polled together, so that a peer that stops reading does not stop this side from reading. A
//! driver is polled by its own task ([`Driver::run`]), or by the task that consumes the frames
//! ([`Driver::poll_run`]).

mod activity;
mod clock;
mod link;
mod mailbox;
mod messages;
mod network;
mod outputs;
mod reporter;
mod suspension;
mod turn;

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use tokio_tungstenite::tungstenite::Message;

use self::activity::Activity;
#[cfg(test)]
pub(crate) use self::clock::Clocks;
use self::clock::{Clock, Found, now};
use self::link::{Link, Socket};
pub(crate) use self::mailbox::Mailbox;
use self::messages::loss_cause;
pub(crate) use self::network::Network;
pub(crate) use self::reporter::Reporter;
use self::turn::Turn;
use crate::config::{ConnectionConfig, TokenSourceError};
use crate::credentials::Credentials;
use crate::deliver::{Intake, RateLimit, Sink};
use crate::observe::{GapTracker, InstrumentWriter, LossCause, Stopped};
use crate::session::{Input, Renews, Session};
use crate::transport::{OpenError, Refusal, Secrets};
use crate::websocket::{Wire, Writing};

/// Why polling a driver has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The sink holds a frame for the caller.
    Enough,
    /// The connection has ended; [`Driver::finish`] reports it.
    Over,
}

/// Why reading a socket stopped.
enum Reading {
    /// Nothing more can be read for now, or the session must be polled first.
    Paused,
    /// The sink holds a frame for the caller.
    Enough,
    /// The turn's budget is used up.
    Spent,
}

/// A connection's socket, its session, and its sink.
pub(crate) struct Driver<S, N: Network> {
    config: ConnectionConfig,
    network: N,
    credentials: Credentials,
    secrets: Secrets,
    /// The server's last refusal of the current credentials.
    refusal: Option<Refusal>,
    session: Session,
    clock: Clock,
    activity: Option<Activity>,
    turn: Turn,
    intake: Intake<S>,
    link: Link<N::Wire>,
    reading_paused: bool,
    unreadable: RateLimit,
    /// Declared after the sink and the socket, so that on drop the end is reported last.
    reporter: Reporter,
}

impl<S: Sink, N: Network> Driver<S, N> {
    pub(crate) fn new(
        config: ConnectionConfig,
        network: N,
        credentials: Credentials,
        sink: S,
        reporter: Reporter,
    ) -> Self {
        let threshold = config.liveness.silence_threshold;
        let counters = Arc::clone(&reporter.counters);
        let unsettled = Arc::clone(&counters.unsettled);
        let tracked = config.track_instruments;
        let instruments = tracked.then(|| InstrumentWriter::new(Arc::clone(&counters.instruments)));
        let gaps = GapTracker::new(instruments, unsettled, threshold, N::wall_clock);
        let renews = match &config.token_source {
            None => Renews::Never,
            Some(source) if source.waits() => Renews::Promptly,
            Some(_) => Renews::AfterDelay,
        };
        let has_token = !credentials.access_token().expose().is_empty();
        Self {
            session: Session::new(config.reconnect, config.liveness, renews, has_token),
            clock: Clock::new(threshold, N::clocks()),
            activity: config.last_activity.clone().map(Activity::new),
            turn: Turn::new(),
            intake: Intake::new(sink, counters, reporter.events.clone(), gaps),
            secrets: Secrets::new(config.endpoint.clone()),
            config,
            network,
            credentials,
            refusal: None,
            link: Link::None,
            reading_paused: false,
            unreadable: RateLimit::default(),
            reporter,
        }
    }

    /// Runs the connection to its end.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll_run(cx, |_| false)).await;
        self.finish();
    }

    /// Runs the connection until the sink has enough, or to its end.
    pub(crate) fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
        has_enough: impl Fn(&S) -> bool,
    ) -> Poll<Pause> {
        // Whether the timer had fired before the socket was read.
        let mut is_due = false;
        loop {
            if self.turn.is_over()
                && let Some(over) = self.ask_session()
            {
                return Poll::Ready(over);
            }
            // Polled first, so that data that has arrived is read before the session checks for
            // silence.
            match self.poll_socket(cx, &has_enough) {
                Reading::Paused => {}
                Reading::Enough => {
                    // Done now and not at the next poll: see `Turn`.
                    let asks = self.turn.is_over() || self.reporter.mailbox.is_filled();
                    if asks || self.turn.is_half_spent() {
                        self.ask_session();
                    }
                    return Poll::Ready(Pause::Enough);
                }
                Reading::Spent => {
                    self.ask_session();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
            let has_news = self.turn.is_over()
                || self.reporter.mailbox.poll_filled(cx).is_ready()
                || self.poll_attempt(cx)
                || self.poll_drained(cx);
            if !has_news && !is_due {
                if self.clock.poll(cx).is_pending() {
                    return Poll::Pending;
                }
                // The runtime may have learned of data and of the timer together, after the socket
                // was read.
                is_due = true;
                continue;
            }
            if std::mem::take(&mut is_due) {
                self.look_at_clocks(now());
            }
            self.turn.end();
        }
    }

    /// Reports the end, after the sink is dropped.
    pub(crate) fn finish(mut self) -> Stopped {
        drop(self.intake);
        self.reporter.finish();
        self.reporter.stopped.clone()
    }

    /// Requests the connection to close.
    pub(crate) fn close(&self) {
        self.reporter.mailbox.close();
    }

    /// Returns the sink.
    pub(crate) fn sink_mut(&mut self) -> &mut S {
        self.intake.sink_mut()
    }

    /// Writes pending data and reads what has arrived.
    fn poll_socket(&mut self, cx: &mut Context<'_>, has_enough: impl Fn(&S) -> bool) -> Reading {
        self.try_socket(cx, has_enough).unwrap_or_else(|cause| {
            self.on_lost(cause);
            Reading::Paused
        })
    }

    #[cold]
    fn on_lost(&mut self, cause: LossCause) {
        if matches!(&self.link, Link::Open(socket) if socket.websocket.is_within_message()) {
            self.session.handle(now(), Input::Truncated);
        }
        let cause = self.first_cause(cause);
        let cause = self.redact(cause);
        self.hang_up();
        self.handle(Input::Lost(cause));
    }

    fn try_socket(
        &mut self,
        cx: &mut Context<'_>,
        has_enough: impl Fn(&S) -> bool,
    ) -> Result<Reading, LossCause> {
        self.write(cx);
        let mut is_first = true;
        while !self.turn.is_spent() {
            let Some(message) = self.poll_message(cx)? else {
                self.note_progress(is_first);
                // Replies to the messages read.
                self.write(cx);
                self.look_for_failure();
                self.turn.renew();
                return Ok(Reading::Paused);
            };
            is_first = false;
            if let Err(cause) = self.on_message(message) {
                // The reply to a close frame is sent if the socket accepts it immediately.
                self.write(cx);
                return Err(cause);
            }
            if has_enough(self.intake.sink_mut()) {
                return Ok(Reading::Enough);
            }
            if self.turn.is_over() {
                return Ok(Reading::Paused);
            }
        }
        Ok(Reading::Spent)
    }

    /// Reads the next message, if there is one and the sink has room for it.
    fn poll_message(&mut self, cx: &mut Context<'_>) -> Result<Option<Message>, LossCause> {
        if !matches!(self.link, Link::Open(_)) || !self.poll_sink(cx) {
            return Ok(None);
        }
        let Link::Open(socket) = &mut self.link else { return Ok(None) };
        match socket.websocket.poll_next(cx) {
            Poll::Ready(message) => message.map(Some).map_err(loss_cause),
            Poll::Pending => Ok(None),
        }
    }

    /// Records bytes read that do not complete a message, unless messages were read with them.
    fn note_progress(&mut self, no_message: bool) {
        let Link::Open(socket) = &mut self.link else { return };
        if socket.websocket.has_read() && no_message {
            let now = now();
            self.record_activity(now);
            self.session.on_progress(now);
        }
    }

    /// Returns whether the sink has room. While it has none, silence does not count against the
    /// server.
    fn poll_sink(&mut self, cx: &mut Context<'_>) -> bool {
        let is_ready = self.intake.poll_ready(cx).is_ready();
        if self.reading_paused == is_ready {
            self.reading_paused = !is_ready;
            self.handle(Input::ReadingPaused(!is_ready));
        }
        is_ready
    }

    /// Writes as much as the socket accepts. A failure does not end the socket: reading does, once
    /// everything received is read, which may include a close frame.
    #[inline]
    fn write(&mut self, cx: &mut Context<'_>) {
        if let Link::Open(socket) = &self.link
            && !socket.websocket.is_flushed()
            && socket.failure.is_none()
        {
            self.write_queue(cx);
        }
    }

    #[cold]
    fn write_queue(&mut self, cx: &mut Context<'_>) {
        let Link::Open(socket) = &mut self.link else { return };
        let Writing { blocked, progressed } = match socket.websocket.write(cx) {
            Ok(writing) => writing,
            Err(error) => return self.on_failure(loss_cause(error)),
        };
        if let Some(blocked) = blocked {
            self.handle(Input::WriteBlocked(blocked));
        }
        if progressed {
            self.session.handle(now(), Input::WriteProgressed);
        }
    }

    /// Handles a failure other than one of reading.
    fn on_failure(&mut self, cause: LossCause) {
        let Link::Open(socket) = &mut self.link else { return };
        socket.failure = Some(cause.clone());
        self.handle(Input::Broken(cause));
    }

    /// Looks for a failure of a socket that is not read, because its consumer is slow.
    fn look_for_failure(&mut self) {
        let Link::Open(socket) = &self.link else { return };
        if self.reading_paused
            && socket.failure.is_none()
            && let Some(error) = socket.websocket.get_ref().take_failure()
        {
            self.on_failure(LossCause::Io(error.kind()));
        }
    }

    /// Redacts the server's words in a cause.
    fn redact(&self, cause: LossCause) -> LossCause {
        match cause {
            LossCause::CloseFrame { code, reason } => {
                LossCause::CloseFrame { code, reason: self.secrets.redact(reason) }
            }
            LossCause::Protocol(what) => LossCause::Protocol(self.secrets.redact(what)),
            other => other,
        }
    }

    /// Returns why the socket was lost: the failure before the end of the stream, if there was one.
    fn first_cause(&mut self, cause: LossCause) -> LossCause {
        let Link::Open(socket) = &mut self.link else { return cause };
        match (socket.failure.take(), cause) {
            (Some(failure), LossCause::Eof | LossCause::Io(_)) => failure,
            (_, cause) => cause,
        }
    }

    /// Polls a renewal or an attempt to open a socket; returns whether it has ended.
    fn poll_attempt(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.link {
            Link::None | Link::Open(_) => return false,
            Link::Renewing(renewing) => match renewing.as_mut().poll(cx) {
                Poll::Ready(renewed) => self.on_renewed(renewed),
                Poll::Pending => return false,
            },
            Link::Opening(opening) => match opening.as_mut().poll(cx) {
                Poll::Ready(opened) => self.on_opened(opened),
                Poll::Pending => return false,
            },
        }
        true
    }

    fn on_renewed(&mut self, renewed: Result<Credentials, TokenSourceError>) {
        self.hang_up();
        match renewed {
            Ok(credentials) => {
                self.take_credentials(credentials);
                self.handle(Input::Renewed);
            }
            Err(error) => self.handle(Input::RenewalFailed(error)),
        }
    }

    fn on_opened(&mut self, opened: Result<Box<Socket<N::Wire>>, OpenError>) {
        match opened {
            Ok(socket) => {
                self.link = Link::Open(socket);
                let now = now();
                self.record_activity(now);
                // So that the event counts the instruments requested by now.
                self.collect_mail(now);
                self.handle(Input::Opened);
            }
            Err(error) => {
                self.hang_up();
                if let OpenError::Refused(refusal) = &error
                    && error.is_auth()
                {
                    self.refusal = Some(refusal.clone());
                }
                self.handle(Input::OpenFailed(error));
            }
        }
    }

    /// Records that something was received.
    #[inline]
    fn record_activity(&mut self, now: Instant) {
        if let Some(activity) = &mut self.activity {
            activity.record(now, N::wall_clock);
        }
    }

    /// Compares the clocks if it is time.
    #[inline]
    fn look_at_clocks(&mut self, now: Instant) {
        if self.clock.is_due(now) {
            self.compare_clocks(now);
        }
    }

    #[cold]
    fn compare_clocks(&mut self, now: Instant) {
        let Found { slept, step } = self.clock.look(now);
        if let Some((number, by_ns)) = step {
            self.report_step(number, by_ns);
        }
        if let Some(slept) = slept {
            self.handle(Input::Suspended(slept));
        }
    }

    /// Returns whether the consumers have taken everything after the socket was read to its end.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> bool {
        let drained = self.session.is_draining() && self.intake.poll_drained(cx).is_ready();
        if drained {
            self.handle(Input::Drained);
        }
        drained
    }

    /// Passes an input to the session and ends the turn, so that the session is polled next.
    fn handle(&mut self, input: Input) {
        self.session.handle(now(), input);
        self.turn.end();
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
