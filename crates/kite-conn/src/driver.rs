//! The one task that touches the socket: carries out what the session decides.
//!
//! The socket is never split and nothing here awaits a write: reads, writes, requests and the
//! timer are polled together, so that a peer that stops reading cannot stop us from reading.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Instant;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kite_wire::text::TextMessage;
use tokio::sync::watch;
use tokio::time::Sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::{CapacityError, ProtocolError};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};
use tracing::{debug, info, warn};

use crate::clock::Stamp;
use crate::config::ConnectionConfig;
use crate::connection::{Phase, Status};
use crate::counters::Counters;
use crate::credentials::Credentials;
use crate::deliver::{Intake, Outlet, RateLimit, Sink, SinkGone};
use crate::error::ErrorChain;
use crate::event::{Event, LossCause};
use crate::events::EventSender;
use crate::mailbox::Mailbox;
use crate::session::{Input, Output, Policy, Session};
use crate::transport::{Dialer, OpenError, Stream};

/// Frames taken in one turn before requests and writes get theirs.
const FRAMES_PER_TURN: usize = 64;

type Socket = WebSocketStream<Stream>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, OpenError>> + Send>>;

enum Link {
    None,
    Opening(Opening),
    Open(Box<Socket>),
}

/// Why the task woke.
enum Wake {
    Mail,
    Timer,
    Opened(Result<Box<Socket>, OpenError>),
    Lost(LossCause),
    SinkGone,
    /// A turn's worth of frames has been taken, or the deadline may have moved.
    Turn,
}

pub(crate) struct Driver<S> {
    config: ConnectionConfig,
    credentials: Credentials,
    session: Session,
    outlet: Outlet<S>,
    board: Board,
    link: Link,
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
    /// Whether the session has heard something that may move its deadline.
    consult: bool,
}

/// Where the handles and listeners look: counts, status, events.
///
/// It says closed when the task is gone, however it went: a sink that panics on this task takes
/// the connection with it, and so does a runtime that shuts down.
struct Board {
    events: EventSender,
    counters: Arc<Counters>,
    status: watch::Sender<Status>,
    mailbox: Arc<Mailbox>,
}

impl Board {
    fn set_status(&self, change: impl FnOnce(&mut Status)) {
        self.status.send_modify(change);
    }

    fn close(&self) {
        // First: who sees the connection closed is refused.
        self.mailbox.end();
        self.counters.socket.up_since.set(0);
        self.set_status(|status| status.phase = Phase::Closed);
    }
}

impl Drop for Board {
    fn drop(&mut self) {
        if self.status.borrow().phase == Phase::Closed {
            return;
        }
        if self.counters.sink_panicked.swap(false, Ordering::AcqRel) {
            self.events.send(Event::DeliveryFailed);
        }
        self.close();
        self.events.send(Event::Closed);
    }
}

impl<S: Sink> Driver<S> {
    pub(crate) fn new(
        config: ConnectionConfig,
        credentials: Credentials,
        sink: S,
        events: EventSender,
        mailbox: Arc<Mailbox>,
        counters: Arc<Counters>,
        status: watch::Sender<Status>,
    ) -> Self {
        let policy = Policy {
            reconnect_delay: config.reconnect_delay,
            reconnect_delay_cap: config.reconnect_delay_cap,
            max_reconnect_attempts: config.max_reconnect_attempts,
            silence_threshold: config.silence_threshold,
            close_deadline: config.close_deadline,
            seed: config.jitter_seed,
        };
        let intake = Intake::new(sink, Arc::clone(&counters), events.clone());
        let outlet = Outlet::new(intake, config.parser_queue);
        Self {
            session: Session::new(policy),
            config,
            credentials,
            outlet,
            board: Board { events, counters, status, mailbox },
            link: Link::None,
            outbox: VecDeque::new(),
            unflushed: false,
            write_blocked: false,
            bytes_written: 0,
            unreadable: RateLimit::default(),
            reading_paused: false,
            timer: None,
            timer_armed: false,
            consult: false,
        }
    }

    /// Runs the connection to its end.
    pub(crate) async fn run(mut self) {
        loop {
            let now = now();
            self.collect_mail(now);
            if self.obey(now) {
                break;
            }
            let wake = std::future::poll_fn(|cx| self.poll_wake(cx)).await;
            self.on_wake(wake);
        }
        self.outlet.finish(self.config.close_deadline).await;
    }

    fn collect_mail(&mut self, now: Instant) {
        let Some(mail) = self.board.mailbox.collect() else { return };
        for (token, mode) in mail.wanted {
            self.session.handle(now, Input::Want(token, mode));
        }
        if let Some(credentials) = mail.credentials {
            self.credentials = credentials;
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
                Output::Send(text) => self.outbox.push_back(Message::text(text)),
                Output::Ping => self.outbox.push_back(Message::Ping(Bytes::new())),
                Output::SendClose => {
                    self.outbox.clear();
                    let frame = CloseFrame { code: CloseCode::Normal, reason: "".into() };
                    self.outbox.push_back(Message::Close(Some(frame)));
                }
                Output::Abort => self.hang_up(),
                Output::Tell(event) => self.tell(event),
                Output::Wait(deadline) => {
                    self.timer_armed = deadline.is_some();
                    if let Some(deadline) = deadline {
                        let sleep = || Box::pin(tokio::time::sleep_until(deadline.into()));
                        let timer = self.timer.get_or_insert_with(sleep);
                        timer.as_mut().reset(deadline.into());
                    }
                    return false;
                }
                Output::Done => return true,
            }
        }
    }

    fn open(&mut self) {
        let opening = Dialer::from(&self.config).open(&self.credentials);
        self.link = Link::Opening(Box::pin(opening));
    }

    fn hang_up(&mut self) {
        self.link = Link::None;
        self.outbox.clear();
        (self.unflushed, self.write_blocked, self.reading_paused) = (false, false, false);
        self.bytes_written = 0;
    }

    fn on_wake(&mut self, wake: Wake) {
        let now = now();
        match wake {
            Wake::Mail | Wake::Timer | Wake::Turn => {}
            Wake::Opened(Ok(socket)) => {
                self.link = Link::Open(socket);
                self.session.handle(now, Input::Opened);
            }
            Wake::Opened(Err(error)) => {
                self.hang_up();
                self.session.handle(now, Input::OpenFailed(error));
            }
            Wake::Lost(cause) => {
                self.hang_up();
                self.session.handle(now, Input::Lost(cause));
            }
            Wake::SinkGone => {
                self.tell(Event::DeliveryFailed);
                self.session.handle(now, Input::Close);
            }
        }
    }

    fn poll_wake(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Poll::Ready(SinkGone) = self.outlet.poll_gone(cx) {
            return Poll::Ready(Wake::SinkGone);
        }
        match &mut self.link {
            Link::None | Link::Opening(_) => self.outlet.poll_events(cx),
            // Before the requests and the timer: what has come must be heard before the session
            // judges the silence, however late this task runs.
            Link::Open(_) => {
                if let Poll::Ready(wake) = self.poll_socket(cx) {
                    return Poll::Ready(wake);
                }
            }
        }
        if self.board.mailbox.poll_filled(cx).is_ready() {
            return Poll::Ready(Wake::Mail);
        }
        if let Link::Opening(opening) = &mut self.link
            && let Poll::Ready(result) = opening.as_mut().poll(cx)
        {
            return Poll::Ready(Wake::Opened(result.map(Box::new)));
        }
        if std::mem::take(&mut self.consult) {
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

    fn poll_socket(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if let Err(error) = self.write(cx) {
            return Poll::Ready(Wake::Lost(loss_cause(error)));
        }
        for _ in 0..FRAMES_PER_TURN {
            match self.outlet.poll_ready(cx) {
                Poll::Ready(Ok(())) => self.pause_reading(false),
                // The parser task is about to end, which wakes us.
                Poll::Ready(Err(SinkGone)) if self.session.is_live() => return self.write_on(cx),
                // Closing already, and what still comes has nowhere to go: nothing to wait for.
                Poll::Ready(Err(SinkGone)) => return Poll::Ready(Wake::Lost(LossCause::Eof)),
                Poll::Pending => {
                    self.pause_reading(true);
                    return self.write_on(cx);
                }
            }
            let Link::Open(socket) = &mut self.link else { return Poll::Pending };
            let message = match socket.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Wake::Lost(loss_cause(error))),
                Poll::Ready(None) => return Poll::Ready(Wake::Lost(LossCause::Eof)),
                Poll::Pending => return self.write_on(cx),
            };
            if let Some(cause) = self.on_message(message) {
                // The reply to a close frame goes out if the socket takes it at once.
                let _ = self.write(cx);
                return Poll::Ready(Wake::Lost(cause));
            }
        }
        Poll::Ready(Wake::Turn)
    }

    /// Writes what the last reads queued: answers to pings.
    fn write_on(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        match self.write(cx) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Wake::Lost(loss_cause(error))),
        }
    }

    /// Writes as much as the socket takes.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), WsError> {
        let Link::Open(socket) = &mut self.link else { return Ok(()) };
        while !self.outbox.is_empty() {
            match socket.poll_ready_unpin(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => break,
            }
            if let Some(message) = self.outbox.pop_front() {
                self.unflushed = true;
                socket.start_send_unpin(message)?;
            }
        }
        if self.unflushed
            && let Poll::Ready(flushed) = socket.poll_flush_unpin(cx)
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
        self.session.on_heard(now);
        let counts = &self.board.counters.socket;
        match message {
            Message::Binary(bytes) => {
                counts.frames.add(1);
                counts.bytes.add(bytes.len() as u64);
                counts.last_message.set(received.as_nanos());
                self.outlet.frame(bytes, received, self.session.epoch());
            }
            Message::Text(text) => {
                counts.texts.add(1);
                counts.last_message.set(received.as_nanos());
                let parsed = TextMessage::parse(&text);
                let text = Bytes::from(text);
                match parsed {
                    Ok(message) => {
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
                            None => self.outlet.event(event),
                        }
                    }
                }
            }
            Message::Ping(_) => self.unflushed = true,
            Message::Pong(_) | Message::Frame(_) => {}
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

    /// Counts, logs and tells an event, and keeps the status true to it.
    fn tell(&mut self, event: Event) {
        let (conn, epoch) = (self.board.events.connection(), self.session.epoch());
        let counts = &self.board.counters.socket;
        match &event {
            Event::Opening { attempt } => {
                debug!(conn, attempt, "opening");
                self.board.set_status(|status| {
                    status.phase = Phase::Opening;
                    status.parked = None;
                });
            }
            Event::Up { instruments, .. } => {
                info!(conn, epoch, instruments, "connection up");
                counts.connects.add(1);
                counts.up_since.set(Stamp::at(now()).as_nanos());
                self.board.set_status(|status| {
                    *status = Status { phase: Phase::Live, epoch, ..Status::default() };
                });
            }
            Event::Down { cause, .. } => {
                warn!(conn, epoch, %cause, "connection lost");
                counts.losses.add(1);
                counts.errors.add(1);
                counts.up_since.set(0);
            }
            Event::OpenFailed { attempt, error } => {
                warn!(conn, attempt, error = %ErrorChain(error), "opening failed");
                counts.errors.add(1);
                self.board.set_status(|status| status.last_failure = Some(error.clone()));
            }
            Event::Retry { attempt, delay } => {
                debug!(conn, attempt, ?delay, "next try set");
                self.board.set_status(|status| status.phase = Phase::Waiting);
            }
            Event::Parked(reason) => {
                warn!(conn, reason = %ErrorChain(reason), "connection parked");
                self.board.set_status(|status| {
                    status.phase = Phase::Parked;
                    status.parked = Some(reason.clone());
                });
            }
            Event::Closed => {
                info!(conn, epoch, "connection closed");
                self.board.close();
            }
            Event::DeliveryFailed => {
                warn!(conn, "the sink is gone, closing");
                self.board.counters.sink_panicked.store(false, Ordering::Release);
            }
            Event::TextUnreadable { error, untold, .. } => {
                warn!(conn, %error, untold, "text frame unreadable");
            }
            Event::Text { .. } | Event::FrameDamaged { .. } | Event::PacketsSkipped { .. } => {}
        }
        self.board.events.send(event.clone());
        self.outlet.event(event);
    }
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
        WsError::Io(error) => LossCause::Io(error.kind()),
        WsError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
            LossCause::FrameTooLarge { bytes: size, limit: max_size }
        }
        other => LossCause::Protocol(other.to_string()),
    }
}
