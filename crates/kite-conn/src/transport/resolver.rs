//! Looks up a host by the operating system's resolver, on a thread of its own.
//!
//! Not on the runtime's threads for blocking work: a runtime that is dropped waits for them, and a
//! lookup takes many seconds if no name server answers. A thread outlives its lookup's future by as
//! long as the resolver takes, and the process does not wait for it.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::thread;

use tokio::sync::oneshot;

/// Returns the addresses of a host, in the resolver's order. An IP address needs no lookup.
///
/// # Errors
/// Returns the resolver's error, or the system's if it has no thread to spare.
///
/// # Cancel safety
/// Cancel safe: the result of a lookup in progress is discarded.
pub(super) async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    on_thread(move || Ok((host.as_str(), port).to_socket_addrs()?.collect())).await
}

async fn on_thread<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let (sender, done) = oneshot::channel();
    // The receiver is gone if the attempt has ended in the meantime.
    let thread = move || drop(sender.send(work()));
    thread::Builder::new().name("kite-resolver".to_owned()).spawn(thread)?;
    done.await.map_err(|_| io::Error::other("the resolver's thread has ended"))?
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn names_and_addresses_are_looked_up() {
        for host in ["localhost", "127.0.0.1", "::1"] {
            let addresses = look_up(host, 9).await.unwrap();
            let is_here = |it: &SocketAddr| it.ip().is_loopback() && it.port() == 9;
            assert!(!addresses.is_empty() && addresses.iter().all(is_here), "{addresses:?}");
        }
    }

    #[test]
    fn the_end_of_the_runtime_does_not_wait_for_a_resolver_that_hangs() {
        let (release, hang) = mpsc::channel::<()>();
        let (send, ended) = mpsc::channel();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let lookup = on_thread(move || hang.recv().map_err(io::Error::other));
                assert!(timeout(Duration::from_millis(1), lookup).await.is_err());
            });
            drop(runtime);
            send.send(()).unwrap();
        });
        // The resolver hangs until after this.
        ended.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(release.send(()).is_ok(), "the resolver still hangs");
    }
}
