//! Handshakes for a server whose clients are not trusted: few at a time, each with a deadline, none
//! from web pages, and slow for those who guess credentials.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, timeout_at};

use crate::admission::{Admission, Admitted, Membership};
use crate::handshake::{self, Request};
use crate::origin::Origin;
use crate::refusal::Refusal;
use crate::throttle::{Throttle, ThrottleConfig};
use crate::transport::Connection;

/// The settings of a [`Door`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct DoorConfig {
    /// Handshakes that may be open at a time. Default 1,000.
    pub max_open: usize,
    /// Time for a handshake, with TLS and with the response. Default 5 s.
    pub deadline: Duration,
    /// Values of the `Origin` header that are admitted. Browsers send it with every WebSocket, other
    /// clients do not. Default none, so that no web page that a user visits can connect to a server on
    /// the user's machine.
    pub origins: Vec<Origin>,
    /// How wrong credentials are slowed down.
    pub throttle: ThrottleConfig,
}

impl Default for DoorConfig {
    fn default() -> Self {
        Self {
            max_open: 1_000,
            deadline: Duration::from_secs(5),
            origins: Vec::new(),
            throttle: ThrottleConfig::default(),
        }
    }
}

/// Why a handshake did not open a socket.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The request was refused.
    #[error("handshake refused with status {}", refusal.status())]
    Refused {
        /// The response that was sent.
        refusal: Refusal,
    },
    /// The handshake was not complete within its time.
    #[error("handshake not complete after {after:?}")]
    TimedOut {
        /// The time it had.
        after: Duration,
    },
    /// The connection failed, or its TLS handshake.
    #[error("connection failed during the handshake: {source}")]
    Connection {
        /// The error of the connection.
        r#source: io::Error,
    },
}

/// Admits handshakes by the rules of its [`DoorConfig`].
#[derive(Debug)]
pub struct Door {
    config: DoorConfig,
    places: Arc<Semaphore>,
    throttle: Mutex<Throttle>,
    /// The address of the last refused client, by HTTP status.
    last_refused: Mutex<BTreeMap<u16, IpAddr>>,
}

/// A place for an open handshake; free on drop.
#[derive(Debug)]
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// A connection after its handshake.
#[derive(Debug)]
pub struct Opened<S, H, T> {
    /// The connection, for [`Socket::new`](crate::Socket::new).
    pub connection: S,
    /// Bytes received after the request.
    pub rest: Vec<u8>,
    /// The socket's slot and the owner's data.
    pub membership: Membership<H, T>,
}

/// What a request is answered.
enum Answer<S, H, T> {
    Opened(Opened<S, H, T>),
    /// The refusal has not been sent yet.
    Refused(S, Refusal),
}

impl Door {
    /// Creates a door.
    #[must_use]
    pub fn new(config: DoorConfig) -> Self {
        let places = config.max_open.min(Semaphore::MAX_PERMITS);
        let throttle = Mutex::new(Throttle::new(config.throttle.clone()));
        let places = Arc::new(Semaphore::new(places));
        Self { config, places, throttle, last_refused: Mutex::default() }
    }

    /// Returns the address of the client that was refused last, by HTTP status. The counts are
    /// those of [`Admission::refused`].
    #[must_use]
    pub fn last_refused(&self) -> BTreeMap<u16, IpAddr> {
        self.last_refused.lock().clone()
    }

    /// Waits for a place for a handshake. Take it before accepting the connection, so that those in
    /// excess wait in the operating system's queue and take nothing here.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn place(&self) -> Place {
        match Arc::clone(&self.places).acquire_owned().await {
            Ok(permit) => Place { _permit: permit },
            // The semaphore is never closed.
            Err(_) => std::future::pending().await,
        }
    }

    /// Completes the handshake of a connection and frees its place. `connect` turns the accepted
    /// transport into the connection, which is immediate or takes a TLS handshake; `peer` is the
    /// client's address, if it has one; `enter` is that of [`Admission::admit`].
    ///
    /// # Errors
    /// Returns an error if no socket was opened. A refusal has been sent and counted by the
    /// admission.
    ///
    /// # Cancel safety
    /// Not cancel safe: the connection is dropped.
    pub async fn open<S: Connection, H, T>(
        &self,
        place: Place,
        connect: impl Future<Output = io::Result<S>>,
        peer: Option<IpAddr>,
        admission: &Arc<Admission<H>>,
        enter: impl FnOnce(Admitted<'_>) -> (H, T),
    ) -> Result<Opened<S, H, T>, HandshakeError> {
        let deadline = Instant::now() + self.config.deadline;
        let answering = self.answer(connect, peer, admission, enter);
        let opened = match timeout_at(deadline, answering).await {
            Ok(Ok(Answer::Opened(opened))) => Ok(opened),
            Ok(Ok(Answer::Refused(mut connection, refusal))) => {
                // A client that is gone, or does not read the response, is refused all the same.
                let _ = timeout_at(deadline, refusal.send(&mut connection)).await;
                Err(HandshakeError::Refused { refusal })
            }
            Ok(Err(source)) => Err(HandshakeError::Connection { source }),
            Err(_) => Err(HandshakeError::TimedOut { after: self.config.deadline }),
        };
        drop(place);
        opened
    }

    /// Decides on a request and, if it is admitted, accepts it.
    async fn answer<S: Connection, H, T>(
        &self,
        connect: impl Future<Output = io::Result<S>>,
        peer: Option<IpAddr>,
        admission: &Arc<Admission<H>>,
        enter: impl FnOnce(Admitted<'_>) -> (H, T),
    ) -> io::Result<Answer<S, H, T>> {
        let mut connection = connect.await?;
        let request = handshake::read(&mut connection).await?;
        let admitted = match self.check_origin(&request) {
            Ok(()) => admission.admit(&request.upgrade, enter).await,
            Err(refusal) => {
                admission.count_refused(&refusal);
                Err(refusal)
            }
        };
        match (admitted, request.upgrade) {
            (Ok(membership), Ok(upgrade)) => {
                handshake::accept(&mut connection, &upgrade).await?;
                Ok(Answer::Opened(Opened { connection, rest: request.rest, membership }))
            }
            (Err(refusal), _) | (Ok(_), Err(refusal)) => {
                if let Some(peer) = peer {
                    self.last_refused.lock().insert(refusal.status(), peer);
                }
                if refusal.is_for_credentials() {
                    sleep(self.delay(peer)).await;
                }
                Ok(Answer::Refused(connection, refusal))
            }
        }
    }

    fn check_origin(&self, request: &Request) -> Result<(), Refusal> {
        let Ok(upgrade) = &request.upgrade else { return Ok(()) };
        let Some(origin) = upgrade.origin.as_deref() else { return Ok(()) };
        let is_listed = self.config.origins.iter().any(|it| it.is(origin));
        if is_listed { Ok(()) } else { Err(Refusal::foreign_origin()) }
    }

    /// Counts wrong credentials; returns the time to wait before they are refused.
    fn delay(&self, peer: Option<IpAddr>) -> Duration {
        let Some(peer) = peer else { return Duration::ZERO };
        self.throttle.lock().on_failure(peer, Instant::now().into_std())
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let source = io::Error::other("the system's words");
        let error = HandshakeError::Connection { source };
        let HandshakeError::Connection { source } = &error else { panic!("another error") };
        assert_chain(&error, Some(source as &dyn Error));
        assert_chain(&HandshakeError::Refused { refusal: Refusal::auth() }, None);
        assert_chain(&HandshakeError::TimedOut { after: Duration::from_secs(5) }, None);
    }
}
