//! The handle of a relay.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kite_manager::Credentials;
use kite_server::{Admission, Door};
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use crate::acceptor::Acceptor;
use crate::builder::RelayBuilder;
use crate::error::RelayError;
use crate::hub::Control;
use crate::roster::{RelayClient, Roster, accounts};
use crate::stats::{Figures, RelayStats};

/// How much longer than the clients' deadline the relay's own tasks may take.
const MARGIN: Duration = Duration::from_secs(1);

/// One upstream feed for any number of clients of Kite's ticker protocol.
///
/// Dropping it closes all clients without sending what is queued; see [`Relay::stop`].
#[derive(Debug)]
pub struct Relay {
    acceptor: Arc<Acceptor>,
    address: Address,
    made: Option<Credentials>,
    control: UnboundedSender<Control>,
    tasks: Tasks,
}

#[derive(Debug)]
pub(crate) struct Tasks {
    pub(crate) hub: JoinHandle<()>,
    pub(crate) acceptor: JoinHandle<()>,
}

/// Where a relay listens.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Address {
    pub(crate) address: SocketAddr,
    pub(crate) is_tls: bool,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", if self.is_tls { "wss" } else { "ws" }, self.address)
    }
}

/// Reads the counts of a relay, also after it has stopped. Cheap to clone; does not keep the relay
/// running.
#[derive(Debug, Clone)]
pub struct RelayCounts {
    admission: Arc<Admission<()>>,
    door: Arc<Door>,
    figures: Arc<Figures>,
    roster: Arc<Mutex<Roster>>,
}

impl RelayCounts {
    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        // The address of a refused client is noted after the refusal is counted.
        let refused = self.admission.refused();
        let last_refused = self.door.last_refused();
        let listed = self.roster.lock().names();
        RelayStats { last_refused, listed, ..self.figures.stats(refused) }
    }
}

/// How a relay stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayStopped {
    /// The final counts. Each tick queued was handed to a socket, replaced, dropped, left out after
    /// an unsubscribe, or unsent when its socket ended.
    pub stats: RelayStats,
    /// Whether all clients took everything that was queued for them, and then closed their sockets
    /// or disconnected.
    pub is_complete: bool,
}

impl Relay {
    /// Returns a builder with the default settings.
    pub fn builder() -> RelayBuilder {
        RelayBuilder::default()
    }

    pub(crate) fn new(
        acceptor: Arc<Acceptor>,
        address: Address,
        made: Option<Credentials>,
        control: UnboundedSender<Control>,
        tasks: Tasks,
    ) -> Self {
        Self { acceptor, address, made, control, tasks }
    }

    /// Returns the URL that clients connect to, such as `ws://127.0.0.1:8765`, without credentials.
    #[must_use]
    pub fn endpoint(&self) -> String {
        self.address.to_string()
    }

    /// Returns the address that the relay listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address.address
    }

    /// Returns the credentials that were made at the start because no client was given.
    #[must_use]
    pub fn credentials_made(&self) -> Option<&Credentials> {
        self.made.as_ref()
    }

    /// Returns the counts so far.
    #[must_use]
    pub fn stats(&self) -> RelayStats {
        self.counts().stats()
    }

    /// Returns a reader of the counts for another thread or task.
    #[must_use]
    pub fn counts(&self) -> RelayCounts {
        let acceptor = &self.acceptor;
        RelayCounts {
            admission: Arc::clone(&acceptor.admission),
            door: Arc::clone(&acceptor.door),
            figures: Arc::clone(&acceptor.figures),
            roster: Arc::clone(&acceptor.roster),
        }
    }

    /// Replaces the clients that may connect. Sockets of clients that are no longer listed, or whose
    /// credentials have changed, are closed; the others get their new limits.
    ///
    /// # Errors
    /// Returns [`RelayError::Client`] if credentials are not accepted; nothing has changed then.
    pub fn set_clients(
        &self,
        clients: impl IntoIterator<Item = RelayClient>,
    ) -> Result<(), RelayError> {
        let clients: Vec<RelayClient> = clients.into_iter().collect();
        let accounts = accounts(&clients)?;
        let roster = &self.acceptor.roster;
        self.acceptor.admission.set_accounts(accounts, || roster.lock().set(clients));
        // Fails only if the hub has ended with the runtime.
        let _ = self.control.send(Control::RosterChanged);
        Ok(())
    }

    /// Replaces the instruments that are always subscribed, in at least these modes, no matter what
    /// clients ask for; see [`RelayBuilder::instruments`]. Those that no longer stand there linger as
    /// if a client had left them. No connection is closed.
    ///
    /// # Errors
    /// Returns [`RelayError::Instruments`] if they do not fit beside those of the clients; nothing has
    /// changed then.
    ///
    /// # Cancel safety
    /// Cancel safe: the request is handled whole.
    pub async fn set_instruments(&self, instruments: &[(u32, Mode)]) -> Result<(), RelayError> {
        let (reply, answer) = oneshot::channel();
        let instruments = instruments.to_vec();
        // Fails only if the hub has ended with the runtime.
        let _ = self.control.send(Control::SetInstruments { instruments, reply });
        answer.await.unwrap_or(Ok(())).map_err(RelayError::Instruments)
    }

    /// Waits until the task that serves all clients has taken this request, in its turn; for a
    /// watchdog. Returns false if that task has ended.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn responds(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.control.send(Control::Respond(reply)).is_ok() && answer.await.is_ok()
    }

    /// Stops: accepts no more connections, sends each client what is queued for it and closes it
    /// with code 1001. Clients that have not read everything and closed their sockets after `deadline`
    /// are reset.
    ///
    /// The manager goes on, with the subscriptions that it has.
    ///
    /// # Cancel safety
    /// Cancel safe: the relay stops all the same.
    pub async fn stop(mut self, deadline: Duration) -> RelayStopped {
        self.tasks.acceptor.abort();
        let now = Instant::now();
        let deadline = now.checked_add(deadline).unwrap_or(now + Duration::from_secs(86_400));
        // Fails only if the hub has ended with the runtime.
        let _ = self.control.send(Control::Stop(deadline));
        // If it does not end in time, the counts of its clients are not final.
        let _ = timeout_at(deadline + MARGIN, &mut self.tasks.hub).await;
        let stats = self.stats();
        tracing::info!(ticks_in = stats.ticks_in, ticks_out = stats.ticks_out, "relay stopped");
        let is_complete = self.acceptor.figures.cut_off() == 0;
        RelayStopped { stats, is_complete }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.tasks.acceptor.abort();
        self.acceptor.refusals.log_rest();
    }
}
