//! How a socket ends.

use std::io;

use tokio_tungstenite::tungstenite::Error as WebSocketError;

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

impl End {
    /// Returns how a socket ended whose read or write failed.
    pub(crate) fn of(error: &WebSocketError) -> Self {
        use io::ErrorKind::{ConnectionAborted, ConnectionReset};
        match error {
            // Windows reports some resets as aborted connections.
            WebSocketError::Io(error)
                if matches!(error.kind(), ConnectionReset | ConnectionAborted) =>
            {
                Self::ClientReset
            }
            _ => Self::ClientGone,
        }
    }
}
