//! A TCP socket that sends without delay and detects a dead path by itself.
//!
//! The watchdog is usually quicker; these options cover a socket that is not being read, such as
//! one whose delivery is blocked. On Linux `TCP_USER_TIMEOUT` closes a connection whose bytes were
//! not acknowledged, or not accepted by a peer that stopped reading, for 30 seconds. Without it,
//! bytes in flight prevent keep-alive probes, and the system retransmits them for a quarter of an
//! hour. An option that the platform lacks is skipped.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tracing::debug;

/// Silence after which the system sends probes. The server's heartbeat arrives about every second.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_PROBES: u32 = 3;

/// The time keep-alive takes to give up.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to an address.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    // After the connect, which Linux would otherwise limit to the user timeout too.
    watch_path(&SockRef::from(&stream));
    Ok(stream)
}

fn watch_path(socket: &SockRef<'_>) {
    note("keep-alive", socket.set_tcp_keepalive(&keep_alive()));
    #[cfg(any(target_os = "linux", target_os = "android"))]
    note("user timeout", socket.set_tcp_user_timeout(Some(USER_TIMEOUT)));
}

fn keep_alive() -> TcpKeepalive {
    let keep_alive = TcpKeepalive::new().with_time(KEEP_ALIVE_IDLE);
    // Elsewhere the system's interval and number of probes apply.
    #[cfg(any(
        target_os = "android",
        target_os = "freebsd",
        target_os = "ios",
        target_os = "linux",
        target_os = "macos",
        target_os = "netbsd",
        target_os = "windows",
    ))]
    let keep_alive = keep_alive.with_interval(KEEP_ALIVE_INTERVAL).with_retries(KEEP_ALIVE_PROBES);
    keep_alive
}

/// Failures are only logged, because a connection without an option is better than none.
fn note(option: &'static str, set: io::Result<()>) {
    if let Err(error) = set {
        debug!(option, %error, "socket option refused");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_connected_socket_sends_without_delay_and_probes_its_path() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect(listener.local_addr().unwrap()).await.unwrap();
        assert!(stream.nodelay().unwrap());
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), KEEP_ALIVE_IDLE);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), KEEP_ALIVE_INTERVAL);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEP_ALIVE_PROBES);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(USER_TIMEOUT));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_socket_that_rejects_the_options_works_without_them() {
        let (other, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = SockRef::from(&other);
        assert!(socket.set_tcp_user_timeout(Some(USER_TIMEOUT)).is_err());
        watch_path(&socket);
    }
}
