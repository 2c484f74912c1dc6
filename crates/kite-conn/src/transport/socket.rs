//! A TCP socket that sends at once and notices a dead path by itself.
//!
//! The watchdog is quicker as a rule; what the system does here covers a socket that nobody
//! looks at, such as one whose delivery is held back. On Linux `TCP_USER_TIMEOUT` closes a
//! connection whose bytes were not acknowledged, or not taken by a peer that stopped reading, for
//! 30 seconds: without it, bytes on the way keep keep-alive from probing and the system
//! retries them for a quarter of an hour. A platform without one of these does without it.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpSocket, TcpStream};
use tracing::debug;

/// Silence after which the system probes. The server's heartbeat comes every second or so.
const KEEP_ALIVE_IDLE: Duration = Duration::from_secs(15);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEP_ALIVE_PROBES: u32 = 3;

/// As long as keep-alive takes to give up.
#[cfg(any(target_os = "linux", target_os = "android"))]
const USER_TIMEOUT: Duration = Duration::from_secs(30);

/// Connects to an address.
pub(super) async fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_nodelay(true)?;
    let stream = socket.connect(address).await?;
    // After the connect: Linux would bound that by the user timeout, too.
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
    // Elsewhere the system's own interval and number of probes hold.
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

/// A connection without an option is better than none.
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
    async fn a_connected_socket_sends_at_once_and_watches_its_path() {
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
    fn a_socket_that_refuses_the_options_is_left_without_them() {
        let (other, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
        let socket = SockRef::from(&other);
        assert!(socket.set_tcp_user_timeout(Some(USER_TIMEOUT)).is_err());
        watch_path(&socket);
    }
}
