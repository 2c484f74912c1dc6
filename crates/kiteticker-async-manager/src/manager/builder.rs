//! The fluent way to a manager.

use std::time::Duration;

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
    api_key: String,
    access_token: kite_conn::Secret,
    config: KiteManagerConfig,
    endpoint: Option<String>,
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
            api_key: api_key.into(),
            access_token: kite_conn::Secret::new(access_token),
            config: KiteManagerConfig::default(),
            endpoint: None,
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
        self.endpoint = Some(endpoint.into());
        self
    }

    /// Makes the manager. The configuration is checked when it starts.
    #[must_use]
    pub fn build(self) -> KiteTickerManager {
        let access_token = self.access_token.expose().to_owned();
        let manager = KiteTickerManager::new(self.api_key, access_token, self.config)
            .with_raw_only(self.raw_only);
        match self.endpoint {
            Some(endpoint) => manager.with_endpoint(endpoint),
            None => manager,
        }
    }
}
