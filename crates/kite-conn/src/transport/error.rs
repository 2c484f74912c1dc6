//! Why a connection could not be opened.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::{self, CertificateError};

use super::refusal::Refusal;
use super::tls::TlsError;

/// Why one attempt to open a connection failed.
///
/// None of these contains an access token, a query value of the endpoint or the credentials of a
/// proxy.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host could not be looked up.
    #[error("looking up {host} failed")]
    Dns {
        /// The endpoint's host, or the proxy's.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// The look-up gave no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The endpoint's host, or the proxy's.
        host: String,
    },
    /// A `ws://` host, or the proxy to it, resolved to an address outside of loopback.
    #[error(
        "{host} resolved to {address}, which is not loopback: ws:// would send the access token \
         in the open, use wss://"
    )]
    NotLoopback {
        /// The endpoint's host, or the proxy's.
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
    /// A proxy answered nothing that is HTTP, or nothing at all.
    #[error("the proxy {proxy} at {address} did not answer properly")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The address that was connected.
        address: SocketAddr,
        /// What was wrong with the answer.
        source: HandshakeError,
    },
    /// A proxy did not connect us: wrong credentials for it (407), a target that it does not
    /// permit or cannot reach. It says nothing about Kite's credentials.
    #[error("the proxy {proxy} refused the connection with status {}", refusal.status)]
    ProxyRefused {
        /// The proxy's host and port.
        proxy: String,
        /// Its answer.
        refusal: Refusal,
    },
    /// There are no root certificates to check a server's with.
    #[error("tls cannot be set up")]
    TlsSetup(#[source] TlsError),
    /// The TLS handshake failed, for instance over the certificate.
    #[error("the tls handshake with {host} at {address} failed: {fault}")]
    Tls {
        /// The endpoint's host.
        host: String,
        /// The address that was connected, the proxy's where there is one.
        address: SocketAddr,
        /// What went wrong, as far as it is told apart.
        fault: TlsFault,
        /// What went wrong, in full.
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
    /// `ws://` host or its proxy outside of loopback, a header that belongs to the handshake, an
    /// empty store of root certificates.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Refused(refusal) => !refusal.is_auth(),
            Self::NotLoopback { .. } | Self::Handshake(HandshakeError::ReservedHeader { .. }) => {
                false
            }
            Self::TlsSetup(error) => error.is_transient(),
            _ => true,
        }
    }

    /// Returns how long the server or the proxy asked us to stay away, at most a day.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) | Self::ProxyRefused { refusal, .. } => refusal.retry_after,
            _ => None,
        }
    }
}

/// What went wrong in a TLS handshake, as far as it is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The certificate is from nobody we believe: see [`Tls`](crate::Tls) for other roots.
    #[error("nobody we believe issued the certificate")]
    UnknownIssuer,
    /// The certificate is for other names.
    #[error("the certificate is for another name")]
    WrongName,
    /// The certificate is not valid now; or the machine's clock is wrong.
    #[error("the certificate has expired or is not valid yet, if our clock is right")]
    NotValidNow,
    /// Something else is wrong with the certificate.
    #[error("the certificate is not acceptable")]
    Certificate,
    /// The server does not speak TLS.
    #[error("the server does not speak tls")]
    NotTls,
    /// The server broke the handshake off with an alert.
    #[error("the server refused")]
    Alert,
    /// The connection ended or broke.
    #[error("the connection broke")]
    Broken,
    /// Anything else.
    #[error("the handshake was not acceptable")]
    Other,
}

impl TlsFault {
    pub(super) fn of(error: &io::Error) -> Self {
        let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        match inner {
            None => Self::Broken,
            Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
                CertificateError::UnknownIssuer => Self::UnknownIssuer,
                CertificateError::NotValidForName
                | CertificateError::NotValidForNameContext { .. } => Self::WrongName,
                CertificateError::Expired
                | CertificateError::ExpiredContext { .. }
                | CertificateError::NotValidYet
                | CertificateError::NotValidYetContext { .. } => Self::NotValidNow,
                _ => Self::Certificate,
            },
            Some(rustls::Error::InvalidMessage(_)) => Self::NotTls,
            Some(rustls::Error::AlertReceived(_)) => Self::Alert,
            Some(_) => Self::Other,
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
    /// A proxy's answer to `CONNECT`.
    Proxy,
    /// Reading the operating system's root certificates, and the TLS handshake.
    Tls,
    /// The WebSocket handshake.
    Handshake,
}

impl fmt::Display for OpenStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the dns look-up",
            Self::Connect => "the tcp connect",
            Self::Proxy => "the proxy",
            Self::Tls => "the tls handshake",
            Self::Handshake => "the websocket handshake",
        })
    }
}

/// What was wrong with a WebSocket handshake (RFC 6455, section 4.1), or with a proxy's answer.
///
/// Values sent by the other side are not repeated: they may echo the request.
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
    /// The other side closed the connection before the whole head of the answer was there.
    #[error("the connection was closed after {received} bytes of the answer")]
    Closed {
        /// How many bytes of the answer had come.
        received: usize,
    },
    /// The answer is not HTTP/1.
    #[error("the answer is not http/1")]
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
    /// A proxy sent bytes of its own through the connection it made, before we sent any.
    #[error("{bytes} bytes came through the proxy before anything was sent")]
    EarlyBytes {
        /// How many had come.
        bytes: usize,
    },
}
