//! What a connection's task reaches beyond itself: a way to open sockets, and the wall clock.
//!
//! A seam: the same task runs over the network and, in tests, over memory and a simulated clock.

use std::future::Future;
use std::time::SystemTime;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::config::ConnectionConfig;
use crate::credentials::Credentials;
use crate::transport::{Dialer, OpenError, Stream};
use crate::websocket::WebSocket;

/// A byte stream that says how many bytes of ours it has taken.
pub(crate) trait Wire: AsyncRead + AsyncWrite + Unpin + Send + 'static {
    /// Gives the number of bytes taken so far, those of TLS included.
    fn bytes_written(&self) -> u64;

    /// Makes a reset of the stream's end: behind a peer that takes no bytes, an orderly end would
    /// wait with them, and the peer would count the socket as open.
    fn reset_on_drop(&self);
}

impl Wire for Stream {
    fn reset_on_drop(&self) {
        Stream::reset_on_drop(self);
    }

    fn bytes_written(&self) -> u64 {
        Stream::bytes_written(self)
    }
}

/// Where sockets come from.
pub(crate) trait Network: Send + 'static {
    /// What a WebSocket runs over.
    type Wire: Wire;

    /// Opens a WebSocket: one attempt.
    fn open(
        &self,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<WebSocket<Self::Wire>, OpenError>> + Send + 'static;

    /// Reads the wall clock.
    fn wall_clock() -> SystemTime {
        SystemTime::now()
    }
}

impl Network for Dialer {
    type Wire = Stream;

    fn open(
        &self,
        credentials: &Credentials,
    ) -> impl Future<Output = Result<WebSocket<Stream>, OpenError>> + Send + 'static {
        Dialer::open(self, credentials)
    }
}

impl From<&ConnectionConfig> for Dialer {
    fn from(config: &ConnectionConfig) -> Self {
        Self::new(config.endpoint.clone(), config.transport.clone())
    }
}
