//! From a host to a connected stream: DNS lookup, TCP to the address that answers first, proxy,
//! TLS.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tracing::debug;

use super::endpoint::Endpoint;
use super::error::{OpenError, OpenStage, TlsFault};
use super::proxy::Proxy;
use super::race::Race;
use super::resolver::look_up;
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

/// Looks up the host to dial. An IP address needs no lookup. The families of the addresses
/// alternate (RFC 8305, section 4), so that a dead family, often IPv6, delays by one address only.
pub(super) async fn resolve(
    way: Way<'_>,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, OpenError> {
    let lookup = look_up(way.host(), way.port());
    match deadline.bound(OpenStage::Dns, lookup).await? {
        Ok(addresses) => Ok(alternate(addresses)),
        Err(source) => {
            Err(OpenError::Dns { host: way.host().to_owned(), source: Arc::new(source) })
        }
    }
}

/// Alternates the families, beginning with the first address; otherwise the order is kept.
fn alternate(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let first = addresses.first().map(SocketAddr::is_ipv4);
    let (one, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| Some(address.is_ipv4()) == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let pairs = std::iter::from_fn(|| match [one.next(), other.next()] {
        [None, None] => None,
        pair => Some(pair),
    });
    pairs.flatten().flatten().collect()
}

/// Connects to the address that accepts first, proxy and TLS included, and remembers those that
/// failed or were slow.
///
/// An address that does not answer delays the others by a quarter of a second. After TCP each
/// address gets an equal share of the remaining time, so that one that hangs in TLS leaves time for
/// the others. A proxy's refusal ends the attempt, because the other addresses usually belong to
/// the same proxy.
pub(super) async fn dial(
    way: Way<'_>,
    addresses: &[SocketAddr],
    route: &Route,
    deadline: Deadline,
) -> Result<(SocketAddr, Stream), OpenError> {
    // Without TLS a proxy must be on loopback as well, because it would see the token, and so would
    // the network between.
    let (mut permitted, outside): (Vec<SocketAddr>, Vec<SocketAddr>) =
        addresses.iter().copied().partition(|address| way.endpoint.permits(address));
    let host = way.host().to_owned();
    let mut failure = match outside.first() {
        Some(outside) => OpenError::NotLoopback { host, address: outside.ip() },
        None => OpenError::NoAddress { host },
    };
    route.order(&mut permitted);
    let mut race = Race::new(permitted, route, socket::connect);
    while let Some((address, tcp)) = deadline.bound(OpenStage::Connect, race.next()).await? {
        let parts = u32::try_from(race.left() + 1).unwrap_or(u32::MAX);
        match finish(way, tcp, address, race.tried(), deadline.share(parts)).await {
            Ok(stream) => return Ok((address, stream)),
            Err(error) => {
                route.on_failure(address);
                if let OpenError::ProxyRefused { .. } = error {
                    return Err(error);
                }
                debug!(%address, %error, "address failed");
                failure = error;
            }
        }
    }
    Err(failure)
}

/// Continues after TCP: through the proxy, and TLS.
async fn finish(
    way: Way<'_>,
    tcp: io::Result<TcpStream>,
    address: SocketAddr,
    tried: usize,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    let tcp = enter(way, tcp, address, tried, deadline).await?;
    match way.tls {
        Some(tls) => secure(way, tls, tcp, address, deadline).await,
        None => Ok(Stream::Plain(tcp)),
    }
}

/// Connects to one address by TCP, and through the proxy if there is one.
pub(super) async fn connect(
    way: Way<'_>,
    address: SocketAddr,
    deadline: Deadline,
) -> Result<Tcp, OpenError> {
    let tcp = deadline.bound(OpenStage::Connect, socket::connect(address)).await?;
    enter(way, tcp, address, 1, deadline).await
}

/// Goes through the proxy, if there is one.
async fn enter(
    way: Way<'_>,
    tcp: io::Result<TcpStream>,
    address: SocketAddr,
    tried: usize,
    deadline: Deadline,
) -> Result<Tcp, OpenError> {
    let mut tcp = tcp.map(Tcp::new).map_err(|source| OpenError::Connect {
        proxy: way.proxy.map(Proxy::authority),
        address,
        tried,
        source: Arc::new(source),
    })?;
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

    #[test]
    fn families_alternate_in_the_resolvers_order() {
        let [a, b, c] = [1, 2, 3].map(|port| SocketAddr::from(([0, 0, 0, 0, 0, 0, 0, 1], port)));
        let [x, y] = [4, 5].map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        assert_eq!(alternate(vec![a, b, c, x, y]), [a, x, b, y, c]);
        assert_eq!(alternate(vec![x, a, y]), [x, a, y]);
        assert_eq!(alternate(vec![b, a]), [b, a]);
        assert!(alternate(vec![]).is_empty());
    }

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
