//! The settings of a server, and its start.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use kite_candles::Config;
use kite_manager::{Manager, Secret};
use kite_nats::PublisherStats;
use kite_relay::{RelayStats, TlsFiles};
use kite_server::tls;
use kite_tape::RecorderStats;
use socket2::{Domain, Protocol, Socket, Type};

use crate::accept::Limits;
use crate::bars::{self, Length};
use crate::error::HttpError;
use crate::guard::Guard;
use crate::hosts::{Host, Hosts};
use crate::names::{InstrumentNames, NoNames};
use crate::router::router;
use crate::server::{HttpServer, Work};
use crate::state::{ExpiryReader, NatsReader, RecorderReader, RelayReader, Sources, State};
use crate::token::Token;

/// The port that is listened on by default, which is free in Prometheus' list of exporters' ports
/// for the first one of a program.
const DEFAULT_PORT: u16 = 9_464;

/// Connections that wait to be accepted.
const BACKLOG: i32 = 1_024;

/// Builds a server; created by [`HttpServer::builder`].
#[must_use]
pub struct HttpBuilder {
    manager: Manager,
    address: SocketAddr,
    hosts: Vec<String>,
    token: Option<Secret>,
    tls: Option<TlsFiles>,
    is_insecure: bool,
    limits: Limits,
    names: Arc<dyn InstrumentNames>,
    relay: Option<RelayReader>,
    recorder: Option<(PathBuf, RecorderReader)>,
    nats: Option<NatsReader>,
    token_expires: Option<ExpiryReader>,
    candles: Vec<Config>,
}

impl HttpBuilder {
    pub(crate) fn new(manager: Manager) -> Self {
        Self {
            manager,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, DEFAULT_PORT)),
            hosts: Vec::new(),
            token: None,
            tls: None,
            is_insecure: false,
            limits: Limits::default(),
            names: Arc::new(NoNames),
            relay: None,
            recorder: None,
            nats: None,
            token_expires: None,
            candles: Vec::new(),
        }
    }

    /// Sets the address to listen on; port 0 lets the operating system choose one. Default
    /// `127.0.0.1:9464`. An address that is not a loopback address needs [`HttpBuilder::token`], and
    /// [`HttpBuilder::tls`] or [`HttpBuilder::insecure`].
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Adds a name or an address by which readers reach the server, without a port. Requests to
    /// other names are refused, so that no web page can read what a browser reaches. The names of
    /// the loopback interface and the address that is listened on need not be added.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.hosts.push(host.into());
        self
    }

    /// Sets a token that readers must send, as `Authorization: Bearer TOKEN`, for everything but
    /// `/healthz`: at least 16 characters of visible ASCII. Default none, which only a loopback
    /// address may have.
    pub fn token(mut self, token: impl Into<Secret>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Serves `https://` with this certificate.
    pub fn tls(mut self, files: TlsFiles) -> Self {
        self.tls = Some(files);
        self
    }

    /// Sets whether other machines may read without TLS. Everyone on the way can then read the token
    /// and the data. Default false.
    pub fn insecure(mut self, is_insecure: bool) -> Self {
        self.is_insecure = is_insecure;
        self
    }

    /// Sets how many connections may be open at a time; those in excess wait to be accepted.
    /// Default 256.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.limits.connections = connections.max(1);
        self
    }

    /// Sets the time for a TLS handshake, for the head of a request, and for an idle connection.
    /// Default 5 s.
    pub fn head_deadline(mut self, deadline: Duration) -> Self {
        self.limits.head = deadline;
        self
    }

    /// Sets how long a reader may take no byte before its connection is ended. Default 30 s.
    pub fn stall(mut self, stall: Duration) -> Self {
        self.limits.stall = stall;
        self
    }

    /// Sets the names of instruments. Without, readers name them by their tokens.
    pub fn names(mut self, names: impl InstrumentNames) -> Self {
        self.names = Arc::new(names);
        self
    }

    /// Shows a relay, whose counts are read from `stats`, at most twice a second:
    /// [`RelayCounts::stats`](kite_relay::RelayCounts::stats).
    pub fn relay(mut self, stats: impl Fn() -> RelayStats + Send + Sync + 'static) -> Self {
        self.relay = Some(Box::new(stats));
        self
    }

    /// Shows a recorder that writes to `directory` and whose counts are read from `stats`, at most
    /// twice a second: [`Recorder::stats`](kite_tape::Recorder::stats).
    pub fn recorder(
        mut self,
        directory: impl Into<PathBuf>,
        stats: impl Fn() -> RecorderStats + Send + Sync + 'static,
    ) -> Self {
        self.recorder = Some((directory.into(), Box::new(stats)));
        self
    }

    /// Shows a publisher to NATS, whose counts are read from `stats`, at most twice a second:
    /// [`PublisherCounts::stats`](kite_nats::PublisherCounts::stats).
    pub fn nats(mut self, stats: impl Fn() -> PublisherStats + Send + Sync + 'static) -> Self {
        self.nats = Some(Box::new(stats));
        self
    }

    /// Shows when the first of the accounts' access tokens expires, as far as it is known.
    pub fn token_expires(
        mut self,
        at: impl Fn() -> Option<SystemTime> + Send + Sync + 'static,
    ) -> Self {
        self.token_expires = Some(Box::new(at));
        self
    }

    /// Keeps the bars of today of all subscribed instruments, for `/api/candles`: one length for each
    /// of the configurations, a minute at least. Of two with the same length the later one counts.
    /// Default none: then no bars are made.
    ///
    /// They are made on the server's thread. If it falls behind by more than 1,024 frames or 1 MiB of
    /// a connection, frames are dropped, and the bars are flagged.
    ///
    /// # Memory
    /// 112 bytes for each bar: 126 MB by the end of a day for the bars of a minute of 3,000
    /// instruments at NSE. Bars of at most 10,000 instruments a day are kept.
    pub fn candles(mut self, configs: impl IntoIterator<Item = Config>) -> Self {
        for config in configs {
            self.candles.retain(|before| before.every != config.every);
            self.candles.push(config);
        }
        self
    }

    /// Starts the server on its own thread. The manager may be started before or after.
    ///
    /// For `/api/latest` the manager must keep the newest ticks:
    /// [`ManagerBuilder::latest`](kite_manager::ManagerBuilder::latest).
    ///
    /// # Errors
    /// Returns an error that names what is wrong with the settings or the address.
    pub fn start(self) -> Result<HttpServer, HttpError> {
        let address = self.address;
        if !address.ip().is_loopback() {
            if self.tls.is_none() && !self.is_insecure {
                return Err(HttpError::NotLoopback { address });
            }
            if self.token.is_none() {
                return Err(HttpError::NoToken { address });
            }
        }
        if let Some(short) = self.candles.iter().find(|config| config.every < bars::SHORTEST) {
            return Err(HttpError::BarsTooShort { every: short.every });
        }
        let token = self.token.map(Token::new).transpose()?;
        let hosts =
            self.hosts.into_iter().map(|host| Host::parse(&host).ok_or(HttpError::Host { host }));
        let mut hosts = hosts.collect::<Result<Vec<_>, _>>()?;
        if !address.ip().is_unspecified() {
            hosts.push(Host::Address(address.ip().to_canonical()));
        }
        let tls = self.tls.as_ref();
        let tls = tls.map(|it| tls::acceptor_from_pem(&it.certificates, &it.key)).transpose()?;
        let listener = bind(address).map_err(|source| HttpError::Listen { address, source })?;
        let bound = listener.local_addr().unwrap_or(address);
        let lengths = self.candles.into_iter().map(|config| Length::new(&self.manager, config));
        let lengths = lengths.collect::<Result<_, _>>()?;
        let mut sources = Sources::new(self.manager, self.names, self.limits.connections);
        sources.lengths = lengths;
        (sources.relay, sources.recorder) = (self.relay, self.recorder);
        (sources.nats, sources.token_expires) = (self.nats, self.token_expires);
        let state = State::from(sources);
        let guard = Arc::new(Guard::new(Hosts::new(hosts), token, tls.is_some()));
        let router = router(state.clone(), guard);
        HttpServer::start(bound, Work { listener, tls, router, limits: self.limits, state })
    }
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    // Connections just ended hold the port for a while. On Windows this option has another meaning.
    socket.set_reuse_address(cfg!(not(windows)))?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Without the token.
impl fmt::Debug for HttpBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBuilder")
            .field("address", &self.address)
            .field("hosts", &self.hosts)
            .field("tls", &self.tls)
            .field("is_insecure", &self.is_insecure)
            .field("limits", &self.limits)
            .field("candles", &self.candles)
            .finish_non_exhaustive()
    }
}
