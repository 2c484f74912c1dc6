//! From a host to a connected stream: look-up, TCP, TLS, each address in its turn.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tracing::debug;

use super::error::{OpenError, OpenStage};
use super::stream::{Stream, Tcp};
use crate::clock::FAR;
use crate::endpoint::Endpoint;

/// When an attempt has to be over, and the timeout that this comes from.
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

    /// Takes one of `parts` equal shares of the time that is left.
    fn share(self, parts: u32) -> Self {
        let now = Instant::now();
        let left = self.at.saturating_duration_since(now);
        Self { at: now + left / parts.max(1), after: self.after }
    }

    /// Runs a future until the deadline. What is ready counts even when the time is over.
    pub(super) async fn bound<F: Future>(
        self,
        stage: OpenStage,
        future: F,
    ) -> Result<F::Output, OpenError> {
        let timeout = OpenError::Timeout { stage, after: self.after };
        timeout_at(self.at, future).await.map_err(|_| timeout)
    }
}

/// Looks up the endpoint's host. An IP address costs no look-up.
pub(super) async fn resolve(
    endpoint: &Endpoint,
    deadline: Deadline,
) -> Result<Vec<SocketAddr>, OpenError> {
    let lookup = lookup_host((endpoint.host(), endpoint.port()));
    match deadline.bound(OpenStage::Dns, lookup).await? {
        Ok(addresses) => Ok(addresses.collect()),
        Err(source) => {
            Err(OpenError::Dns { host: endpoint.host().to_owned(), source: Arc::new(source) })
        }
    }
}

/// Connects to the first address that takes us, TLS included.
///
/// Each address gets an equal share of the time left, so one that swallows packets leaves the
/// others their turn; what a quick failure saves goes to those after it.
pub(super) async fn dial(
    endpoint: &Endpoint,
    addresses: &[SocketAddr],
    tls: &Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    let permitted: Vec<_> = addresses.iter().filter(|a| endpoint.permits(a)).copied().collect();
    let mut failure = match addresses.iter().find(|a| !endpoint.permits(a)) {
        Some(outside) => {
            OpenError::NotLoopback { host: endpoint.host().to_owned(), address: outside.ip() }
        }
        None => OpenError::NoAddress { host: endpoint.host().to_owned() },
    };
    for (index, &address) in permitted.iter().enumerate() {
        let parts = u32::try_from(permitted.len() - index).unwrap_or(u32::MAX);
        match dial_one(endpoint, address, index + 1, tls, deadline.share(parts)).await {
            Ok(stream) => return Ok(stream),
            Err(error) => {
                debug!(%address, %error, "address failed");
                failure = error;
            }
        }
    }
    Err(failure)
}

async fn dial_one(
    endpoint: &Endpoint,
    address: SocketAddr,
    tried: usize,
    tls: &Arc<ClientConfig>,
    deadline: Deadline,
) -> Result<Stream, OpenError> {
    let tcp = deadline.bound(OpenStage::Connect, connect_tcp(address)).await?;
    let tcp = tcp.map(Tcp::new);
    let tcp =
        tcp.map_err(|source| OpenError::Connect { address, tried, source: Arc::new(source) })?;
    if !endpoint.is_secure() {
        return Ok(Stream::Plain(tcp));
    }
    let hello = TlsConnector::from(Arc::clone(tls)).connect(endpoint.server_name(), tcp);
    match deadline.bound(OpenStage::Tls, hello).await? {
        Ok(stream) => Ok(Stream::Tls(Box::new(stream))),
        Err(source) => Err(OpenError::Tls {
            host: endpoint.host().to_owned(),
            address,
            source: Arc::new(source),
        }),
    }
}

async fn connect_tcp(address: SocketAddr) -> io::Result<TcpStream> {
    prepared_socket(address)?.connect(address).await
}

fn prepared_socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    // With the system's idle time, two hours as a rule. It only sweeps up a socket that nobody
    // reads: a silent peer is the watchdog's business, within seconds.
    socket.set_keepalive(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn sockets_send_at_once_and_keep_alive() {
        let socket = prepared_socket("127.0.0.1:9".parse().unwrap()).unwrap();
        assert!(socket.nodelay().unwrap() && socket.keepalive().unwrap());
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
