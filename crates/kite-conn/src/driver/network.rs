//! The driver's access to the outside: opening sockets, and the clocks.
//!
//! The same driver runs over the network and, in tests, over memory and a simulated clock.

use std::future::Future;
use std::sync::Arc;
use std::time::SystemTime;

use super::clock::Clocks;
use crate::config::ConnectionConfig;
use crate::credentials::Credentials;
use crate::transport::{Dialer, OpenError, Spellings, Stream};
use crate::websocket::{WebSocket, Wire};

/// The source of sockets.
pub(crate) trait Network: Send + 'static {
    /// The stream below a WebSocket.
    type Wire: Wire;

    /// Makes one attempt to open a WebSocket. An error contains none of `secrets`.
    fn open(
        &self,
        credentials: &Credentials,
        secrets: Arc<Spellings>,
    ) -> impl Future<Output = Result<WebSocket<Self::Wire>, OpenError>> + Send + 'static;

    /// Returns the clocks.
    fn clocks() -> Clocks {
        Clocks { read: crate::clock::read, wall_time: crate::clock::wall_time() }
    }

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
        secrets: Arc<Spellings>,
    ) -> impl Future<Output = Result<WebSocket<Stream>, OpenError>> + Send + 'static {
        Dialer::open(self, credentials, secrets)
    }
}

impl From<&ConnectionConfig> for Dialer {
    fn from(config: &ConnectionConfig) -> Self {
        Self::new(config.endpoint.clone(), config.transport.clone())
    }
}
