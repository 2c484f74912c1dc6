//! From an endpoint to an open WebSocket: DNS, TCP, TLS, handshake.
//!
//! The handshake is our own. tungstenite logs the request line, token included, and hands over
//! only those bytes of a refusal that came with its head. Nothing here retries: one call is one
//! attempt, and sends the token at most once.

mod body;
mod dial;
mod error;
mod handshake;
mod head;
mod refusal;
mod spelling;
mod stream;

use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ClientConfig, RootCertStore};
use tokio_tungstenite::WebSocketStream;

use crate::credentials::Credentials;
use crate::endpoint::Endpoint;

pub use self::error::{HandshakeError, OpenError, OpenStage};
pub use self::refusal::Refusal;

pub(crate) use self::dial::Deadline;
pub(crate) use self::handshake::handshake;
pub(crate) use self::stream::Stream;

/// How to open a connection.
#[derive(Debug, Clone)]
pub(crate) struct OpenOptions {
    /// For everything from the look-up of the host to the last byte of a refusal.
    pub(crate) connect_timeout: Duration,
    /// What tungstenite reads at once, and zeroes before each read.
    pub(crate) read_buffer_bytes: usize,
    /// The largest frame, and the largest message made of frames, that is accepted.
    pub(crate) max_frame_bytes: usize,
    /// Sent with the handshake. `User-Agent` and `X-Kite-Version` replace ours; those of the
    /// handshake itself are refused ([`HandshakeError::ReservedHeader`]).
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
}

/// Built once: the root certificates are many, and resumed sessions make reconnects quick.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| Arc::new(webpki_tls()));

/// Opens a connection: one attempt, all addresses of the host, one handshake.
///
/// # Errors
/// [`OpenError`] says at which stage it failed. None contains the endpoint's query.
///
/// # Cancel safety
/// Cancel safe: dropping the future closes whatever was open.
pub(crate) async fn open(
    endpoint: &Endpoint,
    credentials: &Credentials,
    options: &OpenOptions,
) -> Result<WebSocketStream<Stream>, OpenError> {
    let deadline = Deadline::within(options.connect_timeout);
    let addresses = dial::resolve(endpoint, deadline).await?;
    open_at(endpoint, credentials, options, &addresses, &TLS, deadline).await
}

async fn open_at(
    endpoint: &Endpoint,
    credentials: &Credentials,
    options: &OpenOptions,
    addresses: &[SocketAddr],
    tls: &Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<WebSocketStream<Stream>, OpenError> {
    let stream = dial::dial(endpoint, addresses, tls, deadline).await?;
    // No second address from here on: the server may have counted this socket already, and a
    // second one while its slot is taken earns a 429.
    handshake(stream, endpoint, credentials, options, deadline).await
}

#[expect(clippy::expect_used, reason = "the provider and the protocol versions are constants")]
fn webpki_tls() -> ClientConfig {
    let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    // The provider is named: a process default may be missing or be set by the application.
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

#[cfg(test)]
mod tests;
