//! The published settings for several accounts.

use kite_manager::{ConfigError, MAX_CONNECTIONS};

use crate::manager::KiteManagerConfig;

/// How [`subscribe_symbols`](crate::MultiApiKiteTickerManager::subscribe_symbols) chooses accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DistributionStrategy {
    /// Each instrument goes to the account with the most free capacity, in turn among equals.
    #[default]
    RoundRobin,
    /// No automatic choice; each subscription names its account
    /// ([`subscribe_symbols_to_api`](crate::MultiApiKiteTickerManager::subscribe_symbols_to_api)).
    Manual,
}

/// Settings of a [`MultiApiKiteTickerManager`](crate::MultiApiKiteTickerManager), checked when it
/// starts.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiApiConfig {
    /// Settings of each account's connections. Its `max_connections` is unused; see
    /// `max_connections_per_api`.
    pub base_config: KiteManagerConfig,
    /// Connections of each account, 1 to 3 (Kite's limit per api_key). Default 3.
    pub max_connections_per_api: usize,
    /// How instruments are distributed across the accounts. Default
    /// [`DistributionStrategy::RoundRobin`].
    pub distribution_strategy: DistributionStrategy,
    /// Unused, and kept for programs that set it, because every connection is always monitored, and
    /// health is computed on request. Default true.
    pub enable_health_monitoring: bool,
}

impl Default for MultiApiConfig {
    fn default() -> Self {
        Self {
            base_config: KiteManagerConfig::default(),
            max_connections_per_api: MAX_CONNECTIONS,
            distribution_strategy: DistributionStrategy::default(),
            enable_health_monitoring: true,
        }
    }
}

impl MultiApiConfig {
    /// Checks every setting; the error names the first that is out of range by its field name here.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.of_each().validate().map_err(|mut error| {
            if error.field == "max_connections" {
                error.field = "max_connections_per_api";
            }
            error
        })
    }

    /// Returns the settings of each account.
    pub(crate) fn of_each(&self) -> KiteManagerConfig {
        let max_connections = self.max_connections_per_api;
        KiteManagerConfig { max_connections, ..self.base_config.clone() }
    }
}
