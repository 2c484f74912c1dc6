//! Accepts connections and serves each on its own task.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use kite_server::tls::{self, TlsAcceptor};
use kite_server::{Connection, Transport, listener};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::guard::Peer;
use crate::patience::Patience;

/// Bytes of a request's head, and of a response that wait to be written.
const BUFFER_BYTES: usize = 32 * 1024;

/// Headers of a request.
const MAX_HEADERS: usize = 64;

/// What the operating system takes without sending it, so that what waits for a slow reader waits
/// where newer data can replace it.
const UNSENT_BYTES: u32 = 32 * 1024;

/// How much of a server its clients may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Connections open at a time.
    pub(crate) connections: usize,
    /// Time for a TLS handshake, and for the head of a request, since the connection is idle.
    pub(crate) head: Duration,
    /// How long a client may take no byte.
    pub(crate) stall: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: 256, head: Duration::from_secs(5), stall: Duration::from_secs(30) }
    }
}

/// Serves connections for ever. Dropping it ends all of them.
pub(crate) async fn run(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
) {
    let server = Arc::new(Server { tls, router, limits });
    let places = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    loop {
        // Those in excess wait in the operating system's queue and take nothing here.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let transport = Transport::from(listener::accept(&listener).await);
        connections.spawn(Arc::clone(&server).serve(transport, place));
        while connections.try_join_next().is_some() {}
    }
}

struct Server {
    tls: Option<TlsAcceptor>,
    router: Router,
    limits: Limits,
}

impl Server {
    async fn serve(self: Arc<Self>, transport: Transport, place: OwnedSemaphorePermit) {
        let peer = Peer(transport.peer().map(|peer| peer.ip()));
        if let Err(error) = transport.set_unsent_limit(UNSENT_BYTES) {
            tracing::debug!(%error, "socket has the operating system's own limits");
        }
        let stream: Box<dyn Connection> = match &self.tls {
            None => Box::new(transport),
            Some(acceptor) => {
                match timeout(self.limits.head, tls::accept(acceptor, transport)).await {
                    Ok(Ok(stream)) => stream,
                    Ok(Err(error)) => return tracing::debug!(%error, ?peer, "no TLS handshake"),
                    Err(_) => return tracing::debug!(?peer, "no TLS handshake in time"),
                }
            }
        };
        let stream = TokioIo::new(Patience::new(stream, self.limits.stall));
        let router = self.router.clone().layer(axum::Extension(peer));
        let served = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.head)
            .max_headers(MAX_HEADERS)
            .max_buf_size(BUFFER_BYTES)
            .serve_connection(stream, TowerToHyperService::new(router))
            .await;
        if let Err(error) = served {
            tracing::debug!(%error, ?peer, "connection of a reader ended");
        }
        drop(place);
    }
}
