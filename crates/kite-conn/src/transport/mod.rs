//! From an endpoint to an open WebSocket: DNS, TCP, proxy, TLS, handshake.
//!
//! The handshake is implemented here because tungstenite logs the request line, including the
//! token, and hands over only those bytes of a refusal that arrived with its head. Nothing here
//! retries; one call is one attempt, and sends the token at most once. A [`Dialer`] keeps the state
//! that is needed across attempts.

mod accepted;
mod body;
mod dial;
mod endpoint;
mod error;
mod handshake;
mod head;
mod probe;
mod proxy;
mod race;
mod refusal;
mod resolver;
mod retry_after;
mod route;
mod secrets;
mod settings;
mod socket;
mod spelling;
mod stream;
mod tls;
mod tunnel;

use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

use self::dial::Way;
use self::route::Route;
use crate::credentials::Credentials;
use crate::websocket::WebSocket;

pub use self::accepted::{Accepted, OnAccepted};
pub use self::endpoint::{Endpoint, EndpointError};
pub use self::error::{HandshakeError, OpenError, OpenStage, TlsFault};
pub use self::probe::{Probe, ProbeStream};
pub use self::proxy::{Proxy, ProxyError};
pub use self::refusal::Refusal;
pub use self::settings::Transport;
pub use self::tls::{Tls, TlsError};

pub(crate) use self::dial::Deadline;
pub(crate) use self::handshake::handshake;
pub(crate) use self::secrets::Secrets;
pub(crate) use self::spelling::Spellings;
pub(crate) use self::stream::Stream;

/// Opens the sockets of one connection, one attempt per call.
///
/// Between attempts it keeps the TLS sessions and the addresses that failed.
#[derive(Debug)]
pub(crate) struct Dialer(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    settings: Transport,
    route: Route,
}

impl Dialer {
    pub(crate) fn new(endpoint: Endpoint, settings: Transport) -> Self {
        let route = Route::default();
        Self(Arc::new(Inner { endpoint, settings, route }))
    }

    /// Opens a connection in one attempt, which may try all addresses of the host but makes one
    /// handshake.
    ///
    /// # Errors
    /// Returns an [`OpenError`] that names the stage that failed and never contains the endpoint's
    /// query.
    ///
    /// # Cancel safety
    /// Cancel safe: dropping the future closes the socket.
    pub(crate) fn open(
        &self,
        credentials: &Credentials,
        secrets: Arc<Spellings>,
    ) -> impl Future<Output = Result<WebSocket<Stream>, OpenError>> + Send + use<> {
        let (inner, credentials) = (Arc::clone(&self.0), credentials.clone());
        async move { inner.open(&credentials, &secrets).await }
    }
}

impl Inner {
    async fn open(
        &self,
        credentials: &Credentials,
        secrets: &Spellings,
    ) -> Result<WebSocket<Stream>, OpenError> {
        let deadline = Deadline::within(self.settings.connect_timeout);
        let tls = match self.endpoint.is_secure() {
            true => Some(self.build_tls(deadline).await?),
            false => None,
        };
        let addresses = dial::resolve(self.way(tls.as_ref()), deadline).await?;
        self.open_at(&addresses, tls.as_ref(), credentials, secrets, deadline).await
    }

    async fn build_tls(&self, deadline: Deadline) -> Result<Arc<ClientConfig>, OpenError> {
        let built = deadline.bound(OpenStage::Tls, self.settings.tls.build()).await?;
        built.map_err(OpenError::TlsSetup)
    }

    fn way<'a>(&'a self, tls: Option<&'a Arc<ClientConfig>>) -> Way<'a> {
        Way { endpoint: &self.endpoint, proxy: self.settings.proxy.as_ref(), tls }
    }

    async fn open_at(
        &self,
        addresses: &[SocketAddr],
        tls: Option<&Arc<ClientConfig>>,
        credentials: &Credentials,
        secrets: &Spellings,
        deadline: Deadline,
    ) -> Result<WebSocket<Stream>, OpenError> {
        let (address, stream) = dial::dial(self.way(tls), addresses, &self.route, deadline).await?;
        // No other address is tried after this, because the server may have counted this socket
        // already, and a second one while its slot is taken is refused with 429. The next attempt
        // starts with another address.
        let opened =
            handshake(stream, &self.endpoint, credentials, &self.settings, secrets, deadline).await;
        match opened {
            Ok((websocket, head)) => {
                self.route.on_success(address);
                if let Some(listener) = &self.settings.on_accepted {
                    let headers = head.into_headers(secrets);
                    listener.on_accepted(Accepted { peer: address, headers });
                }
                Ok(websocket)
            }
            Err(error) => {
                self.route.on_failure(address);
                Err(error)
            }
        }
    }
}

#[cfg(test)]
mod tests;
