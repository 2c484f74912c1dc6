//! From a host to a connected stream: DNS lookup, TCP, proxy, TLS, trying one address after
//! another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tracing::debug;

use super::endpoint::Endpoint;
use super::error::{OpenError, OpenStage, TlsFault};
use super::proxy::Proxy;
use super::route::Route;
use super::socket;
use super::stream::{Stream, Tcp};
use super::tunnel::open_tunnel;
use crate::clock::FAR;

/// When an attempt must end, and the timeout this is computed from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline {
    at: Instant,
    after: Duration,
}

impl Deadline {
    /// Starts the connect timeout now.
    pub(crate) fn within(after: Duration) -> Self {
        let now = Instant::now();
        Self { at: now.checked_add(after).unwrap_or_else(|| now + FAR), after }
    }

    /// Returns the end of one of `parts` equal shares of the remaining time.
    fn share(self, parts: u32) -> Self {
        let now = Instant::now();
        let left = self.at.saturating_duration_since(now);
        Self { at: now + left / parts.max(1), after: self.after }
    }

    /// Runs a future until the deadline. A result that is ready counts even if the deadline has
    /// passed.
    pub(super) async fn bound<F: Future>(
        self,
        stage: OpenStage,
        future: F,
    ) -> Result<F::Output, OpenError> {
        let timeout = OpenError::Timeout { stage, after: self.after };
        timeout_at(self.at, future).await.map_err(|_| timeout)
    }
}

/// How to reach an endpoint.
#[derive(Debug, Clone, Copy)]
pub(super) struct Way<'a> {
    pub(super) endpoint: &'a Endpoint,
    pub(super) proxy: Option<&'a Proxy>,
    /// For `wss://`.
    pub(super) tls: Option<&'a Arc<ClientConfig>>,
}

impl Way<'_> {
    /// The host whose addresses are dialled.
    pub(super) fn host(&self) -> &str {
        self.proxy.map_or(self.endpoint.host(), Proxy::host)
    }

    fn port(&self) -> u16 {
        self.proxy.map_or(self.endpoint.port(), Proxy::port)
    }
}

/// Looks up the host to dial. An IP address needs no lookup.
pub(super) async fn resolve(
    way: Way<'_>,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, OpenError> {
    let lookup = lookup_host((way.host(), way.port()));
    match deadline.bound(OpenStage::Dns, lookup).await? {
        Ok(addresses) => Ok(addresses.collect()),
        Err(source) => {
            Err(OpenError::Dns { host: way.host().to_owned(), source: Arc::new(source) })
        }
    }
}

/// Connects to the first address that accepts, proxy and TLS included, and remembers which was
/// tried last.
///
/// Each address gets an equal share of the remaining time, so that one that drops packets leaves
/// time for the others; time saved by a quick failure goes to the addresses after it. A proxy's
/// refusal ends the attempt: it is an answer, and the other addresses usually belong to the same
/// proxy.
pub(super) async fn dial(
    way: Way<'_>,
    addresses: &[SocketAddr],
    route: &Route,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    // Without TLS a proxy must be on loopback as well: it would see the token, and so would the
    // network between.
    let (mut permitted, outside): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| way.endpoint.permits(address));
    let host = way.host().to_owned();
    let mut failure = match outside.first() {
        Some(outside) => OpenError::NotLoopback { host, address: outside.ip() },
        None => OpenError::NoAddress { host },
    };
    route.order(&mut permitted);
    for (index, &address) in permitted.iter().enumerate() {
        let parts = u32::try_from(permitted.len() - index).unwrap_or(u32::MAX);
        route.on_try(address);
        match dial_one(way, address, index + 1, deadline.share(parts)).await {
            Ok(stream) => return Ok(stream),
            Err(error @ OpenError::ProxyRefused { .. }) => return Err(error),
            Err(error) => {
                debug!(%address, %error, "address failed");
                failure = error;
            }
        }
    }
    Err(failure)
}

async fn dial_one(
    way: Way<'_>,
    address: SocketAddr,
    tried: usize,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    let tcp = connect(way, address, tried, deadline).await?;
    match way.tls {
        Some(tls) => secure(way, tls, tcp, address, deadline).await,
        None => Ok(Stream::Plain(tcp)),
    }
}

/// Connects to an address by TCP, and through the proxy if there is one.
pub(super) async fn connect(
    way: Way<'_>,
    address: SocketAddr,
    tried: usize,
    deadline: Deadline,
) -> Result<Tcp, OpenError> {
    let tcp = deadline.bound(OpenStage::Connect, socket::connect(address)).await?;
    let tcp = tcp.map(Tcp::new);
    let mut tcp =
        tcp.map_err(|source| OpenError::Connect { address, tried, source: Arc::new(source) })?;
    if let Some(proxy) = way.proxy {
        open_tunnel(&mut tcp, proxy, address, &way.endpoint.authority(), deadline).await?;
    }
    Ok(tcp)
}

/// Performs the TLS handshake with the endpoint.
pub(super) async fn secure(
    way: Way<'_>,
    tls: &Arc<ClientConfig>,
    tcp: Tcp,
    address: SocketAddr,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    let hello = TlsConnector::from(Arc::clone(tls)).connect(way.endpoint.server_name(), tcp);
    match deadline.bound(OpenStage::Tls, hello).await? {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(source) => Err(OpenError::Tls {
            host: way.endpoint.host().to_owned(),
            address,
            fault: TlsFault::of(&source),
            source: Arc::new(source),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn shares_are_equal_and_the_last_one_gets_the_rest() {
        let whole = Deadline::within(Duration::from_secs(9));
        let started = Instant::now();
        assert_eq!(whole.share(3).at - started, Duration::from_secs(3));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(whole.share(2).at - started, Duration::from_secs(5));
        assert_eq!(whole.share(1).at, whole.at);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert_eq!(whole.share(2).at, Instant::now());
    }
}
