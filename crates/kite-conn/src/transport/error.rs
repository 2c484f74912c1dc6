//! Why a connection could not be opened.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use tokio_rustls::rustls::{self, CertificateError};

use super::refusal::Refusal;
use super::retry_after::{Asked, MAX_WAIT};
use super::tls::TlsError;
use crate::one_line::OneLine;

/// Which of several addresses an error concerns; nothing if there was one.
struct LastOf(usize);

impl fmt::Display for LastOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 2 {
            return Ok(());
        }
        write!(f, ", the last of {} addresses tried,", self.0)
    }
}

/// The proxy that an address belongs to; nothing without one.
struct Through<'a>(Option<&'a str>);

impl fmt::Display for Through<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(proxy) => write!(f, "the proxy {proxy} at "),
            None => Ok(()),
        }
    }
}

/// Why one attempt to open a connection failed.
///
/// Its text names the cause, and `source` begins beneath it. No variant contains an access token, a
/// query value of the endpoint or the credentials of a proxy.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The host could not be looked up.
    #[error("looking up {host} failed: {}", OneLine(source))]
    Dns {
        /// The endpoint's host, or the proxy's.
        host: String,
        /// The resolver's error.
        r#source: Arc<io::Error>,
    },
    /// The lookup returned no address.
    #[error("{host} has no address")]
    NoAddress {
        /// The endpoint's host, or the proxy's.
        host: String,
    },
    /// A `ws://` host, or the proxy to it, resolved to an address that is not loopback.
    #[error(
        "{host} resolved to {address}, which is not loopback: ws:// would send the access token \
         unencrypted; use wss://"
    )]
    NotLoopback {
        /// The endpoint's host, or the proxy's.
        host: String,
        /// The first address that is not loopback.
        address: IpAddr,
    },
    /// No address accepted a TCP connection; the last failure.
    #[error(
        "connecting to {}{address}{} failed: {}",
        Through(proxy.as_deref()),
        LastOf(*tried),
        OneLine(source)
    )]
    Connect {
        /// The host and port of the proxy, if it is one that was not reached.
        proxy: Option<String>,
        /// The address tried last.
        address: SocketAddr,
        /// Number of addresses tried.
        tried: usize,
        /// The operating system's error.
        r#source: Arc<io::Error>,
    },
    /// A proxy sent no response, or one that is not HTTP.
    #[error("the proxy {proxy} at {address} sent no valid response: {source}")]
    Proxy {
        /// The proxy's host and port.
        proxy: String,
        /// The address that was connected.
        address: SocketAddr,
        /// The fault in the response.
        r#source: HandshakeError,
    },
    /// A proxy refused to connect: wrong credentials for it (407), or a target that it does not
    /// permit or cannot reach. This is unrelated to Kite's credentials.
    #[error(
        "the proxy {proxy} refused the connection with status {}{}",
        refusal.status,
        Asked(refusal.retry_after)
    )]
    ProxyRefused {
        /// The proxy's host and port.
        proxy: String,
        /// Its response.
        refusal: Refusal,
    },
    /// No root certificates are available to verify a server's certificate.
    #[error("TLS cannot be set up: {0}")]
    TlsSetup(TlsError),
    /// The TLS handshake failed, for instance because of the certificate.
    #[error("the TLS handshake with {host} at {address} failed: {fault}: {}", OneLine(source))]
    Tls {
        /// The endpoint's host.
        host: String,
        /// The address that was connected, the proxy's if there is one.
        address: SocketAddr,
        /// The kind of fault.
        fault: TlsFault,
        /// The full error.
        r#source: Arc<io::Error>,
    },
    /// The connect timeout expired.
    #[error("{stage} did not finish within the connect timeout of {after:?}")]
    Timeout {
        /// The stage that was in progress.
        stage: OpenStage,
        /// The whole connect timeout.
        after: Duration,
    },
    /// The server answered with a status other than 101.
    #[error("{0}")]
    Refused(Refusal),
    /// The WebSocket handshake was interrupted, or the response was invalid.
    #[error("the WebSocket handshake failed: {0}")]
    Handshake(HandshakeError),
}

impl OpenError {
    /// Returns whether new credentials are needed: a refusal with 400, 401 or 403 and Kite's JSON
    /// error.
    #[must_use]
    pub fn is_auth(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_auth())
    }

    /// Returns whether the credentials are invalid, and not merely expired: Kite answers a wrong
    /// api_key with 400, and an access token that is no longer valid with 403.
    #[must_use]
    pub fn is_invalid_credentials(&self) -> bool {
        matches!(self, Self::Refused(refusal) if refusal.is_auth() && refusal.status == 400)
    }

    /// Returns whether the same attempt may succeed later.
    ///
    /// False for an authentication failure and for faults that only another configuration fixes: a
    /// `ws://` host or its proxy that is not loopback, a header that belongs to the handshake, an
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

    /// Returns how long the server's or the proxy's `Retry-After` delays the next attempt: at most
    /// five minutes, even if it asks for more.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused(refusal) | Self::ProxyRefused { refusal, .. } => {
                refusal.retry_after.map(|delay| delay.min(MAX_WAIT))
            }
            _ => None,
        }
    }
}

/// The kind of fault in a TLS handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum TlsFault {
    /// The certificate's issuer is not trusted: see [`Tls`](crate::Tls) for other roots.
    #[error("the certificate's issuer is not trusted")]
    UnknownIssuer,
    /// The certificate is for another name.
    #[error("the certificate is for another name")]
    WrongName,
    /// The certificate has expired by the local clock.
    #[error("the certificate has expired")]
    Expired,
    /// The certificate is not valid yet by the local clock, which is often behind.
    #[error("the certificate is not valid yet, or the local clock is behind")]
    NotYetValid,
    /// The server presents the certificate of an authority as its own, usually a self-signed one.
    /// It is not accepted even if it is among the trusted roots.
    #[error("the server's certificate is that of an authority, probably self-signed")]
    AuthorityAsServer,
    /// Something else is wrong with the certificate.
    #[error("the certificate is invalid")]
    Certificate,
    /// The server does not speak TLS.
    #[error("the server does not speak TLS")]
    NotTls,
    /// The server aborted the handshake with an alert.
    #[error("the server aborted the handshake")]
    Alert,
    /// The connection ended or broke.
    #[error("the connection broke")]
    Broken,
    /// Anything else.
    #[error("the handshake was invalid")]
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
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    Self::Expired
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    Self::NotYetValid
                }
                // Rustls has no variant for it, and does not export the type of the cause.
                CertificateError::Other(cause) if cause.0.to_string() == "CaUsedAsEndEntity" => {
                    Self::AuthorityAsServer
                }
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
    /// A proxy's response to `CONNECT`.
    Proxy,
    /// Reading the operating system's root certificates, and the TLS handshake.
    Tls,
    /// The WebSocket handshake.
    Handshake,
}

impl fmt::Display for OpenStage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Dns => "the DNS lookup",
            Self::Connect => "the TCP connection",
            Self::Proxy => "the proxy",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the WebSocket handshake",
        })
    }
}

/// What was wrong with a WebSocket handshake (RFC 6455, section 4.1), or with a proxy's response.
///
/// Values sent by the other side are not included, because they may echo the request.
#[derive(Debug, Clone, Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A configured header is one that the handshake sets itself.
    #[error("the header {name} belongs to the handshake and cannot be configured")]
    ReservedHeader {
        /// The header's name.
        name: String,
    },
    /// The socket failed before the head of the response was complete.
    #[error("the socket failed after {received} bytes of the response: {}", OneLine(source))]
    Io {
        /// Number of bytes of the response that were received.
        received: usize,
        /// The error of the operating system or of TLS.
        r#source: Arc<io::Error>,
    },
    /// The other side closed the connection before the head of the response was complete.
    #[error("the connection was closed after {received} bytes of the response")]
    Closed {
        /// Number of bytes of the response that were received.
        received: usize,
    },
    /// The response is not HTTP/1.
    #[error("the response is not HTTP/1")]
    NotHttp,
    /// The head of the response exceeds the size limit.
    #[error("the head of the response exceeds {limit} bytes")]
    HeadTooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// The head of the response has too many headers.
    #[error("the head of the response has more than {limit} headers")]
    TooManyHeaders {
        /// The limit.
        limit: usize,
    },
    /// A 101 in HTTP/1.0.
    #[error("the server switched protocols in HTTP/1.0")]
    HttpVersion,
    /// A 101 without `Upgrade: websocket`.
    #[error("the response has no Upgrade header that names websocket")]
    NoUpgrade,
    /// A 101 without `Connection: Upgrade`.
    #[error("the response has no Connection header that names upgrade")]
    NoConnectionUpgrade,
    /// A 101 whose `Sec-WebSocket-Accept` is missing or does not match the key sent.
    #[error("the response's Sec-WebSocket-Accept is missing or does not match the key sent")]
    WrongAccept,
    /// A 101 with an extension; none was offered.
    #[error("the server chose a WebSocket extension; none was offered")]
    UnexpectedExtension,
    /// A 101 with a subprotocol; none was offered.
    #[error("the server chose a WebSocket subprotocol; none was offered")]
    UnexpectedProtocol,
    /// A proxy sent bytes through the connection before the client sent any.
    #[error("the proxy sent {bytes} bytes before anything was sent to it")]
    EarlyBytes {
        /// Number of bytes received.
        bytes: usize,
    },
}
