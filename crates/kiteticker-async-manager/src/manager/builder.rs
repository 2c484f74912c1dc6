//! The fluent way to a manager.

use std::time::Duration;

use kite_conn::{ConnectionConfig, Credentials, Endpoint, Sink, TokenSource};
use kite_manager::{FailoverConfig, Seat, Tap};

use crate::manager::underlying::Underlying;
use crate::manager::{KiteManagerConfig, KiteTickerManager};
use crate::models::Mode;

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
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until `build`"]
pub struct KiteTickerManagerBuilder {
    credentials: Credentials,
    config: KiteManagerConfig,
    underlying: Underlying,
    raw_only: bool,
}

/// A method that sets one field of the configuration.
macro_rules! setting {
    ($(#[$doc:meta])* $field:ident: $ty:ty = $config_field:ident) => {
        $(#[$doc])*
        pub fn $field(mut self, $field: $ty) -> Self {
            self.config.$config_field = $field;
            self
        }
    };
}

impl KiteTickerManagerBuilder {
    /// Starts with the default configuration.
    pub fn new(api_key: impl Into<String>, access_token: impl Into<String>) -> Self {
        Self {
            credentials: Credentials::new(api_key, access_token),
            config: KiteManagerConfig::default(),
            underlying: Underlying::default(),
            raw_only: false,
        }
    }

    setting! {
        /// Sets [`KiteManagerConfig::max_connections`].
        max_connections: usize = max_connections
    }
    setting! {
        /// Sets [`KiteManagerConfig::max_symbols_per_connection`].
        max_symbols_per_connection: usize = max_symbols_per_connection
    }
    setting! {
        /// Sets [`KiteManagerConfig::connection_timeout`].
        connection_timeout: Duration = connection_timeout
    }
    setting! {
        /// Sets [`KiteManagerConfig::health_check_interval`].
        health_check_interval: Duration = health_check_interval
    }
    setting! {
        /// Sets [`KiteManagerConfig::max_reconnect_attempts`].
        reconnect_attempts: usize = max_reconnect_attempts
    }
    setting! {
        /// Sets [`KiteManagerConfig::reconnect_delay`].
        reconnect_delay: Duration = reconnect_delay
    }
    setting! {
        /// Sets [`KiteManagerConfig::enable_dedicated_parsers`].
        enable_dedicated_parsers: bool = enable_dedicated_parsers
    }
    setting! {
        /// Sets [`KiteManagerConfig::default_mode`].
        default_mode: Mode = default_mode
    }
    setting! {
        /// Sets [`KiteManagerConfig::heartbeat_liveness_threshold`].
        heartbeat_liveness_threshold: Duration = heartbeat_liveness_threshold
    }
    setting! {
        /// Sets [`KiteManagerConfig::connection_buffer_size`].
        connection_buffer_size: usize = connection_buffer_size
    }
    setting! {
        /// Sets [`KiteManagerConfig::parser_buffer_size`].
        parser_buffer_size: usize = parser_buffer_size
    }

    /// Emits raw frames only: the message channels carry no `Ticks`, texts still arrive there.
    pub fn raw_only(mut self, raw_only: bool) -> Self {
        self.raw_only = raw_only;
        self
    }

    /// Replaces the whole configuration.
    pub fn config(mut self, config: KiteManagerConfig) -> Self {
        self.config = config;
        self
    }

    /// Connects elsewhere: see [`KiteTickerManager::with_endpoint`].
    pub fn endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.underlying.endpoint = Endpoint::parse(&endpoint.into());
        self
    }

    /// Has the application's own code asked for credentials: before every reconnect, and after a
    /// refusal. Without one, a refusal parks the connections until
    /// [`set_access_token`](KiteTickerManager::set_access_token).
    ///
    /// ```
    /// use kiteticker_async_manager::KiteTickerManagerBuilder;
    /// use kiteticker_async_manager::kite_conn::TokenSource;
    ///
    /// let source = TokenSource::new(|request| async move {
    ///     let token = std::fs::read_to_string("access_token")?;
    ///     Ok::<_, std::io::Error>(request.current.with_access_token(token.trim()))
    /// });
    /// let manager = KiteTickerManagerBuilder::new("api_key", "").token_source(source).build();
    /// ```
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.underlying.change(&mut self.config, |it| it.token_source = Some(source));
        self
    }

    /// Changes what each connection is made with: roots of trust, a proxy, headers, and whatever
    /// else [`KiteManagerConfig`] has no field for. Where it has one, the last call counts. A
    /// `pacer` is the manager's own to set.
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

    /// Sets when the instruments of a connection that stays down go to the others, and when they
    /// come back; `None`: never. Default after 30 s, back after 30 s.
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

    /// Makes the manager. The configuration is checked when it starts.
    #[must_use]
    pub fn build(self) -> KiteTickerManager {
        KiteTickerManager::with_settings(self.credentials, self.config, self.underlying)
            .with_raw_only(self.raw_only)
    }
}
