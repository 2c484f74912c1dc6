//! The builder for a manager of several accounts.

use crate::manager::KiteManagerConfig;
use crate::manager::builder::TickerManagerBuilder;
use crate::manager::multi::{
    ApiCredentials, ApiKeyId, DistributionStrategy, MultiApiConfig, MultiApiKiteTickerManager,
};

/// The settings specific to the builder for several accounts.
#[derive(Debug, Clone, Default)]
pub struct SeveralAccounts {
    apis: Vec<(ApiKeyId, ApiCredentials)>,
    /// Its `base_config` is ignored in favour of the builder's.
    config: MultiApiConfig,
}

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
pub type MultiApiKiteTickerManagerBuilder = TickerManagerBuilder<SeveralAccounts>;

impl MultiApiKiteTickerManagerBuilder {
    /// Starts without accounts and with the default configuration.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an account under a name chosen by the application; it replaces one of the same name.
    ///
    /// Each account must have its own api_key, because Kite's limits of three sockets and 9,000
    /// instruments apply per api_key. [`start`](MultiApiKiteTickerManager::start) rejects
    /// duplicates.
    pub fn add_api_key(
        mut self,
        id: impl Into<ApiKeyId>,
        api_key: impl Into<String>,
        access_token: impl Into<String>,
    ) -> Self {
        let (id, credentials) = (id.into(), ApiCredentials::new(api_key, access_token));
        match self.accounts.apis.iter_mut().find(|(other, _)| *other == id) {
            Some((_, replaced)) => *replaced = credentials,
            None => self.accounts.apis.push((id, credentials)),
        }
        self
    }

    /// Sets [`MultiApiConfig::max_connections_per_api`].
    pub fn max_connections_per_api(mut self, max_connections_per_api: usize) -> Self {
        self.accounts.config.max_connections_per_api = max_connections_per_api;
        self
    }

    /// Sets [`MultiApiConfig::distribution_strategy`].
    pub fn distribution_strategy(mut self, distribution_strategy: DistributionStrategy) -> Self {
        self.accounts.config.distribution_strategy = distribution_strategy;
        self
    }

    /// Sets [`MultiApiConfig::enable_health_monitoring`], which has no effect.
    pub fn enable_health_monitoring(mut self, enable_health_monitoring: bool) -> Self {
        self.accounts.config.enable_health_monitoring = enable_health_monitoring;
        self
    }

    /// Sets [`MultiApiConfig::base_config`].
    pub fn base_config(mut self, base_config: KiteManagerConfig) -> Self {
        self.config = base_config;
        self
    }

    /// Replaces the whole configuration.
    pub fn config(self, config: MultiApiConfig) -> Self {
        let mut this = self.base_config(config.base_config.clone());
        this.accounts.config = config;
        this
    }

    /// Creates the manager. Accounts and configuration are checked when it starts.
    #[must_use]
    pub fn build(self) -> MultiApiKiteTickerManager {
        let SeveralAccounts { apis, mut config } = self.accounts;
        config.base_config = self.config;
        MultiApiKiteTickerManager::with_settings(apis, config, self.underlying)
    }
}
