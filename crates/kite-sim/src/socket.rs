//! One client's task: it alone reads and writes the client's socket.
//!
//! A client that does not read blocks its own task, as TCP would block Kite's server; what comes
//! due meanwhile is never sent. After [`WRITE_DEADLINE`] it is dropped.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use kite_wire::{CommandKind, MAX_INSTRUMENTS, Mode, ParsedCommand};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use crate::book::{Book, LimitExceeded};
use crate::exchange::lock;
use crate::handshake;
use crate::server::{Control, Membership, Shared, Slot, Writing};
use crate::stream::Mutable;
use crate::texts;

/// How long a client may leave a frame unread.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// How long a client may take to answer a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// Updates are gathered for this long, unless the rate asks for shorter.
const SLICE: Duration = Duration::from_millis(50);
/// One byte, whose value Kite does not document.
const HEARTBEAT: Bytes = Bytes::from_static(&[0]);
/// The longest command names 3,000 tokens of ten digits: 33 kB.
const MAX_COMMAND_BYTES: usize = 1 << 20;
const READ_BUFFER_BYTES: usize = 16 * 1_024;

struct Client {
    socket: WebSocketStream<Mutable<TcpStream>>,
    shared: Arc<Shared>,
    book: Arc<Mutex<Book>>,
    is_muted: bool,
}

/// Why a client's loop ends.
enum End {
    /// The socket is of no more use; the reason has been logged.
    Gone,
    /// A close frame came or went.
    Closing,
}

/// Serves a client until it goes or is closed.
pub(crate) async fn run(
    stream: TcpStream,
    rest: Vec<u8>,
    membership: Membership,
    shared: Arc<Shared>,
) {
    let Membership { slot, book, controls, .. } = membership;
    let id = slot.id();
    tracing::debug!(id, "socket open");
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER_BYTES)
        .max_message_size(Some(MAX_COMMAND_BYTES))
        .max_frame_size(Some(MAX_COMMAND_BYTES));
    let stream = Mutable::new(stream);
    let socket =
        WebSocketStream::from_partially_read(stream, rest, Role::Server, Some(config)).await;
    let mut client = Client { socket, shared, book, is_muted: false };
    if let Err(End::Closing) = client.serve(controls).await {
        client.close(slot).await;
    }
    tracing::debug!(id, "socket closed");
}

impl Client {
    async fn serve(&mut self, mut controls: mpsc::UnboundedReceiver<Control>) -> Result<(), End> {
        if self.shared.config.is_greeting {
            for text in texts::greetings(self.shared.config.start_unix_s) {
                self.send_text(&text).await?;
            }
        }
        let rate = self.shared.config.updates_per_second;
        let slice = if rate > 0.0 { SLICE.min(Duration::from_secs_f64(1.0 / rate)) } else { SLICE };
        let mut updates = (rate > 0.0).then(|| timer(slice));
        let mut heartbeats = self.shared.config.heartbeat_every.map(timer);
        let mut updated_at = Instant::now();
        loop {
            tokio::select! {
                // In this order, so that what the user told the socket comes before anything that
                // happens afterwards, and a rate too high for the machine starves nothing else.
                biased;
                Some(control) = controls.recv() => self.on_control(control).await?,
                message = self.socket.next() => self.on_message(message).await?,
                _ = due(&mut heartbeats) => self.send_heartbeat().await?,
                now = due(&mut updates) => {
                    let elapsed = now.saturating_duration_since(updated_at);
                    updated_at = now;
                    self.send_updates(elapsed, rate).await?;
                }
            }
            self.shared.changed.notify_waiters();
        }
    }

    async fn on_message(
        &mut self,
        message: Option<Result<Message, WebSocketError>>,
    ) -> Result<(), End> {
        match message {
            Some(Ok(Message::Text(text))) => match ParsedCommand::parse(&text) {
                Ok(command) => self.on_command(command).await,
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
            Some(Ok(Message::Close(_))) => Err(End::Closing),
            Some(Ok(_)) => Ok(()),
            Some(Err(error)) => {
                tracing::debug!(%error, "read failed");
                Err(End::Gone)
            }
            None => Err(End::Gone),
        }
    }

    async fn on_command(&mut self, command: ParsedCommand<'_>) -> Result<(), End> {
        let exchange = &self.shared.exchange;
        // Announced before the subscriptions show: who sees them and pauses waits for the snapshot.
        let writing = self.shared.begin();
        let fresh = {
            let mut book = lock(&self.book);
            match command.kind {
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
            }
        };
        match fresh {
            Ok(tokens) => {
                let frame = lock(&self.book).snapshot(&tokens);
                self.send_frame(frame, &writing).await?;
            }
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
                if !self.is_muted {
                    self.write(Message::Binary(bytes)).await?;
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
            Control::Mute(is_muted) => {
                self.is_muted = is_muted;
                self.socket.get_mut().mute(is_muted);
                Ok(())
            }
            Control::Close(code) => {
                let frame = CloseFrame { code: code.into(), reason: "".into() };
                self.write(Message::Close(Some(frame))).await?;
                Err(End::Closing)
            }
        }
    }

    async fn send_updates(&mut self, elapsed: Duration, rate: f64) -> Result<(), End> {
        if self.is_muted {
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
    async fn send_frame(&mut self, frame: Option<Bytes>, _: &Writing) -> Result<(), End> {
        let Some(frame) = frame.filter(|_| !self.is_muted) else { return Ok(()) };
        self.write(Message::Binary(frame.clone())).await?;
        let packets = lock(&self.book).confirm(&frame);
        self.shared.counters.frames.add(1);
        self.shared.counters.ticks.add(packets);
        Ok(())
    }

    async fn send_heartbeat(&mut self) -> Result<(), End> {
        if !self.is_muted {
            self.write(Message::Binary(HEARTBEAT)).await?;
            self.shared.counters.heartbeats.add(1);
        }
        Ok(())
    }

    async fn send_text(&mut self, text: &str) -> Result<(), End> {
        if !self.is_muted {
            self.write(Message::text(text)).await?;
            self.shared.counters.texts.add(1);
        }
        Ok(())
    }

    async fn write(&mut self, message: Message) -> Result<(), End> {
        match timeout(WRITE_DEADLINE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                tracing::debug!(%error, "write failed");
                Err(End::Gone)
            }
            Err(_) => {
                tracing::debug!(deadline = ?WRITE_DEADLINE, "client does not read");
                Err(End::Gone)
            }
        }
    }

    /// Finishes the closing handshake; the slot is free from its beginning.
    async fn close(mut self, slot: Slot) {
        drop(slot);
        let finish = async {
            // The WebSocket answers the client's close frame by itself.
            while let Some(Ok(_)) = self.socket.next().await {}
        };
        // Past the deadline, the client has had its time.
        let _ = timeout(CLOSE_DEADLINE, finish).await;
        if self.is_muted {
            // To the client this peer is unreachable: TCP stays until the client ends it.
            let _ = handshake::discard(self.socket.get_mut()).await;
        }
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
