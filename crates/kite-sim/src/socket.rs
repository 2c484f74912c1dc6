//! One client's task: it alone reads and writes the client's socket.
//!
//! A client that does not read blocks its own task, as TCP would block Kite's server; what comes
//! due meanwhile is never sent. After [`WRITE_DEADLINE`] it is dropped.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kite_wire::{CommandKind, MAX_INSTRUMENTS, Mode, ParsedCommand};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use crate::book::{self, Book, LimitExceeded};
use crate::chance::Mischief;
use crate::exchange::lock;
use crate::fault::Fault;
use crate::gate::{Membership, Slot};
use crate::handshake::{self, Upgrade};
use crate::ledger::{Entry, SocketEnd};
use crate::replay::Feed;
use crate::server::{Control, Shared, Writing};
use crate::stream::Mutable;
use crate::texts;
use crate::wire::Wire;

/// How long a client may leave a frame unread.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a client may take to answer a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// How often a socket that is not read is looked at for its client's end.
const LOOK: Duration = Duration::from_millis(100);
/// One byte, whose value Kite does not document.
pub(crate) const HEARTBEAT: Bytes = Bytes::from_static(&[0]);
/// The longest command names 3,000 tokens of ten digits: 33 kB.
const MAX_COMMAND_BYTES: usize = 1 << 20;
const READ_BUFFER_BYTES: usize = 16 * 1_024;

/// A connection whose handshake is done.
pub(crate) struct Opened {
    pub(crate) wire: Box<dyn Wire>,
    /// Bytes that came behind the request.
    pub(crate) rest: Vec<u8>,
    pub(crate) upgrade: Upgrade,
    /// What goes wrong first of all.
    pub(crate) strike: Option<Fault>,
}

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<Mutable<Box<dyn Wire>>>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) entry: Entry,
    pub(crate) api_key: String,
    pub(crate) manner: Manner,
    mischief: Option<Mischief>,
}

/// How a socket is served; a fault may change it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Manner {
    pub(crate) says: Says,
    pub(crate) reads: bool,
}

impl Manner {
    pub(crate) const WHOLE: Self = Self { says: Says::Everything, reads: true };
}

/// What a socket is told, each less than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Says {
    Everything,
    /// No ticks and texts.
    Heartbeats,
    /// Pongs and close frames.
    Pongs,
    Nothing,
}

/// Why a client's loop ends.
pub(crate) enum End {
    /// The socket is of no more use; the reason has been logged.
    Gone(SocketEnd),
    /// A close frame came or went.
    Closing(SocketEnd),
    /// A close frame went, and its answer does not matter.
    Leaving,
    /// TCP is to be reset.
    Reset,
    /// TCP is to be ended.
    Finish,
}

/// Serves a client until it goes or is closed.
pub(crate) async fn run(opened: Opened, membership: Membership, shared: Arc<Shared>) {
    let Membership { slot, number, book, controls, feed, entry, .. } = membership;
    let Opened { wire, rest, upgrade, strike } = opened;
    let id = slot.id();
    tracing::debug!(id, "socket open");
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_COMMAND_BYTES))
        .max_frame_size(Some(MAX_COMMAND_BYTES));
    let stream = Mutable::new(wire);
    let socket =
        WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    let api_key = upgrade.api_key;
    let chance = shared.config.chance.clone();
    let mischief = chance.map(|chance| Mischief::new(chance, &api_key, number));
    let manner = Manner::WHOLE;
    let mut client = Client { socket, shared, book, entry, api_key, manner, mischief };
    if let Err(end) = client.serve(controls, feed, strike).await {
        client.end(end, slot).await;
    }
    tracing::debug!(id, "socket closed");
}

impl Client {
    async fn serve(
        &mut self,
        mut controls: mpsc::UnboundedReceiver<Control>,
        mut feed: Option<Feed>,
        strike: Option<Fault>,
    ) -> Result<(), End> {
        if self.shared.config.is_greeting {
            for text in texts::greetings(self.shared.config.start_unix_s) {
                self.send_text(&text).await?;
            }
        }
        if let Some(fault) = strike {
            let writing = self.shared.begin();
            self.on_fault(fault, &writing).await?;
            self.shared.changed.notify_waiters();
        }
        let rate = self.shared.config.updates_per_second;
        let mut updates = (rate > 0.0).then(|| timer(book::period(rate)));
        let mut heartbeats = self.shared.config.heartbeat_every.map(timer);
        let mut looks = timer(LOOK);
        let mut updated_at = Instant::now();
        loop {
            let mischief_due = self.mischief_due();
            tokio::select! {
                // In this order, so that what the user told the socket comes before anything that
                // happens afterwards, and a rate too high for the machine starves nothing else.
                biased;
                Some(control) = controls.recv() => self.on_control(control).await?,
                message = self.socket.next(), if self.manner.reads => {
                    self.on_message(message, &mut feed).await?;
                }
                _ = due(&mut heartbeats) => self.send_heartbeat().await?,
                now = due(&mut updates) => {
                    let elapsed = now.saturating_duration_since(updated_at);
                    updated_at = now;
                    self.send_updates(elapsed, rate).await?;
                }
                queued = Feed::next(&mut feed) => self.send_queued(queued).await?,
                () = reached(mischief_due) => self.on_mischief().await?,
                _ = looks.tick(), if !self.manner.reads => self.look()?,
            }
            self.shared.changed.notify_waiters();
        }
    }

    async fn on_message(
        &mut self,
        message: Option<Result<Message, WebSocketError>>,
        feed: &mut Option<Feed>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => match ParsedCommand::parse(&text) {
                Ok(command) => self.on_command(command, feed).await,
                Err(error) => {
                    self.shared.counters.bad_commands.add(1);
                    tracing::debug!(%error, "command ignored");
                    Ok(())
                }
            },
            Some(Ok(Message::Ping(_))) => {
                // The WebSocket has the pong ready and sends it with its next read.
                self.shared.counters.pings.add(1);
                Ok(())
            }
            Some(Ok(Message::Close(_))) => Err(End::Closing(SocketEnd::ClientClosed)),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                tracing::debug!(%error, "read failed");
                Err(End::Gone(SocketEnd::ClientGone))
            }
            None => Err(End::Gone(SocketEnd::ClientGone)),
        }
    }

    async fn on_command(
        &mut self,
        command: ParsedCommand<'_>,
        feed: &mut Option<Feed>,
    ) -> Result<(), End> {
        let exchange = &self.shared.exchange;
        // Announced before the subscriptions show: who sees them and pauses waits for the snapshot.
        let writing = self.shared.begin();
        let (before, answer) = {
            let mut turn = self.shared.stage.as_ref().map(|stage| stage.turn());
            if let Some(turn) = &mut turn {
                turn.note_command();
            }
            // What a replay dealt before the command comes before what it asks for.
            let before = feed.as_mut().map(Feed::drain).unwrap_or_default();
            let mut book = lock(&self.book);
            let fresh = match command.kind {
                CommandKind::Subscribe => book
                    .set(command.tokens, Mode::Quote, MAX_INSTRUMENTS, exchange)
                    .map(|obeyed| obeyed.tokens),
                CommandKind::Mode(mode) => book
                    .set(command.tokens, mode, MAX_INSTRUMENTS, exchange)
                    .map(|obeyed| obeyed.changed),
                CommandKind::Unsubscribe => {
                    book.unsubscribe(command.tokens);
                    Ok(Vec::new())
                }
            };
            (before, fresh.map(|tokens| book.snapshot(&tokens)))
        };
        for queued in before {
            self.send_queued(queued).await?;
        }
        match answer {
            Ok(frame) => self.send_frame(frame, &writing).await?,
            Err(LimitExceeded) => {
                self.send_text(&texts::too_many_instruments(MAX_INSTRUMENTS)).await?;
            }
        }
        self.shared.counters.commands.add(1);
        Ok(())
    }

    async fn on_control(&mut self, control: Control) -> Result<(), End> {
        match control {
            Control::Text(text) => self.send_text(&text).await,
            Control::Binary(bytes) => {
                if self.manner.says == Says::Everything {
                    self.write(Message::Binary(bytes.clone())).await?;
                    self.entry.add(&bytes, 0);
                    self.shared.counters.frames.add(1);
                }
                Ok(())
            }
            Control::Tick(tokens, writing) => {
                for tokens in tokens.chunks(MAX_INSTRUMENTS) {
                    let frame = lock(&self.book).next_of(tokens);
                    self.send_frame(frame, &writing).await?;
                }
                Ok(())
            }
            Control::Fault(fault, writing) => self.on_fault(fault, &writing).await,
            Control::Mute => {
                self.behave(Manner { says: Says::Nothing, ..self.manner });
                Ok(())
            }
            Control::Heal => {
                self.behave(Manner::WHOLE);
                Ok(())
            }
            Control::Close(code) => {
                self.send_close(code).await?;
                Err(End::Closing(SocketEnd::Closed))
            }
        }
    }

    /// Says when chance has something for this socket.
    fn mischief_due(&self) -> Option<Instant> {
        let mischief = self.mischief.as_ref().filter(|_| !self.shared.is_calm())?;
        mischief.due(self.entry.ticks())
    }

    async fn on_mischief(&mut self) -> Result<(), End> {
        let ticks = self.entry.ticks();
        let Some(mischief) = self.mischief.as_mut() else { return Ok(()) };
        if mischief.heals() {
            self.behave(Manner::WHOLE);
            return Ok(());
        }
        if self.shared.is_calm() || self.shared.is_paused() {
            mischief.postpone();
            return Ok(());
        }
        let Some(fault) = mischief.next(ticks) else { return Ok(()) };
        let writing = self.shared.begin();
        self.on_fault(fault, &writing).await
    }

    /// Looks whether the client is still there, where nothing is read that would tell.
    fn look(&mut self) -> Result<(), End> {
        match self.socket.get_mut().stream_mut().transport().is_over() {
            true => Err(End::Gone(SocketEnd::ClientGone)),
            false => Ok(()),
        }
    }

    pub(crate) fn behave(&mut self, manner: Manner) {
        self.manner = manner;
        self.socket.get_mut().mute(manner.says == Says::Nothing);
    }

    async fn send_updates(&mut self, elapsed: Duration, rate: f64) -> Result<(), End> {
        if self.manner.says != Says::Everything {
            return Ok(());
        }
        let Some(writing) = self.shared.begin_updates() else { return Ok(()) };
        lock(&self.book).elapse(elapsed, rate);
        loop {
            let frame = lock(&self.book).next_due();
            if frame.is_none() {
                return Ok(());
            }
            self.send_frame(frame, &writing).await?;
        }
    }

    /// Sends a frame of the market and, once it is with the operating system, counts it.
    pub(crate) async fn send_frame(
        &mut self,
        frame: Option<Bytes>,
        writing: &Writing,
    ) -> Result<(), End> {
        let is_talking = self.manner.says == Says::Everything;
        let Some(frame) = frame.filter(|_| is_talking) else { return Ok(()) };
        self.write(Message::Binary(frame.clone())).await?;
        self.count_frame(&frame, writing);
        Ok(())
    }

    /// Counts a frame of the market that was sent whole.
    pub(crate) fn count_frame(&mut self, frame: &[u8], _: &Writing) {
        let packets = lock(&self.book).confirm(frame);
        self.entry.add(frame, packets);
        self.shared.counters.frames.add(1);
        self.shared.counters.ticks.add(packets);
    }

    async fn send_heartbeat(&mut self) -> Result<(), End> {
        if self.manner.says <= Says::Heartbeats && !self.shared.heartbeats_are_replayed() {
            self.write(Message::Binary(HEARTBEAT)).await?;
            self.shared.counters.heartbeats.add(1);
        }
        Ok(())
    }

    pub(crate) async fn send_text(&mut self, text: &str) -> Result<(), End> {
        if self.manner.says == Says::Everything {
            self.write(Message::text(text)).await?;
            self.shared.counters.texts.add(1);
        }
        Ok(())
    }

    pub(crate) async fn send_close(&mut self, code: u16) -> Result<(), End> {
        // RFC 6455, section 7.4.1: 1005 says that there was no code, and is never sent.
        let frame = (code != 1_005).then(|| CloseFrame { code: code.into(), reason: "".into() });
        self.write(Message::Close(frame)).await
    }

    pub(crate) async fn write(&mut self, message: Message) -> Result<(), End> {
        let sent = timeout(WRITE_DEADLINE, self.socket.send(message)).await;
        written(sent.map(|sent| sent.map_err(io::Error::other)))
    }

    /// Writes bytes past the WebSocket, between two of its frames.
    pub(crate) async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), End> {
        let write = async {
            self.socket.flush().await.map_err(io::Error::other)?;
            self.socket.get_mut().write_all(bytes).await?;
            self.socket.get_mut().flush().await
        };
        written(timeout(WRITE_DEADLINE, write).await)
    }

    /// Ends the socket; its slot is free from the beginning.
    async fn end(mut self, end: End, slot: Slot) {
        self.entry.end(match end {
            End::Gone(how) | End::Closing(how) => how,
            End::Leaving => SocketEnd::Closed,
            End::Reset => SocketEnd::Reset,
            End::Finish => SocketEnd::EndOfStream,
        });
        drop(slot);
        match end {
            End::Gone(_) => {}
            End::Closing(_) => self.close().await,
            End::Reset => self.socket.get_mut().stream_mut().transport().reset_on_drop(),
            End::Leaving => self.leave(false).await,
            End::Finish => self.leave(true).await,
        }
    }

    /// Finishes the closing handshake.
    async fn close(&mut self) {
        let finish = async {
            // The WebSocket answers the client's close frame by itself.
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        // Past the deadline, the client has had its time.
        let _ = timeout(CLOSE_DEADLINE, finish).await;
        self.vanish().await;
    }

    /// Ends the stream, with TLS's farewell or abruptly, and waits until the client has ended its
    /// side: closed with unread bytes, the socket would be reset.
    async fn leave(&mut self, is_abrupt: bool) {
        if !is_abrupt {
            self.vanish().await;
        }
        let stream = self.socket.get_mut();
        let leave = async {
            match is_abrupt {
                true => stream.stream_mut().transport().shutdown().await?,
                false => stream.shutdown().await?,
            }
            handshake::discard(stream.stream_mut().transport()).await
        };
        // What fails here has ended as well.
        let _ = timeout(CLOSE_DEADLINE, leave).await;
    }

    /// Keeps TCP until the client ends it, where this peer is unreachable to the client.
    async fn vanish(&mut self) {
        if self.manner.says == Says::Nothing {
            let _ = handshake::discard(self.socket.get_mut()).await;
        }
    }
}

/// Says whether a write ended well.
fn written(outcome: Result<io::Result<()>, Elapsed>) -> Result<(), End> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "write failed");
            Err(End::Gone(SocketEnd::ClientGone))
        }
        Err(_) => {
            tracing::debug!(deadline = ?WRITE_DEADLINE, "client does not read");
            Err(End::Gone(SocketEnd::ClientStuck))
        }
    }
}

/// Waits for an instant; for ever if there is none.
async fn reached(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => std::future::pending().await,
    }
}

fn timer(period: Duration) -> Interval {
    let mut timer = interval_at(Instant::now() + period, period);
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    timer
}

/// Waits for a timer; for ever if there is none.
async fn due(timer: &mut Option<Interval>) -> Instant {
    match timer {
        Some(timer) => {
            timer.tick().await;
            Instant::now()
        }
        None => std::future::pending().await,
    }
}
