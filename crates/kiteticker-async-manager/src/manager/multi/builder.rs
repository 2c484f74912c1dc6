//! The fluent way to a manager of several accounts.

use std::time::Duration;

use kite_conn::{ConnectionConfig, Endpoint, Sink, TokenSource};
use kite_manager::{FailoverConfig, Seat, Tap};

use crate::manager::KiteManagerConfig;
use crate::manager::multi::{
    ApiCredentials, ApiKeyId, DistributionStrategy, MultiApiConfig, MultiApiKiteTickerManager,
};
use crate::manager::underlying::Underlying;
use crate::models::Mode;

/// Builds a [`MultiApiKiteTickerManager`] step by step.
///
/// ```
/// use kiteticker_async_manager::{Mode, MultiApiKiteTickerManagerBuilder};
///
/// let manager = MultiApiKiteTickerManagerBuilder::new()
///     .add_api_key("mine", "api_key", "access_token")
///     .add_api_key("hers", "other_api_key", "other_access_token")
///     .max_connections_per_api(2)
///     .default_mode(Mode::Full)
///     .build();
/// assert_eq!(manager.get_api_keys().len(), 2);
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "a builder does nothing until `build`"]
pub struct MultiApiKiteTickerManagerBuilder {
    apis: Vec<(ApiKeyId, ApiCredentials)>,
    config: MultiApiConfig,
    underlying: Underlying,
}

impl MultiApiKiteTickerManagerBuilder {
    /// Starts without an account and with the default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account under a name of the application's choice; one of the same name is replaced.
    ///
    /// Each has to have its own api_key: Kite's limits of three sockets and 9,000 instruments are
    /// those of an api_key. [`start`](MultiApiKiteTickerManager::start) refuses two of one.
    pub fn add_api_key(
        mut self,
        id: impl Into<ApiKeyId>,
        api_key: impl Into<String>,
        access_token: impl Into<String>,
    ) -> Self {
        let (id, credentials) = (id.into(), ApiCredentials::new(api_key, access_token));
        match self.apis.iter_mut().find(|(other, _)| *other == id) {
            Some((_, replaced)) => *replaced = credentials,
            None => self.apis.push((id, credentials)),
        }
        self
    }

    /// Sets [`MultiApiConfig::max_connections_per_api`].
    pub fn max_connections_per_api(mut self, max_connections_per_api: usize) -> Self {
        self.config.max_connections_per_api = max_connections_per_api;
        self
    }

    /// Sets [`MultiApiConfig::distribution_strategy`].
    pub fn distribution_strategy(mut self, distribution_strategy: DistributionStrategy) -> Self {
        self.config.distribution_strategy = distribution_strategy;
        self
    }

    /// Sets [`MultiApiConfig::base_config`].
    pub fn base_config(mut self, base_config: KiteManagerConfig) -> Self {
        self.config.base_config = base_config;
        self
    }

    /// Sets [`KiteManagerConfig::max_symbols_per_connection`] of every account.
    pub fn max_symbols_per_connection(mut self, max_symbols_per_connection: usize) -> Self {
        self.config.base_config.max_symbols_per_connection = max_symbols_per_connection;
        self
    }

    /// Sets [`KiteManagerConfig::connection_timeout`] of every account.
    pub fn connection_timeout(mut self, connection_timeout: Duration) -> Self {
        self.config.base_config.connection_timeout = connection_timeout;
        self
    }

    /// Sets [`KiteManagerConfig::health_check_interval`], which is kept for programs that set it.
    pub fn health_check_interval(mut self, health_check_interval: Duration) -> Self {
        self.config.base_config.health_check_interval = health_check_interval;
        self
    }

    /// Sets [`MultiApiConfig::enable_health_monitoring`], which is kept for programs that set it.
    pub fn enable_health_monitoring(mut self, enable_health_monitoring: bool) -> Self {
        self.config.enable_health_monitoring = enable_health_monitoring;
        self
    }

    /// Sets [`KiteManagerConfig::default_mode`] of every account.
    pub fn default_mode(mut self, default_mode: Mode) -> Self {
        self.config.base_config.default_mode = default_mode;
        self
    }

    /// Replaces the whole configuration.
    pub fn config(mut self, config: MultiApiConfig) -> Self {
        self.config = config;
        self
    }

    /// Connects all accounts elsewhere: `wss://host[:port][/path][?query]`, or `ws://` for loopback
    /// addresses only. What is wrong with it is told by
    /// [`start`](MultiApiKiteTickerManager::start).
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.underlying.endpoint = Endpoint::parse(&endpoint.into());
        self
    }

    /// Has the application's own code asked for credentials: before every reconnect, and after a
    /// refusal. It is one source for all accounts; the api_key of the credentials at hand
    /// ([`TokenRequest::current`](kite_conn::TokenRequest::current)) says for which it is asked.
    pub fn token_source(mut self, source: TokenSource) -> Self {
        let config = &mut self.config.base_config;
        self.underlying.change(config, |it| it.token_source = Some(source));
        self
    }

    /// Changes what each connection of each account is made with: see
    /// [`KiteTickerManagerBuilder::connection`](crate::KiteTickerManagerBuilder::connection).
    pub fn connection(mut self, change: impl FnOnce(&mut ConnectionConfig)) -> Self {
        self.underlying.change(&mut self.config.base_config, change);
        self
    }

    /// Sets when the instruments of a connection that stays down go to others of its account, and
    /// when they come back; `None`: never. Default after 30 s, back after 30 s.
    pub fn failover(mut self, failover: Option<FailoverConfig>) -> Self {
        self.underlying.manager.failover = failover;
        self
    }

    /// Says whether the last packet of every instrument is kept for
    /// [`Manager::latest`](kite_manager::Manager::latest), a copy of each packet. Default false.
    pub fn latest(mut self, latest: bool) -> Self {
        self.underlying.manager.latest = latest;
        self
    }

    /// Gives all that the connections receive to sinks of the application's own as well, such as a
    /// recorder's: `make_sink` makes one for each connection of each run. It is called where a frame
    /// is checked, before anything is left out, and must not call this manager. Several taps add up,
    /// in the order in which they were added.
    ///
    /// ```
    /// use kiteticker_async_manager::MultiApiKiteTickerManagerBuilder;
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
    /// let manager = MultiApiKiteTickerManagerBuilder::new()
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

    /// Makes the manager. Accounts and configuration are judged when it starts.
    #[must_use]
    pub fn build(self) -> MultiApiKiteTickerManager {
        MultiApiKiteTickerManager::with_settings(self.apis, self.config, self.underlying)
    }
}
