//! The published settings of several accounts.

use kite_manager::{ConfigError, MAX_CONNECTIONS};

use crate::manager::KiteManagerConfig;

/// How [`subscribe_symbols`](crate::MultiApiKiteTickerManager::subscribe_symbols) chooses accounts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DistributionStrategy {
    /// Each instrument goes to the account with the most room, by turns among equals.
    #[default]
    RoundRobin,
    /// Not at all: each subscription names its account
    /// ([`subscribe_symbols_to_api`](crate::MultiApiKiteTickerManager::subscribe_symbols_to_api)).
    Manual,
}

/// Settings of a [`MultiApiKiteTickerManager`](crate::MultiApiKiteTickerManager), checked when it
/// starts.
#[derive(Debug, Clone, PartialEq)]
pub struct MultiApiConfig {
    /// What the connections of each account are made with. Its `max_connections` is not used: see
    /// the next field.
    pub base_config: KiteManagerConfig,
    /// Connections of each account, 1 to 3 (Kite's limit for an api_key). Default 3.
    pub max_connections_per_api: usize,
    /// How instruments are spread over the accounts. Default [`DistributionStrategy::RoundRobin`].
    pub distribution_strategy: DistributionStrategy,
    /// Kept for programs that set it: there is no monitor to turn on or off. Every connection is
    /// watched all the time, and health is judged when it is asked for. Default true.
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
    /// Checks every setting and names the first outside of its range as the user wrote it.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        self.of_each().validate().map_err(|mut error| {
            if error.field == "max_connections" {
                error.field = "max_connections_per_api";
            }
            error
        })
    }

    /// Gives the settings of each account.
    pub(crate) fn of_each(&self) -> KiteManagerConfig {
        let max_connections = self.max_connections_per_api;
        KiteManagerConfig { max_connections, ..self.base_config.clone() }
    }
}
