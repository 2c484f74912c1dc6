//! How a socket ends.

use std::io;

use tokio_tungstenite::tungstenite::Error as WebSocketError;
use tokio_tungstenite::tungstenite::error::ProtocolError;

/// How a client broke the WebSocket protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// A frame is not as RFC 6455 requires it, such as one that is not masked.
    Frame,
    /// A text is not UTF-8.
    Text,
    /// A message is longer than the socket accepts.
    TooLong,
}

impl Violation {
    /// Returns the violation that made a read fail, if it was one.
    pub(crate) fn of(error: &WebSocketError) -> Option<Self> {
        match error {
            // It has only disconnected.
            WebSocketError::Protocol(ProtocolError::ResetWithoutClosingHandshake) => None,
            WebSocketError::Protocol(_) => Some(Self::Frame),
            WebSocketError::Utf8(_) => Some(Self::Text),
            WebSocketError::Capacity(_) => Some(Self::TooLong),
            _ => None,
        }
    }

    /// Returns the code of the close frame that answers it, by RFC 6455, section 7.4.1.
    #[must_use]
    pub fn code(self) -> u16 {
        match self {
            Self::Frame => 1_002,
            Self::Text => 1_007,
            Self::TooLong => 1_009,
        }
    }

    /// Returns the reason in that close frame.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::Frame => "a frame breaks the WebSocket protocol",
            Self::Text => "a text is not UTF-8",
            Self::TooLong => "a message is too long",
        }
    }
}

/// Why a socket ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client sent a close frame.
    ClientClosed,
    /// The client disconnected without a close frame.
    ClientGone,
    /// The client broke the WebSocket protocol; see [`Socket::reject`](crate::Socket::reject).
    Violation(Violation),
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
