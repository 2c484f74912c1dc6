//! The settings of a relay, and its start.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kite_manager::{Credentials, LaneConfig, Manager, Stamp, StreamConfig};
use kite_server::{Admission, Changes, Door, DoorConfig, Origin, tls};
use kite_wire::Mode;
use parking_lot::Mutex;
use tokio::net::TcpListener;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use crate::acceptor::{self, Acceptor, Refusals, TlsSetup};
use crate::client::PresenceConfig;
use crate::error::RelayError;
use crate::hub::{self, Block, HubContext};
use crate::losses::{Heartbeats, Losses};
use crate::queue::{QueueConfig, SlowClients};
use crate::relay::{Address, Relay, Tasks};
use crate::roster::{RelayClient, Roster, accounts, random_credentials};
use crate::stats::Figures;
use crate::wishes::{Wishes, WishesConfig};

/// The port that `kite serve` listens on by default.
const DEFAULT_PORT: u16 = 8_765;

/// How long a client may take no byte.
const STALL: Duration = Duration::from_secs(60);

/// Bounds of what waits for the relay on each connection upstream: several seconds of the fullest
/// feed, because what is dropped there is lost to all clients.
const UPSTREAM_FRAMES: usize = 8 * 1024;
const UPSTREAM_BYTES: usize = 8 * 1024 * 1024;

/// PEM files of a server's certificate and its private key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsFiles {
    /// The chain of certificates, the server's own first.
    pub certificates: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Builds a relay; created by [`Relay::builder`].
#[derive(Debug)]
#[must_use]
pub struct RelayBuilder {
    address: SocketAddr,
    clients: Vec<RelayClient>,
    queue: QueueConfig,
    wishes: WishesConfig,
    instruments: Vec<(u32, Mode)>,
    heartbeats: Heartbeats,
    tls: Option<TlsFiles>,
    is_insecure: bool,
    door: DoorConfig,
    stall: Duration,
    presence: PresenceConfig,
}

impl Default for RelayBuilder {
    fn default() -> Self {
        Self {
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            clients: Vec::new(),
            queue: QueueConfig::default(),
            wishes: WishesConfig::default(),
            instruments: Vec::new(),
            heartbeats: Heartbeats::default(),
            tls: None,
            is_insecure: false,
            door: DoorConfig::default(),
            stall: STALL,
            presence: PresenceConfig::default(),
        }
    }
}

impl RelayBuilder {
    /// Sets the address to listen on; port 0 lets the operating system choose one. Default
    /// `127.0.0.1:8765`. An address that is not a loopback address needs [`RelayBuilder::tls`] or
    /// [`RelayBuilder::insecure`].
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Adds a client that may connect. Without any, one pair of credentials without a limit of
    /// sockets is made at the start: [`Relay::credentials_made`].
    pub fn client(mut self, client: RelayClient) -> Self {
        self.clients.push(client);
        self
    }

    /// Sets what happens to clients that read too slowly. Default [`SlowClients::Conflate`].
    pub fn policy(mut self, policy: SlowClients) -> Self {
        self.queue.policy = policy;
        self
    }

    /// Sets how many bytes of frames may wait for each client before the policy applies. Default
    /// 512 KiB.
    pub fn queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// Sets how long an instrument or a mode is kept upstream after the last client has left it.
    /// Default 30 s.
    pub fn linger(mut self, linger: Duration) -> Self {
        self.wishes.linger = linger;
        self
    }

    /// Adds instruments that are always subscribed, in at least these modes, no matter what clients
    /// ask for.
    pub fn instruments(mut self, instruments: &[(u32, Mode)]) -> Self {
        self.instruments.extend(instruments);
        self
    }

    /// Sets whether clients without a live connection upstream get heartbeats.
    pub fn heartbeats(mut self, heartbeats: Heartbeats) -> Self {
        self.heartbeats = heartbeats;
        self
    }

    /// Serves `wss://` with this certificate.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Sets whether clients may connect without TLS from other machines. Everyone on the way can
    /// then read their credentials and the data. Default false.
    pub fn insecure(mut self, is_insecure: bool) -> Self {
        self.is_insecure = is_insecure;
        self
    }

    /// Admits web pages from this origin, such as `"https://example.com".parse()?`. Default none.
    pub fn origin(mut self, origin: Origin) -> Self {
        self.door.origins.push(origin);
        self
    }

    /// Sets how long a client may take no byte before it is reset. Default 60 s.
    pub fn stall(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Sets after how long without anything from a client it is sent a ping, which client libraries
    /// answer by themselves, and how long after that it is reset if nothing has been received. One
    /// that is sent 64 KiB meanwhile is not, but falls under [`RelayBuilder::stall`] if it takes no
    /// more. Default 30 s and 60 s.
    pub fn ping(mut self, after: Duration, answer_within: Duration) -> Self {
        self.presence = PresenceConfig { ping_after: after, answer_within };
        self
    }

    /// Starts the relay. The manager may be started before or after; the relay continues with its
    /// next run if it is stopped and started again.
    ///
    /// The relay subscribes and unsubscribes the manager's instruments. Name those that the
    /// application needs besides in [`RelayBuilder::instruments`].
    ///
    /// # Errors
    /// Returns an error that names what is wrong with the settings or the address.
    ///
    /// # Cancel safety
    /// Cancel safe: nothing has been started.
    ///
    /// # Panics
    /// Panics outside of a Tokio runtime.
    pub async fn start(self, manager: &Manager) -> Result<Relay, RelayError> {
        let is_secure = self.tls.is_some() || self.is_insecure;
        if !is_secure && !self.address.ip().is_loopback() {
            return Err(RelayError::NotLoopback { address: self.address });
        }
        let (clients, made) = with_credentials(self.clients)?;
        let accounts = accounts(&clients)?;
        let acceptor = self.tls.as_ref();
        let acceptor = acceptor.map(|it| tls::acceptor_from_pem(&it.certificates, &it.key));
        let tls = acceptor.transpose()?.map(TlsSetup);
        let now = Instant::now().into_std();
        let config = manager.config();
        let connections = manager.accounts().len() * config.connections;
        let capacity = connections * config.connection.instrument_limit;
        let wishes = Wishes::new(WishesConfig { capacity, ..self.wishes }, self.instruments, now)?;
        let stream = StreamConfig { lane: lane(self.queue.policy), ..StreamConfig::default() };

        let address = self.address;
        let listener = TcpListener::bind(address).await;
        let listener = listener.map_err(|source| RelayError::Listen { address, source })?;
        let bound = listener.local_addr().unwrap_or(address);

        let (to_hub, from_clients) = mpsc::unbounded_channel();
        let (control, controls) = mpsc::unbounded_channel();
        let roster = Arc::new(Mutex::new(Roster::default()));
        roster.lock().set(clients);
        let figures = Arc::<Figures>::default();
        let room = (self.queue.policy == SlowClients::Block).then(Arc::<Notify>::default);
        let block = room.clone().map(|room| Block { bytes: self.queue.bytes as u64, room });
        let hub = hub::start(HubContext {
            manager: manager.clone(),
            stream,
            wishes,
            losses: Losses::new(connections, self.heartbeats, now, Stamp::now()),
            roster: Arc::clone(&roster),
            figures: Arc::clone(&figures),
            from_clients,
            controls,
            block,
        })?;
        let address = Address { address: bound, is_tls: tls.is_some() };
        let acceptor = Arc::new(Acceptor {
            admission: Arc::new(Admission::new(accounts, Arc::new(Changes::default()))),
            door: Arc::new(Door::new(self.door)),
            tls,
            roster,
            figures,
            to_hub,
            queue: self.queue,
            stall: self.stall,
            presence: self.presence,
            room,
            refusals: Refusals::default(),
        });
        tracing::info!(%bound, "relay listens");
        let accepting = acceptor::run(Arc::clone(&acceptor), listener);
        let tasks = Tasks { hub: tokio::spawn(hub), acceptor: tokio::spawn(accepting) };
        Ok(Relay::new(acceptor, address, made, control, tasks))
    }
}

/// Returns the clients, or one with new credentials if there is none.
fn with_credentials(
    clients: Vec<RelayClient>,
) -> Result<(Vec<RelayClient>, Option<Credentials>), RelayError> {
    if !clients.is_empty() {
        return Ok((clients, None));
    }
    let made = random_credentials().map_err(|_| RelayError::NoRandom)?;
    let client = RelayClient::new("default", made.clone()).max_sockets(None);
    Ok((vec![client], Some(made)))
}

fn lane(policy: SlowClients) -> LaneConfig {
    match policy {
        SlowClients::Block => LaneConfig::default(),
        _ => LaneConfig {
            frames: UPSTREAM_FRAMES,
            bytes: UPSTREAM_BYTES,
            ..LaneConfig::drop_oldest()
        },
    }
}
