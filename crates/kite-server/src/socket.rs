//! One client's WebSocket, with deadlines for a client that does not read or does not close.
//!
//! A client that does not read blocks the task that writes, as TCP would block Kite's server.

use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, Stream, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::time::error::Elapsed;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};

use crate::handshake::discard;
use crate::transport::Connection;

/// Timeout for a client to read a frame, in addition to the time its link needs.
const WRITE_DEADLINE: Duration = Duration::from_secs(30);
/// Timeout for a client to answer a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);
/// One byte, whose value Kite does not document.
pub const HEARTBEAT: Bytes = Bytes::from_static(&[0]);
/// The longest command names 3,000 tokens of ten digits: 33 kB.
const MAX_COMMAND_BYTES: usize = 1 << 20;
const READ_BUFFER_BYTES: usize = 16 * 1_024;
/// RFC 6455, section 5.5: 125 bytes, of which the code takes two.
const MAX_REASON_BYTES: usize = 123;

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client sent a close frame.
    ClientClosed,
    /// The client disconnected without a close frame, or broke the protocol.
    ClientGone,
    /// The client reset the connection, as the operating system does if a program ends or closes a
    /// connection with unread bytes.
    ClientReset,
    /// The client left a frame unread for too long.
    ClientStuck,
    /// A close frame was sent, and the client's close frame is awaited.
    Closing,
    /// A close frame was sent, and the client's close frame is not awaited.
    Leaving,
    /// A close frame was sent, and the client may take its time to read up to it.
    Finishing,
    /// TCP is to be reset.
    Reset,
    /// TCP is to be ended.
    Finish,
    /// The server drops the socket.
    Dropped,
}

/// A WebSocket on a connection after its handshake.
pub struct Socket<S> {
    websocket: WebSocketStream<S>,
    /// The speed at which a client that reads receives at least, in bytes per second.
    bytes_per_second: NonZeroU32,
}

impl<S: Connection> Socket<S> {
    /// Takes over a connection; `rest` is what followed the client's request.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is dropped.
    pub async fn new(stream: S, rest: Vec<u8>) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .max_message_size(Some(MAX_COMMAND_BYTES))
            .max_frame_size(Some(MAX_COMMAND_BYTES));
        let role = Role::Server;
        Self {
            websocket: WebSocketStream::from_partially_read(stream, rest, role, Some(config)).await,
            bytes_per_second: NonZeroU32::MAX,
        }
    }

    /// Returns the underlying stream. Write to it only between two frames.
    pub fn stream_mut(&mut self) -> &mut S {
        self.websocket.get_mut()
    }

    /// Sets the speed at which a client that reads receives at least, for the timeout of writes.
    pub fn expect_speed(&mut self, bytes_per_second: NonZeroU32) {
        self.bytes_per_second = bytes_per_second;
    }

    /// Reads the next message; pings are answered with the next read.
    pub(crate) fn poll_message(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Message, WebSocketError>>> {
        Pin::new(&mut self.websocket).poll_next(cx)
    }

    /// Writes a message.
    ///
    /// # Errors
    /// Returns an error if the client has disconnected or left earlier data unread for too long.
    ///
    /// # Cancel safety
    /// Not cancel safe: part of the message may have been sent.
    pub async fn write(&mut self, message: Message) -> Result<(), End> {
        let deadline = self.write_deadline(message.len());
        written(timeout(deadline, self.websocket.send(message)).await)
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
        let write = async {
            self.websocket.flush().await?;
            self.stream_mut().write_all(bytes).await?;
            Ok(self.stream_mut().flush().await?)
        };
        written(timeout(deadline, write).await)
    }

    fn write_deadline(&self, bytes: usize) -> Duration {
        WRITE_DEADLINE + Duration::from_secs(bytes as u64) / self.bytes_per_second.get()
    }

    /// Writes a close frame; 1005 stands for one without a code. A longer `reason` than the
    /// protocol allows is cut off.
    ///
    /// # Errors
    /// Same as [`Socket::write`].
    ///
    /// # Cancel safety
    /// Not cancel safe: part of the frame may have been sent.
    pub async fn send_close(&mut self, code: u16, reason: &str) -> Result<(), End> {
        let fits =
            (0..=MAX_REASON_BYTES.min(reason.len())).rev().find(|&it| reason.is_char_boundary(it));
        let reason = &reason[..fits.unwrap_or(0)];
        // RFC 6455, section 7.4.1: 1005 means that there was no code, and is never sent.
        let frame =
            (code != 1_005).then(|| CloseFrame { code: code.into(), reason: reason.into() });
        self.write(Message::Close(frame)).await
    }

    /// Finishes the closing handshake; waits at most 5 s for the client.
    ///
    /// # Cancel safety
    /// Cancel safe: calling it again continues.
    pub async fn close(&mut self) {
        let finish = async {
            // The WebSocket answers the client's close frame on its own.
            while let Some(Ok(_)) = self.websocket.next().await {}
        };
        // A client past the deadline is not waited for.
        let _ = timeout(CLOSE_DEADLINE, finish).await;
    }

    /// Ends the stream after a close frame and reads on, however long the client takes, until it has
    /// answered the close frame or closed its side.
    ///
    /// Read on after that with [`discard`]: a socket closed with unread bytes, such as a client's
    /// pings and commands, is reset, and the client loses what it has not read.
    ///
    /// # Errors
    /// Returns an error if the client reset the connection.
    ///
    /// # Cancel safety
    /// Cancel safe: calling it again continues.
    pub async fn finish(&mut self) -> Result<(), End> {
        // If the client has reset the connection, reading reports it.
        let _ = self.stream_mut().shutdown().await;
        loop {
            match self.websocket.next().await {
                Some(Ok(message)) if message.is_close() => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) if lost(&error) == End::ClientReset => {
                    return Err(End::ClientReset);
                }
                Some(Err(_)) | None => break,
            }
        }
        // The stream has ended, or continues with bytes that are not a WebSocket's.
        discard(self.stream_mut()).await.map_err(|error| lost(&error.into()))
    }

    /// Ends the stream, with TLS's close notification or abruptly, and waits until the client has
    /// closed its side, at most 5 s, because a socket closed with unread bytes is reset.
    ///
    /// # Cancel safety
    /// Cancel safe: calling it again continues.
    pub async fn leave(&mut self, is_abrupt: bool) {
        let stream = self.stream_mut();
        let leave = async {
            match is_abrupt {
                true => stream.transport().shutdown().await?,
                false => stream.shutdown().await?,
            }
            discard(stream.transport()).await
        };
        // A stream that fails here has ended as well.
        let _ = timeout(CLOSE_DEADLINE, leave).await;
    }
}

impl<S> fmt::Debug for Socket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("bytes_per_second", &self.bytes_per_second)
            .finish_non_exhaustive()
    }
}

/// Returns how a socket ended whose read or write failed.
pub(crate) fn lost(error: &WebSocketError) -> End {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset};
    match error {
        // Windows reports some resets as aborted connections.
        WebSocketError::Io(error)
            if matches!(error.kind(), ConnectionReset | ConnectionAborted) =>
        {
            End::ClientReset
        }
        _ => End::ClientGone,
    }
}

/// Converts the outcome of a write.
fn written(outcome: Result<Result<(), WebSocketError>, Elapsed>) -> Result<(), End> {
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => {
            tracing::debug!(%error, "write failed");
            Err(lost(&error))
        }
        Err(_) => {
            tracing::debug!(deadline = ?WRITE_DEADLINE, "client does not read");
            Err(End::ClientStuck)
        }
    }
}
