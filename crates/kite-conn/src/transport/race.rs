//! Connects to several addresses by TCP, each a quarter of a second after the one before it
//! (RFC 8305, section 5).
//!
//! Neither TLS nor a proxy's response is part of the race; they follow on the connection that was
//! first, so that a slow path does not see two handshakes.

use std::future::{Ready, ready};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::{Join, join};
use futures_util::stream::FuturesUnordered;
use tokio::time::timeout;

use super::route::Route;

/// Time an address may take before the next one is tried as well. RFC 8305 recommends this value.
const STAGGER: Duration = Duration::from_millis(250);

/// The attempts to connect to the addresses of a host.
pub(super) struct Race<'a, C, F: Future> {
    waiting: std::vec::IntoIter<SocketAddr>,
    running: FuturesUnordered<Join<Ready<SocketAddr>, F>>,
    newest: Option<SocketAddr>,
    tried: usize,
    route: &'a Route,
    connect: C,
}

impl<'a, C, F, T> Race<'a, C, F>
where
    C: Fn(SocketAddr) -> F,
    F: Future<Output = io::Result<T>>,
{
    /// Creates a race that starts the addresses in this order. Nothing is connected yet.
    pub(super) fn new(addresses: Vec<SocketAddr>, route: &'a Route, connect: C) -> Self {
        let (waiting, running) = (addresses.into_iter(), FuturesUnordered::new());
        Self { waiting, running, newest: None, tried: 0, route, connect }
    }

    /// Returns the next address that was connected or failed, `None` after the last one. Addresses
    /// that have not answered yet keep running, also after a connection is returned.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn next(&mut self) -> Option<(SocketAddr, io::Result<T>)> {
        if self.running.is_empty() {
            self.start();
        }
        while self.waiting.len() > 0 {
            match timeout(STAGGER, self.running.next()).await {
                Ok(Some((address, Err(error)))) => {
                    // No time is lost by a failure.
                    self.start();
                    return Some((address, Err(error)));
                }
                Ok(outcome) => return outcome,
                Err(_) => {
                    // Unless it still answers first, the next attempt tries it last.
                    if let Some(slow) = self.newest {
                        self.route.on_failure(slow);
                    }
                    self.start();
                }
            }
        }
        self.running.next().await
    }

    /// Returns how many addresses were started.
    pub(super) fn tried(&self) -> usize {
        self.tried
    }

    /// Returns how many addresses have neither been connected nor failed.
    pub(super) fn left(&self) -> usize {
        self.waiting.len() + self.running.len()
    }

    fn start(&mut self) {
        let Some(address) = self.waiting.next() else { return };
        (self.newest, self.tried) = (Some(address), self.tried + 1);
        self.running.push(join(ready(address), (self.connect)(address)));
    }
}

#[cfg(test)]
mod tests {
    use parking_lot::Mutex;
    use tokio::time::{Instant, sleep};

    use super::*;

    /// What an address does when it is connected to.
    #[derive(Debug, Clone, Copy)]
    enum Does {
        Hang,
        Refuse,
        Answer(u64),
    }
    use Does::{Answer, Hang, Refuse};

    /// Addresses by port, and those that were started.
    #[derive(Debug)]
    struct Net {
        does: Vec<Does>,
        started: Mutex<Vec<u16>>,
        route: Route,
    }

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    impl Net {
        fn new(does: &[Does]) -> Self {
            Self { does: does.to_vec(), started: Mutex::default(), route: Route::default() }
        }

        /// Returns the first port connected, the milliseconds until then and the ports started.
        async fn connect(&self) -> (Option<u16>, u128, Vec<u16>) {
            let mut addresses: Vec<_> = (0_u16..).map(address).take(self.does.len()).collect();
            self.route.order(&mut addresses);
            let begun = Instant::now();
            let mut race = Race::new(addresses, &self.route, async |address: SocketAddr| {
                self.started.lock().push(address.port());
                match self.does[usize::from(address.port())] {
                    Hang => std::future::pending().await,
                    Refuse => Err(io::Error::from(io::ErrorKind::ConnectionRefused)),
                    Answer(ms) => {
                        sleep(Duration::from_millis(ms)).await;
                        Ok(())
                    }
                }
            });
            let mut first = None;
            while let Some((address, connected)) = race.next().await {
                if connected.is_ok() {
                    self.route.on_success(address);
                    first = Some(address.port());
                    break;
                }
                self.route.on_failure(address);
            }
            (first, begun.elapsed().as_millis(), std::mem::take(&mut *self.started.lock()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_dead_first_address_costs_the_first_connect_only() {
        let net = Net::new(&[Hang, Answer(10), Answer(10)]);
        assert_eq!(net.connect().await, (Some(1), 260, vec![0, 1]));
        for _ in 0..3 {
            assert_eq!(net.connect().await, (Some(1), 10, vec![1]), "a reconnect");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_costs_no_time_even_while_another_address_hangs() {
        let net = Net::new(&[Refuse, Hang, Refuse, Answer(20)]);
        assert_eq!(net.connect().await, (Some(3), 270, vec![0, 1, 2, 3]));
        assert_eq!(net.connect().await, (Some(3), 20, vec![3]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_address_that_is_first_to_answer_keeps_its_place() {
        let net = Net::new(&[Answer(300), Answer(300)]);
        for _ in 0..2 {
            assert_eq!(net.connect().await, (Some(0), 300, vec![0, 1]));
        }
        let net = Net::new(&[Answer(600), Answer(300)]);
        assert_eq!(net.connect().await, (Some(1), 550, vec![0, 1]));
        assert_eq!(net.connect().await, (Some(1), 300, vec![1, 0]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_race_without_a_winner_ends_after_the_last_failure() {
        assert_eq!(Net::new(&[Refuse, Refuse]).connect().await, (None, 0, vec![0, 1]));
        assert_eq!(Net::new(&[]).connect().await, (None, 0, vec![]));
    }
}
