//! Accepts TCP connections, and retries if the operating system refuses.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::sleep;

/// Pause after the operating system refused to accept a connection (too many open files) or to bind
/// a port.
const BACKOFF: Duration = Duration::from_millis(20);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

/// Accepts the next connection, with `TCP_NODELAY`.
///
/// # Cancel safety
/// Cancel safe. No connection is lost.
pub async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // A failure costs only latency.
                let _ = stream.set_nodelay(true);
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(BACKOFF).await;
            }
        }
    }
}

/// A port that refuses connections and that no other process can take.
#[derive(Debug)]
pub struct ReservedPort {
    socket: TcpSocket,
    address: SocketAddr,
}

impl ReservedPort {
    /// Binds without listening; retries until it succeeds.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn new(address: SocketAddr) -> Self {
        Self { socket: retry(|| bind(address)).await, address }
    }

    /// Listens on the port again; retries until it succeeds.
    ///
    /// # Cancel safety
    /// Cancel safe. The port is free if it is cancelled.
    pub async fn listen(self) -> TcpListener {
        match self.socket.listen(BACKLOG) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "cannot listen again yet");
                retry(|| bind(self.address)?.listen(BACKLOG)).await
            }
        }
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Sockets just dropped hold the port for a while. On Windows this option has another meaning.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    Ok(socket)
}

async fn retry<T>(attempt: impl Fn() -> io::Result<T>) -> T {
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => tracing::warn!(%error, "port not available"),
        }
        sleep(BACKOFF).await;
    }
}
