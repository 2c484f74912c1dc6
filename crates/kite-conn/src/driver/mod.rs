//! The one place that touches the socket: carries out what the session decides.
//!
//! The socket is never split and nothing here awaits a write: reads, writes, requests and the
//! timer are polled together, so that a peer that stops reading cannot stop us from reading. It is
//! polled by a task of its own ([`Driver::run`]), or by whoever takes the frames
//! ([`Driver::poll_run`]).

mod event;
mod mailbox;
mod network;
mod reporter;
mod suspension;

use std::collections::VecDeque;
use std::future::Future;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use kite_wire::text::TextMessage;
use tokio::time::Sleep;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tracing::trace;

pub(crate) use self::mailbox::Mailbox;
pub(crate) use self::network::{Network, Wire};
pub(crate) use self::reporter::Reporter;
use self::suspension::SuspensionWatch;
use crate::clock::Stamp;
use crate::config::{Admission, ConnectionConfig, TokenRequest, TokenSourceError};
use crate::credentials::Credentials;
use crate::deliver::{Intake, RateLimit, Sink};
use crate::observe::{Event, GapTracker, InstrumentWriter, LossCause};
use crate::session::{Input, Output, Session};
use crate::transport::{OpenError, Refusal};
use crate::websocket::WebSocket;

/// Frames taken in one turn before requests and writes get theirs.
const FRAMES_PER_TURN: usize = 64;

/// Bytes of frames taken in one turn. Where another task takes the frames, it gets its turn as
/// well, before the frames that wait for it fill more than the processor's caches.
const BYTES_PER_TURN: usize = 128 * 1024;

/// How often the clocks are compared while it matters whether the machine slept.
const LOOK_AT_CLOCKS_EVERY: Duration = Duration::from_secs(1);

/// How long a token source may keep a reconnect waiting whose credentials were not refused.
const LONGEST_RENEWAL: Duration = Duration::from_secs(5);

type Opened<W> = (Result<WebSocket<W>, OpenError>, Option<Box<dyn Admission>>);
type Opening<W> = Pin<Box<dyn Future<Output = Opened<W>> + Send>>;
type Renewing = Pin<Box<dyn Future<Output = Result<Credentials, TokenSourceError>> + Send>>;

enum Link<W> {
    None,
    Renewing(Renewing),
    Opening(Opening<W>),
    Open(Box<WebSocket<W>>),
}

/// Why the polling of a driver has paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pause {
    /// The sink has what is to be taken from it.
    Enough,
    /// The connection has ended: to be told by [`Driver::finish`].
    Over,
}

/// Why the driver woke.
enum Wake<W> {
    Mail,
    /// The sink has what is to be taken from it.
    Enough,
    Timer,
    Renewed(Result<Credentials, TokenSourceError>),
    Opened(Result<Box<WebSocket<W>>, OpenError>),
    Lost(LossCause),
    /// A turn's worth of frames has been taken, or the deadline may have moved.
    Turn,
}

pub(crate) struct Driver<S, O: Network> {
    config: ConnectionConfig,
    network: O,
    credentials: Credentials,
    /// The server's last refusal of the credentials at hand.
    refusal: Option<Refusal>,
    session: Session,
    intake: Intake<S>,
    link: Link<O::Wire>,
    /// The leave that the open socket has.
    admission: Option<Box<dyn Admission>>,
    /// Behind the sink and the socket: where all is dropped, the end is told last.
    reporter: Reporter,
    /// Messages the socket has not taken yet.
    outbox: VecDeque<Message>,
    /// Whether the socket has taken messages that it has not written out.
    unflushed: bool,
    write_blocked: bool,
    /// What the socket had taken of our bytes when last looked at.
    bytes_written: u64,
    unreadable: RateLimit,
    reading_paused: bool,
    /// Made by the task itself: a runtime without timers panics where one is made.
    timer: Option<Pin<Box<Sleep>>>,
    timer_armed: bool,
    suspension: SuspensionWatch,
    /// When the last socket was lost, while there is no other.
    lost: Option<Stamp>,
    /// Whether the session has heard something that may move its deadline.
    consult: bool,
    /// How many frames are left of this turn; none where a turn is due. Never none while the
    /// socket is pending: whoever comes late shall hear it before the session judges.
    frames_left: usize,
    bytes_left: usize,
}

impl<S: Sink, O: Network> Driver<S, O> {
    pub(crate) fn new(
        config: ConnectionConfig,
        network: O,
        credentials: Credentials,
        sink: S,
        reporter: Reporter,
    ) -> Self {
        let renews = config.token_source.is_some();
        let tracked = config.track_instruments;
        let instruments =
            tracked.then(|| InstrumentWriter::new(Arc::clone(&reporter.counters.instruments)));
        let gaps = GapTracker::new(instruments, config.liveness.silence_threshold, O::wall_clock);
        let (counters, events) = (Arc::clone(&reporter.counters), reporter.events.clone());
        let intake = Intake::new(sink, counters, events, gaps);
        Self {
            session: Session::new(config.reconnect, config.liveness, renews),
            suspension: SuspensionWatch::new(config.liveness.silence_threshold),
            config,
            network,
            credentials,
            refusal: None,
            intake,
            link: Link::None,
            admission: None,
            reporter,
            outbox: VecDeque::new(),
            unflushed: false,
            write_blocked: false,
            bytes_written: 0,
            unreadable: RateLimit::default(),
            reading_paused: false,
            timer: None,
            timer_armed: false,
            lost: None,
            consult: false,
            frames_left: 0,
            bytes_left: 0,
        }
    }

    /// Runs the connection to its end.
    pub(crate) async fn run(mut self) {
        std::future::poll_fn(|cx| self.poll_run(cx, |_| false)).await;
        self.finish();
    }

    /// Runs the connection until the sink has enough, to its end where it never has.
    pub(crate) fn poll_run(
        &mut self,
        cx: &mut Context<'_>,
        has_enough: impl Fn(&S) -> bool,
    ) -> Poll<Pause> {
        loop {
            if self.frames_left == 0 && self.begin_turn() {
                return Poll::Ready(Pause::Over);
            }
            match ready!(self.poll_wake(cx, &has_enough)) {
                Wake::Enough => {
                    // Now and not when it is polled again: that may be much later, and then the
                    // socket must be heard first, ticks behind heartbeats included, for which half
                    // a turn is kept. An end found here is found again then.
                    if self.frames_left < FRAMES_PER_TURN / 2
                        || self.bytes_left < BYTES_PER_TURN / 2
                        || self.consult
                        || self.reporter.mailbox.is_filled()
                    {
                        self.begin_turn();
                    }
                    return Poll::Ready(Pause::Enough);
                }
                Wake::Turn if self.is_spent() => {
                    // Now, as above.
                    self.begin_turn();
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                wake => self.on_wake(wake),
            }
            self.frames_left = 0;
        }
    }

    /// Tells the end, once it is over and the sink is gone.
    pub(crate) fn finish(self) {
        drop(self.intake);
        self.reporter.finish();
    }

    /// Asks the connection to end.
    pub(crate) fn close(&self) {
        self.reporter.mailbox.close();
    }

    /// Gives the sink.
    pub(crate) fn sink_mut(&mut self) -> &mut S {
        self.intake.sink_mut()
    }

    /// Lets requests and the session have their say; says whether all is over.
    fn begin_turn(&mut self) -> bool {
        let now = now();
        self.consult = false;
        self.collect_mail(now);
        let is_over = self.obey(now);
        if is_over {
            self.frames_left = 0;
        } else {
            self.grant_turn();
        }
        is_over
    }

    fn grant_turn(&mut self) {
        (self.frames_left, self.bytes_left) = (FRAMES_PER_TURN, BYTES_PER_TURN);
    }

    fn is_spent(&self) -> bool {
        self.frames_left == 0 || self.bytes_left == 0
    }

    fn collect_mail(&mut self, now: Instant) {
        let Some(mail) = self.reporter.mailbox.collect() else { return };
        for (token, mode) in mail.wanted {
            self.session.handle(now, Input::Want(token, mode));
        }
        if let Some(credentials) = mail.credentials {
            self.take_credentials(credentials);
            self.session.handle(now, Input::CredentialsChanged);
        }
        if mail.ping {
            self.session.handle(now, Input::Ping);
        }
        if mail.close {
            self.session.handle(now, Input::Close);
        }
    }

    /// Carries out what the session wants; says whether all is over.
    fn obey(&mut self, now: Instant) -> bool {
        loop {
            match self.session.poll(now) {
                Output::Open => self.open(),
                Output::Renew { refused } => self.renew(refused),
                Output::Send(text) => self.outbox.push_back(Message::text(text)),
                Output::Ping(payload) => {
                    self.outbox.push_back(Message::Ping(Bytes::copy_from_slice(&payload)));
                }
                Output::SendClose => {
                    self.outbox.clear();
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    self.outbox.push_back(Message::Close(Some(frame)));
                }
                Output::Abort => {
                    if let Link::Open(socket) = &mut self.link {
                        socket.get_ref().reset_on_drop();
                    }
                    self.hang_up();
                }
                Output::Tell(event) => self.tell(event),
                Output::Wait(wait) => {
                    trace!(conn = self.reporter.events.connection(), ?wait, "waiting");
                    self.arm_timer(now, wait.map(|(deadline, _)| deadline));
                    return false;
                }
                Output::Done => return true,
            }
        }
    }

    /// Sets the timer to the session's deadline, or to the next look at the clocks before it.
    fn arm_timer(&mut self, now: Instant, deadline: Option<Instant>) {
        let look = if self.session.minds_suspension() {
            Some(self.suspension.last_look().map_or(now, |last| last + LOOK_AT_CLOCKS_EVERY))
        } else {
            // A sleep before a delay is none during it.
            self.suspension.forget();
            None
        };
        let first = deadline.into_iter().chain(look).min();
        self.timer_armed = first.is_some();
        if let Some(first) = first {
            let sleep = || Box::pin(tokio::time::sleep_until(first.into()));
            let timer = self.timer.get_or_insert_with(sleep);
            timer.as_mut().reset(first.into());
        }
    }

    /// Compares the clocks where it is time to.
    fn look_at_clocks(&mut self, now: Instant) {
        let last = self.suspension.last_look();
        if last.is_none_or(|last| now.saturating_duration_since(last) >= LOOK_AT_CLOCKS_EVERY)
            && let Some(slept) = self.suspension.look(now, O::wall_clock())
        {
            self.session.handle(now, Input::Suspended(slept));
        }
    }

    fn take_credentials(&mut self, credentials: Credentials) {
        self.credentials = credentials;
        self.refusal = None;
    }

    /// Opens a socket, once admitted.
    fn open(&mut self) {
        let opening = self.network.open(&self.credentials);
        let Some(pacer) = &self.config.pacer else {
            let opening = async { (opening.await, None) };
            self.link = Link::Opening(Box::pin(opening));
            return;
        };
        let admission = pacer.admit();
        self.link = Link::Opening(Box::pin(async {
            let mut admission = admission.await;
            let opened = opening.await;
            match &opened {
                Ok(_) => admission.on_opened(),
                Err(error) => admission.on_failed(error),
            }
            (opened, Some(admission))
        }));
    }

    /// Asks the token source.
    fn renew(&mut self, refused: bool) {
        let Some(source) = self.config.token_source.clone() else { return };
        let refusal = self.refusal.clone().filter(|_| refused);
        let request = TokenRequest { current: self.credentials.clone(), refusal };
        // What was not refused may still be good: nobody waits long for better.
        let limit = if refused { Duration::MAX } else { LONGEST_RENEWAL };
        let after = self.config.transport.connect_timeout.min(limit);
        self.link = Link::Renewing(Box::pin(async move {
            // The application's code: a panic of it must not take the connection along.
            let answer = AssertUnwindSafe(async { source.ask(request).await }).catch_unwind();
            match tokio::time::timeout(after, answer).await {
                Ok(Ok(answer)) => answer,
                Ok(Err(_)) => Err(TokenSourceError::Panicked),
                Err(_) => Err(TokenSourceError::Timeout { after }),
            }
        }));
    }

    fn hang_up(&mut self) {
        self.link = Link::None;
        // Behind the socket: whoever is admitted in its place finds the slot free.
        self.admission = None;
        self.outbox.clear();
        (self.unflushed, self.write_blocked, self.reading_paused) = (false, false, false);
        self.bytes_written = 0;
    }

    fn on_wake(&mut self, wake: Wake<O::Wire>) {
        let now = now();
        match wake {
            Wake::Mail | Wake::Turn | Wake::Enough => {}
            Wake::Timer => self.look_at_clocks(now),
            Wake::Renewed(Ok(credentials)) => {
                self.hang_up();
                self.take_credentials(credentials);
                self.session.handle(now, Input::Renewed);
            }
            Wake::Renewed(Err(error)) => {
                self.hang_up();
                self.session.handle(now, Input::RenewalFailed(error));
            }
            Wake::Opened(Ok(socket)) => {
                self.link = Link::Open(socket);
                self.session.handle(now, Input::Opened);
            }
            Wake::Opened(Err(error)) => {
                self.hang_up();
                if let OpenError::Refused(refusal) = &error
                    && error.is_auth()
                {
                    self.refusal = Some(refusal.clone());
                }
                self.session.handle(now, Input::OpenFailed(error));
            }
            Wake::Lost(cause) => {
                self.hang_up();
                self.session.handle(now, Input::Lost(cause));
            }
        }
    }

    fn poll_wake(
        &mut self,
        cx: &mut Context<'_>,
        has_enough: impl Fn(&S) -> bool,
    ) -> Poll<Wake<O::Wire>> {
        // Before the requests and the timer: what has come must be heard before the session judges
        // the silence, however late this task runs.
        if let Link::Open(_) = &self.link
            && let Poll::Ready(wake) = self.poll_socket(cx, has_enough)
        {
            return Poll::Ready(wake);
        }
        if self.reporter.mailbox.poll_filled(cx).is_ready() {
            return Poll::Ready(Wake::Mail);
        }
        match &mut self.link {
            Link::Opening(opening) => {
                if let Poll::Ready((result, admission)) = opening.as_mut().poll(cx) {
                    self.admission = admission.filter(|_| result.is_ok());
                    return Poll::Ready(Wake::Opened(result.map(Box::new)));
                }
            }
            Link::Renewing(renewing) => {
                if let Poll::Ready(result) = renewing.as_mut().poll(cx) {
                    return Poll::Ready(Wake::Renewed(result));
                }
            }
            Link::None | Link::Open(_) => {}
        }
        if self.consult {
            return Poll::Ready(Wake::Turn);
        }
        if self.timer_armed
            && let Some(timer) = &mut self.timer
            && timer.as_mut().poll(cx).is_ready()
        {
            return Poll::Ready(Wake::Timer);
        }
        Poll::Pending
    }

    fn poll_socket(
        &mut self,
        cx: &mut Context<'_>,
        has_enough: impl Fn(&S) -> bool,
    ) -> Poll<Wake<O::Wire>> {
        if let Err(error) = self.write(cx) {
            return Poll::Ready(Wake::Lost(loss_cause(error)));
        }
        while !self.is_spent() {
            self.frames_left -= 1;
            match self.intake.poll_ready(cx) {
                Poll::Ready(()) => self.pause_reading(false),
                Poll::Pending => {
                    self.pause_reading(true);
                    return self.write_on(cx);
                }
            }
            let Link::Open(socket) = &mut self.link else { return Poll::Pending };
            let message = match socket.poll_next(cx) {
                Poll::Ready(Ok(message)) => message,
                Poll::Ready(Err(error)) => return Poll::Ready(Wake::Lost(loss_cause(error))),
                Poll::Pending => return self.write_on(cx),
            };
            if let Some(cause) = self.on_message(message) {
                // The reply to a close frame goes out if the socket takes it at once.
                let _ = self.write(cx);
                return Poll::Ready(Wake::Lost(cause));
            }
            if has_enough(self.intake.sink_mut()) {
                return Poll::Ready(Wake::Enough);
            }
            if self.consult {
                // There is something to tell, in order with the frames.
                break;
            }
        }
        Poll::Ready(Wake::Turn)
    }

    /// Writes what the last reads queued, answers to pings, where no more is read for now.
    fn write_on(&mut self, cx: &mut Context<'_>) -> Poll<Wake<O::Wire>> {
        self.grant_turn();
        match self.write(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Wake::Lost(loss_cause(error))),
        }
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        if !self.unflushed && self.outbox.is_empty() {
            return Ok(());
        }
        let Link::Open(socket) = &mut self.link else { return Ok(()) };
        while !self.outbox.is_empty() {
            match socket.poll_flush(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            if let Some(message) = self.outbox.pop_front() {
                self.unflushed = true;
                socket.send(message)?;
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = socket.poll_flush(cx)
        {
            flushed?;
            self.unflushed = false;
        }
        let blocked = self.unflushed || !self.outbox.is_empty();
        if blocked != self.write_blocked {
            self.write_blocked = blocked;
            self.consult = true;
            self.session.handle(now(), Input::WriteBlocked(blocked));
        }
        let bytes_written = socket.get_ref().bytes_written();
        if bytes_written != self.bytes_written {
            self.bytes_written = bytes_written;
            self.session.handle(now(), Input::WriteProgressed);
        }
        Ok(())
    }

    fn pause_reading(&mut self, paused: bool) {
        if paused != self.reading_paused {
            self.reading_paused = paused;
            self.consult = true;
            self.session.handle(now(), Input::ReadingPaused(paused));
        }
    }

    /// Takes a message; gives the cause if it ends the socket.
    fn on_message(&mut self, message: Message) -> Option<LossCause> {
        let now = now();
        let received = Stamp::at(now);
        let counts = &self.reporter.counters.socket;
        match message {
            Message::Binary(bytes) => {
                counts.frames.add(1);
                counts.bytes.add(bytes.len() as u64);
                counts.last_message.set(received.as_nanos());
                self.bytes_left = self.bytes_left.saturating_sub(bytes.len());
                // A heartbeat is one byte, and a frame without packets two.
                let has_ticks = bytes.len() > 2;
                if has_ticks {
                    counts.frame_bytes.record(bytes.len() as u64);
                }
                self.consult |= self.session.on_frame(now, has_ticks);
                self.intake.on_frame(bytes, received, self.session.epoch());
            }
            Message::Text(text) => {
                self.session.on_heard(now);
                counts.texts.add(1);
                counts.last_message.set(received.as_nanos());
                let parsed = TextMessage::parse(&text);
                let text = Bytes::from(text);
                match parsed {
                    Ok(message) => {
                        if let TextMessage::Error(message) = &message {
                            self.consult = true;
                            self.session.handle(now, Input::ServerError(message.clone()));
                        }
                        let message = Arc::new(message);
                        self.tell(Event::Text { text, message, received });
                    }
                    Err(error) => {
                        counts.unreadable_texts.add(1);
                        counts.errors.add(1);
                        // The sink loses nothing; the lane keeps its room for what matters.
                        let told = self.unreadable.admit(received);
                        let untold = told.unwrap_or_default();
                        let event = Event::TextUnreadable { text, error, received, untold };
                        match told {
                            Some(_) => self.tell(event),
                            None => self.deliver(event, received),
                        }
                    }
                }
            }
            Message::Ping(_) => {
                self.session.on_heard(now);
                self.unflushed = true;
            }
            Message::Pong(payload) => {
                if let Some(round_trip) = self.session.on_pong(now, &payload) {
                    // Zero means that there is none: a clock that did not move says at least 1 ns.
                    let round_trip_ns = nanos(round_trip).max(1);
                    counts.round_trip_ns.set(round_trip_ns);
                    counts.round_trips_ns.record(round_trip_ns);
                }
            }
            Message::Frame(_) => {}
            Message::Close(frame) => {
                self.unflushed = true;
                let (code, reason) = frame.map_or((1005, String::new()), |frame| {
                    (frame.code.into(), frame.reason.as_str().to_owned())
                });
                return Some(LossCause::CloseFrame { code, reason });
            }
        }
        None
    }
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

fn now() -> Instant {
    // Tokio's clock, so that tests may pause it.
    tokio::time::Instant::now().into_std()
}

fn loss_cause(error: WsError) -> LossCause {
    match error {
        WsError::ConnectionClosed
        | WsError::AlreadyClosed
        | WsError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => LossCause::Eof,
        // TLS without its close_notify: as TCP's own end.
        WsError::Io(error) if error.kind() == ErrorKind::UnexpectedEof => LossCause::Eof,
        WsError::Io(error) => LossCause::Io(error.kind()),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            LossCause::FrameTooLarge { bytes: size, limit: max_size }
        }
        other => LossCause::Protocol(other.to_string()),
    }
}
