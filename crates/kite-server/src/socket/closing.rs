//! The end of a socket: the closing handshake, and waiting for the client to read what was sent.

use std::future::poll_fn;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::Socket;
use crate::end::{End, Violation};
use crate::handshake::discard;
use crate::transport::Connection;

/// Timeout for a client to answer a close frame.
const CLOSE_DEADLINE: Duration = Duration::from_secs(5);

impl<S: Connection> Socket<S> {
    /// Finishes the closing handshake; waits at most 5 s for the client.
    ///
    /// # Cancel safety
    /// Cancel safe: calling it again continues.
    pub async fn close(&mut self) {
        let finish = async {
            if poll_fn(|cx| self.poll_flush(cx)).await.is_ok() {
                // The WebSocket answers the client's close frame on its own.
                while let Some(Ok(_)) = self.websocket.next().await {}
            }
        };
        // A client past the deadline is not waited for.
        let _ = timeout(CLOSE_DEADLINE, finish).await;
    }

    /// Answers a violation of the protocol by a close frame, after what was handed over before. Then
    /// ends the stream as [`Socket::leave`] does, so that the client receives the frame although it
    /// has sent more. Waits at most 10 s for the client.
    ///
    /// # Cancel safety
    /// Cancel safe: calling it again continues.
    pub async fn reject(&mut self, violation: Violation) {
        self.start_close(violation.code(), violation.reason());
        let sent = timeout(CLOSE_DEADLINE, poll_fn(|cx| self.poll_flush(cx))).await;
        if matches!(sent, Ok(Ok(()))) {
            self.leave(false).await;
        }
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
                Some(Err(error)) if End::of(&error) == End::ClientReset => {
                    return Err(End::ClientReset);
                }
                Some(Err(_)) | None => break,
            }
        }
        // The stream has ended, or continues with bytes that are not a WebSocket's.
        discard(self.stream_mut()).await.map_err(|error| End::of(&error.into()))
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
