//! One client's WebSocket, with deadlines for a client that does not read or does not close.
//!
//! There are two ways of writing over one queue. [`Socket::write`] waits for the client, as TCP would
//! make Kite's server wait. A task that must never wait for a slow client polls instead: it hands
//! over messages while [`Socket::poll_ready`] is ready and drives [`Socket::poll_flush`] along with
//! everything else it does.

mod closing;

use std::fmt;
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, Stream};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{
    Error as WebSocketError, Message as WebSocketMessage, Utf8Bytes,
};

use crate::end::{End, Violation};
use crate::gate::Gate;
use crate::outgoing::{Message, Outgoing};
use crate::readiness::Readiness;
use crate::transport::Connection;

/// Timeout for a client to read a frame, in addition to the time its link needs.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// One byte, whose value Kite does not document.
pub const HEARTBEAT: Bytes = Bytes::from_static(&[0]);
/// The longest command names 3,000 tokens of ten digits: 33 kB.
const MAX_COMMAND_BYTES: usize = 1 << 20;
/// Small, because each client has its own; a command of 3,000 tokens takes nine reads.
const READ_BUFFER_BYTES: usize = 4 * 1_024;
/// Pongs that a client asks for without reading them; the newest one is kept apart.
const MAX_PONG_BYTES: usize = 4 * 1_024;
/// RFC 6455, section 5.5: 125 bytes, of which the code takes two.
const MAX_REASON_BYTES: usize = 123;
/// Frames and bytes that are handed over before a flush: enough for one system call, and few enough
/// that an owner that replaces old data with new still has it.
const MAX_FRAMES: usize = 32;
const MAX_BYTES: usize = 64 * 1_024;

/// A message from a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Received {
    /// A text message, which should be a command.
    Text(Utf8Bytes),
    /// A ping. The pong is written with the next read or flush.
    Ping,
    /// A message without meaning in this protocol.
    Other,
}

/// A WebSocket on a connection after its handshake.
pub struct Socket<S> {
    websocket: WebSocketStream<Gate<S>>,
    readiness: Arc<Readiness>,
    outgoing: Outgoing,
    /// A close frame that is sent once everything before is written.
    close: Option<Option<CloseFrame>>,
    /// Whether a close frame was handed over or received, so that no message may follow.
    is_closing: bool,
    /// Whether a pong may be waiting.
    owes_pong: bool,
    /// Since when the stream has taken no byte though some wait, and the bytes it had taken.
    stall: Option<(u64, Instant)>,
    /// The speed at which a client that reads receives at least, in bytes per second.
    bytes_per_second: NonZeroU32,
}

impl<S: Connection> Socket<S> {
    /// Takes over a connection; `rest` is what followed the client's request. A message of more than
    /// 1 MiB from the client ends the socket.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is dropped.
    pub async fn new(stream: S, rest: Vec<u8>) -> Self {
        Self::with_max_command(stream, rest, MAX_COMMAND_BYTES).await
    }

    /// Takes over a connection as [`Socket::new`] does, with another limit of the client's messages
    /// in bytes. The socket may hold this much memory while a client sends one.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is dropped.
    pub async fn with_max_command(stream: S, rest: Vec<u8>, max_bytes: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_PONG_BYTES)
            .max_message_size(Some(max_bytes))
            .max_frame_size(Some(max_bytes));
        let (stream, role) = (Gate::new(stream), Role::Server);
        Self {
            websocket: WebSocketStream::from_partially_read(stream, rest, role, Some(config)).await,
            readiness: Arc::default(),
            outgoing: Outgoing::default(),
            close: None,
            is_closing: false,
            owes_pong: false,
            stall: None,
            bytes_per_second: NonZeroU32::MAX,
        }
    }

    /// Returns the underlying stream. Write to it only between two frames.
    pub fn stream_mut(&mut self) -> &mut S {
        self.websocket.get_mut().stream_mut()
    }

    /// Sets the speed at which a client that reads receives at least, for the timeout of writes.
    pub fn expect_speed(&mut self, bytes_per_second: NonZeroU32) {
        self.bytes_per_second = bytes_per_second;
    }

    /// Reads the next message; pings are answered with the next read or flush.
    ///
    /// # Errors
    /// Returns [`End::ClientClosed`] for a close frame, which [`Socket::close`] answers,
    /// [`End::Violation`] if the client has broken the protocol, which [`Socket::reject`] answers,
    /// and [`End::ClientReset`] or [`End::ClientGone`] if it has disconnected.
    pub fn poll_message(&mut self, cx: &mut Context<'_>) -> Poll<Result<Received, End>> {
        let websocket = &mut self.websocket;
        let message = ready!(self.readiness.poll(cx, |cx| Pin::new(&mut *websocket).poll_next(cx)));
        Poll::Ready(match message {
            Some(Ok(WebSocketMessage::Text(text))) => Ok(Received::Text(text)),
            Some(Ok(WebSocketMessage::Ping(_))) => {
                self.owes_pong = true;
                Ok(Received::Ping)
            }
            Some(Ok(WebSocketMessage::Close(_))) => {
                self.is_closing = true;
                self.close = None;
                self.outgoing.drop_unstarted();
                Err(End::ClientClosed)
            }
            Some(Ok(_)) => Ok(Received::Other),
            Some(Err(error)) => Err(self.failed_read(&error)),
            None => Err(End::ClientGone),
        })
    }

    /// Writes as much as it must until another message may be handed over: until fewer than 32
    /// frames and 64 KiB are waiting. A longer message is taken whole.
    ///
    /// # Errors
    /// Returns [`End::ClientReset`] or [`End::ClientGone`] if the client has disconnected.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while self.outgoing.len() >= MAX_FRAMES || self.outgoing.unwritten() >= MAX_BYTES {
            let written = self.poll_write(cx);
            ready!(self.note_progress(written))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Hands over a message without writing it: call [`Socket::poll_flush`] once all that are due
    /// are handed over, so that they share a system call. The payload is not copied.
    ///
    /// Does nothing once a close frame was handed over or received.
    pub fn start_send(&mut self, message: Message) {
        if !self.is_closing {
            self.outgoing.push(message);
        }
    }

    /// Hands over a close frame, which follows the messages before it; 1005 stands for one without
    /// a code. A reason of more than 123 bytes is shortened.
    ///
    /// Does nothing once a close frame was handed over or received.
    pub fn start_close(&mut self, code: u16, reason: &str) {
        if std::mem::replace(&mut self.is_closing, true) {
            return;
        }
        // RFC 6455, section 7.4.1: 1005 means that there was no code, and is never sent.
        let frame = (code != 1_005)
            .then(|| CloseFrame { code: code.into(), reason: shortened(reason).into() });
        self.close = Some(frame);
    }

    /// Writes everything that was handed over, and pongs that are due. Pending while the client does
    /// not take it; reading goes on meanwhile if the task polls that too.
    ///
    /// # Errors
    /// Returns [`End::ClientReset`] or [`End::ClientGone`] if the client has disconnected.
    pub fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        let flushed = self.poll_write_all(cx);
        self.note_progress(flushed)
    }

    /// Returns since when the client has taken no byte though some are waiting, as of the last
    /// [`Socket::poll_flush`] or [`Socket::poll_ready`]; `None` if none are waiting.
    ///
    /// Over TCP, "taken" means accepted by the operating system, which has its own buffer for what
    /// the client has not read yet.
    pub fn stalled_since(&mut self) -> Option<Instant> {
        let bytes = self.bytes_taken();
        self.stall.filter(|(before, _)| *before == bytes).map(|(_, since)| since)
    }

    /// Writes a message and everything before it.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected or left earlier data unread for too long.
    ///
    /// # Cancel safety
    /// The message is handed over, even if this is cancelled; a later write or flush continues.
    pub async fn write(&mut self, message: Message) -> Result<(), End> {
        let deadline = self.write_deadline(message.len());
        self.start_send(message);
        self.flush(deadline).await
    }

    /// Writes raw bytes to the stream, between two WebSocket frames.
    ///
    /// # Errors
    /// Same as [`Socket::write`].
    ///
    /// # Cancel safety
    /// Not cancel safe: part of the bytes may have been sent.
    pub async fn write_raw(&mut self, bytes: &[u8]) -> Result<(), End> {
        let deadline = self.write_deadline(bytes.len());
        self.flush(deadline).await?;
        let write = async {
            self.stream_mut().write_all(bytes).await?;
            self.stream_mut().flush().await
        };
        match timeout(deadline, write).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(write_failed(error.into())),
            Err(_) => Err(not_read(deadline)),
        }
    }

    /// Writes a close frame with a reason, and everything before it; see [`Socket::start_close`].
    ///
    /// # Errors
    /// Same as [`Socket::write`].
    ///
    /// # Cancel safety
    /// Same as [`Socket::write`].
    pub async fn send_close(&mut self, code: u16, reason: &str) -> Result<(), End> {
        self.start_close(code, reason);
        self.flush(WRITE_DEADLINE).await
    }

    fn write_deadline(&self, bytes: usize) -> Duration {
        WRITE_DEADLINE + Duration::from_secs(bytes as u64) / self.bytes_per_second.get()
    }

    async fn flush(&mut self, deadline: Duration) -> Result<(), End> {
        match timeout(deadline, poll_fn(|cx| self.poll_flush(cx))).await {
            Ok(flushed) => flushed,
            Err(_) => Err(not_read(deadline)),
        }
    }

    fn poll_write_all(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        while !self.outgoing.is_empty() {
            ready!(self.poll_write(cx))?;
        }
        ready!(self.poll_flush_websocket(cx))?;
        if let Some(frame) = self.close.take() {
            let close = WebSocketMessage::Close(frame);
            Pin::new(&mut self.websocket).start_send(close).map_err(write_failed)?;
            ready!(self.poll_flush_websocket(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    /// Writes some of what was handed over, in one system call.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if self.has_own_bytes() && !self.outgoing.is_mid_frame() {
            // A pong that was written in part comes first.
            ready!(self.poll_flush_websocket(cx))?;
        }
        // A pong follows the frame that has begun.
        let frames = if self.owes_pong { 1 } else { MAX_FRAMES };
        let gate = self.websocket.get_mut();
        let mut slices = [IoSlice::new(&[]); 2 * MAX_FRAMES];
        let count = self.outgoing.slices(&mut slices, frames);
        let stream = Pin::new(gate.stream_mut());
        match ready!(stream.poll_write_vectored(cx, &slices[..count])) {
            Ok(0) => {
                let error = io::Error::from(io::ErrorKind::WriteZero);
                Poll::Ready(Err(write_failed(error.into())))
            }
            Ok(written) => {
                self.outgoing.advance(written);
                gate.set_shut(self.outgoing.is_mid_frame());
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(write_failed(error.into()))),
        }
    }

    /// Returns whether the WebSocket itself may have something to write: pongs or a close frame.
    fn has_own_bytes(&self) -> bool {
        self.owes_pong || self.is_closing
    }

    /// Writes what the WebSocket itself has to write, and flushes the stream.
    fn poll_flush_websocket(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), End>> {
        if !self.has_own_bytes() {
            let flushed = Pin::new(self.stream_mut()).poll_flush(cx);
            return flushed.map_err(|error| write_failed(error.into()));
        }
        // The newest pong is kept apart while the buffer of pongs is full, so it takes a second flush.
        let flushes = if self.owes_pong { 2 } else { 1 };
        for _ in 0..flushes {
            let flushed = Pin::new(&mut self.websocket).poll_flush(cx);
            ready!(flushed).map_err(write_failed)?;
        }
        self.owes_pong = false;
        Poll::Ready(Ok(()))
    }

    /// Notes whether bytes are waiting, and since when none has been taken.
    fn note_progress(&mut self, written: Poll<Result<(), End>>) -> Poll<Result<(), End>> {
        if written.is_ready() {
            self.stall = None;
        } else if self.stalled_since().is_none() {
            self.stall = Some((self.bytes_taken(), Instant::now()));
        }
        written
    }

    /// Returns how a failed read ends the socket. A client that breaks the protocol has a fault in
    /// its program, which its author needs to find in the log.
    fn failed_read(&mut self, error: &WebSocketError) -> End {
        let client = self.stream_mut().transport().peer().map(tracing::field::display);
        match Violation::of(error) {
            Some(violation) => {
                tracing::info!(client, %error, "client broke the WebSocket protocol");
                End::Violation(violation)
            }
            None => {
                tracing::debug!(client, %error, "read failed");
                End::of(error)
            }
        }
    }

    fn bytes_taken(&mut self) -> u64 {
        self.stream_mut().transport().bytes_written()
    }
}

impl<S> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("unwritten_bytes", &self.outgoing.unwritten())
            .field("is_closing", &self.is_closing)
            .field("stall", &self.stall)
            .finish_non_exhaustive()
    }
}

/// Returns the beginning of a reason that fits into a close frame.
fn shortened(reason: &str) -> &str {
    let mut end = reason.len().min(MAX_REASON_BYTES);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    &reason[..end]
}

fn write_failed(error: WebSocketError) -> End {
    tracing::debug!(%error, "write failed");
    End::of(&error)
}

fn not_read(deadline: Duration) -> End {
    tracing::debug!(?deadline, "client does not read");
    End::ClientStuck
}
