//! The settings shared by the builders of both managers, and the builder for a single account.

use std::time::Duration;

use kite_conn::{ConnectionConfig, Credentials, Endpoint, Sink, TokenSource};
use kite_manager::{FailoverConfig, Seat, Tap};

use crate::manager::underlying::Underlying;
use crate::manager::{KiteManagerConfig, KiteTickerManager};
use crate::models::Mode;

/// Builds a manager step by step: [`KiteTickerManagerBuilder`] for one account,
/// [`MultiApiKiteTickerManagerBuilder`](crate::MultiApiKiteTickerManagerBuilder) for several. The
/// settings apply to every connection of every account.
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct TickerManagerBuilder<A> {
    pub(super) accounts: A,
    pub(super) config: KiteManagerConfig,
    pub(super) underlying: Underlying,
}

/// The settings specific to the builder for one account.
#[derive(Debug, Clone)]
pub struct OneAccount {
    credentials: Credentials,
    raw_only: bool,
}

/// Builds a [`KiteTickerManager`] step by step.
///
/// ```
/// use kiteticker_async_manager::{KiteTickerManagerBuilder, Mode};
///
/// let manager = KiteTickerManagerBuilder::new("api_key", "access_token")
///     .max_connections(2)
///     .default_mode(Mode::Full)
///     .build();
/// ```
pub type KiteTickerManagerBuilder = TickerManagerBuilder<OneAccount>;

impl KiteTickerManagerBuilder {
    /// Starts with the default configuration.
    pub fn new(api_key: impl Into<String>, access_token: impl Into<String>) -> Self {
        let credentials = Credentials::new(api_key, access_token);
        Self {
            accounts: OneAccount { credentials, raw_only: false },
            config: KiteManagerConfig::default(),
            underlying: Underlying::default(),
        }
    }

    /// Sets [`KiteManagerConfig::max_connections`].
    pub fn max_connections(mut self, max_connections: usize) -> Self {
        self.config.max_connections = max_connections;
        self
    }

    /// Emits raw frames only. The message channels carry no `Ticks`, but still carry text frames.
    pub fn raw_only(mut self, raw_only: bool) -> Self {
        self.accounts.raw_only = raw_only;
        self
    }

    /// Replaces the whole configuration.
    pub fn config(mut self, config: KiteManagerConfig) -> Self {
        self.config = config;
        self
    }

    /// Creates the manager. The configuration is checked when it starts.
    #[must_use]
    pub fn build(self) -> KiteTickerManager {
        let OneAccount { credentials, raw_only } = self.accounts;
        KiteTickerManager::with_settings(credentials, self.config, self.underlying)
            .with_raw_only(raw_only)
    }
}

impl<A> TickerManagerBuilder<A> {
    /// Sets [`KiteManagerConfig::max_symbols_per_connection`].
    pub fn max_symbols_per_connection(mut self, max_symbols_per_connection: usize) -> Self {
        self.config.max_symbols_per_connection = max_symbols_per_connection;
        self
    }

    /// Sets [`KiteManagerConfig::connection_timeout`].
    pub fn connection_timeout(mut self, connection_timeout: Duration) -> Self {
        self.config.connection_timeout = connection_timeout;
        self
    }

    /// Sets [`KiteManagerConfig::health_check_interval`].
    pub fn health_check_interval(mut self, health_check_interval: Duration) -> Self {
        self.config.health_check_interval = health_check_interval;
        self
    }

    /// Sets [`KiteManagerConfig::max_reconnect_attempts`].
    pub fn reconnect_attempts(mut self, reconnect_attempts: usize) -> Self {
        self.config.max_reconnect_attempts = reconnect_attempts;
        self
    }

    /// Sets [`KiteManagerConfig::reconnect_delay`].
    pub fn reconnect_delay(mut self, reconnect_delay: Duration) -> Self {
        self.config.reconnect_delay = reconnect_delay;
        self
    }

    /// Sets [`KiteManagerConfig::enable_dedicated_parsers`].
    pub fn enable_dedicated_parsers(mut self, enable_dedicated_parsers: bool) -> Self {
        self.config.enable_dedicated_parsers = enable_dedicated_parsers;
        self
    }

    /// Sets [`KiteManagerConfig::default_mode`].
    pub fn default_mode(mut self, default_mode: Mode) -> Self {
        self.config.default_mode = default_mode;
        self
    }

    /// Sets [`KiteManagerConfig::heartbeat_liveness_threshold`].
    pub fn heartbeat_liveness_threshold(mut self, heartbeat_liveness_threshold: Duration) -> Self {
        self.config.heartbeat_liveness_threshold = heartbeat_liveness_threshold;
        self
    }

    /// Sets [`KiteManagerConfig::connection_buffer_size`].
    pub fn connection_buffer_size(mut self, connection_buffer_size: usize) -> Self {
        self.config.connection_buffer_size = connection_buffer_size;
        self
    }

    /// Sets [`KiteManagerConfig::parser_buffer_size`].
    pub fn parser_buffer_size(mut self, parser_buffer_size: usize) -> Self {
        self.config.parser_buffer_size = parser_buffer_size;
        self
    }

    /// Sets the endpoint to connect to; see [`KiteTickerManager::with_endpoint`].
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.underlying.endpoint = Endpoint::parse(&endpoint.into());
        self
    }

    /// Sets a source of credentials. It is called once for all connections of an account, if there is
    /// no access token yet or after an authentication failure. Without one, an authentication failure parks the connections until
    /// [`set_access_token`](KiteTickerManager::set_access_token) is called. One source serves all
    /// accounts; the api_key of the current credentials
    /// ([`TokenRequest::current`](kite_conn::TokenRequest::current)) identifies the account.
    ///
    /// ```
    /// use kiteticker_async_manager::KiteTickerManagerBuilder;
    /// use kiteticker_async_manager::kite_conn::TokenSource;
    ///
    /// // Another program logs in every morning and writes the token to a file.
    /// let source = TokenSource::new(|request| async move {
    ///     let token = std::fs::read_to_string("access_token")?;
    ///     if token.trim() == request.current.access_token().expose() {
    ///         return Err(std::io::Error::other("the file still has the refused token"));
    ///     }
    ///     Ok(request.current.with_access_token(token.trim()))
    /// });
    /// let manager = KiteTickerManagerBuilder::new("api_key", "").token_source(source).build();
    /// ```
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.underlying.change(&mut self.config, |it| it.token_source = Some(source));
        self
    }

    /// Changes the settings of each connection: trusted roots, a proxy, headers, and others that
    /// [`KiteManagerConfig`] has no field for. If it has one, the last call wins. The manager
    /// sets the `pacer` itself.
    ///
    /// ```
    /// use std::time::Duration;
    /// use kiteticker_async_manager::KiteTickerManagerBuilder;
    ///
    /// let manager = KiteTickerManagerBuilder::new("api_key", "access_token")
    ///     .connection(|connection| connection.liveness.stale_after = Duration::from_secs(20))
    ///     .build();
    /// ```
    pub fn connection(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        self.underlying.change(&mut self.config, change);
        self
    }

    /// Sets when the instruments of a connection that stays down move to the other connections of
    /// its account, and when they move back; `None` disables failover. Default: 30 s each.
    pub fn failover(mut self, failover: Option<FailoverConfig>) -> Self {
        self.underlying.manager.failover = failover;
        self
    }

    /// Sets whether a copy of the latest packet of every instrument is kept for
    /// [`Manager::latest`](kite_manager::Manager::latest). Default false.
    pub fn latest(mut self, latest: bool) -> Self {
        self.underlying.manager.latest = latest;
        self
    }

    /// Also passes everything that the connections receive to custom sinks, such as a recorder.
    /// `make_sink` creates one for each connection of each run. A sink is called where a frame is
    /// checked, before anything is filtered, and must not call this manager. Several taps are
    /// called in the order in which they were added.
    ///
    /// ```
    /// use kiteticker_async_manager::KiteTickerManagerBuilder;
    /// use kiteticker_async_manager::kite_manager::{Batch, Event, Sink};
    ///
    /// struct Counter(usize);
    ///
    /// impl Sink for Counter {
    ///     fn on_batch(&mut self, batch: &Batch) {
    ///         self.0 += batch.frame().len();
    ///     }
    ///
    ///     fn on_event(&mut self, _: &Event) {}
    /// }
    ///
    /// let manager = KiteTickerManagerBuilder::new("api_key", "access_token")
    ///     .tap(|_seat| Counter(0))
    ///     .build();
    /// ```
    pub fn tap<S, F>(mut self, make_sink: F) -> Self
    where
        S: Sink,
        F: Fn(Seat) -> S + Send + Sync + 'static,
    {
        self.underlying.manager.taps.push(Tap::new(make_sink));
        self
    }
}
