//! Why a connection could not be opened.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use super::refusal::Refusal;

/// Why one attempt to open a connection failed.
///
/// None of these contains the access token or a query value of the endpoint.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host could not be looked up.
    #[error("looking up {host} failed")]
    Dns {
        /// The endpoint's host.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// The look-up gave no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The endpoint's host.
        host: String,
    },
    /// A `ws://` host resolved to an address outside of loopback.
    #[error(
        "{host} resolved to {address}, which is not loopback: ws:// would send the access token \
         in the open, use wss://"
    )]
    NotLoopback {
        /// The endpoint's host.
        host: String,
        /// The first address that is not loopback.
        address: IpAddr,
    },
    /// No address accepted a TCP connection; the last failure.
    #[error("connecting to {address}, the last of {tried} addresses tried, failed")]
    Connect {
        /// The address tried last.
        address: SocketAddr,
        /// How many addresses were tried.
        tried: usize,
        /// What the operating system said.
        source: Arc<io::Error>,
    },
    /// The TLS handshake failed, for instance over the certificate.
    #[error("the tls handshake with {host} at {address} failed")]
    Tls {
        /// The endpoint's host.
        host: String,
        /// The address that was connected.
        address: SocketAddr,
        /// What went wrong.
        source: Arc<io::Error>,
    },
    /// The connect timeout ran out.
    #[error("{stage} did not finish within the connect timeout of {after:?}")]
    Timeout {
        /// What was being waited for.
        stage: OpenStage,
        /// The whole connect timeout.
        after: Duration,
    },
    /// The server answered with another status than 101.
    #[error("{0}")]
    Refused(Refusal),
    /// The WebSocket handshake broke off or its answer was wrong.
    #[error("the websocket handshake failed")]
    Handshake(#[source] HandshakeError),
}

impl OpenError {
    /// Whether new credentials are needed: a refusal with 400, 401 or 403 and Kite's JSON error.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_auth())
    }

    /// Whether the same attempt may succeed later.
    ///
    /// False for an authentication failure and for what only another configuration mends: a
    /// `ws://` host outside of loopback, a header that belongs to the handshake.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.is_auth(),
            Self::NotLoopback { .. } | Self::Handshake(HandshakeError::ReservedHeader { .. }) => {
                false
            }
            _ => true,
        }
    }
}

/// The stages of opening a connection, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OpenStage {
    /// Looking up the host.
    Dns,
    /// Connecting by TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The WebSocket handshake.
    Handshake,
}

impl fmt::Display for OpenStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the dns look-up",
            Self::Connect => "the tcp connect",
            Self::Tls => "the tls handshake",
            Self::Handshake => "the websocket handshake",
        })
    }
}

/// What was wrong with a WebSocket handshake (RFC 6455, section 4.1).
///
/// Values sent by the server are not repeated: they may echo the request.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A configured header is one that the handshake sets itself.
    #[error("the header {name} belongs to the handshake and cannot be configured")]
    ReservedHeader {
        /// The header's name.
        name: String,
    },
    /// The socket failed before the whole head of the answer was there.
    #[error("the socket failed after {received} bytes of the answer")]
    Io {
        /// How many bytes of the answer had come.
        received: usize,
        /// What the operating system or TLS said.
        source: Arc<io::Error>,
    },
    /// The server closed the connection before the whole head of the answer was there.
    #[error("the server closed the connection after {received} bytes of its answer")]
    Closed {
        /// How many bytes of the answer had come.
        received: usize,
    },
    /// The answer is not HTTP/1.
    #[error("the answer is not http/1: is the endpoint a websocket server?")]
    NotHttp,
    /// The head of the answer is longer than we read.
    #[error("the head of the answer is longer than {limit} bytes")]
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head of the answer has more headers than we read.
    #[error("the head of the answer has more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A 101 in HTTP/1.0.
    #[error("the server switched protocols in http/1.0")]
    HttpVersion,
    /// A 101 without `Upgrade: websocket`.
    #[error("the answer has no upgrade header that names websocket")]
    NoUpgrade,
    /// A 101 without `Connection: Upgrade`.
    #[error("the answer has no connection header that names upgrade")]
    NoConnectionUpgrade,
    /// A 101 whose `Sec-WebSocket-Accept` is missing or does not belong to our key.
    #[error("the answer's sec-websocket-accept is missing or does not match the key sent")]
    WrongAccept,
    /// A 101 with an extension; none was offered.
    #[error("the server chose a websocket extension, none was offered")]
    UnexpectedExtension,
    /// A 101 with a subprotocol; none was offered.
    #[error("the server chose a websocket subprotocol, none was offered")]
    UnexpectedProtocol,
}
