//! Settings of the typed manager that the published configuration has no field for.
//!
//! No field can be added to the published configuration, because old programs write out all of
//! them.

use kite_conn::{ConnectionConfig, Endpoint, EndpointError};
use kite_manager::ManagerConfig;

use crate::manager::KiteManagerConfig;

/// Settings of the typed manager for which [`KiteManagerConfig`] has no field.
#[derive(Debug, Clone)]
pub(crate) struct Underlying {
    pub(crate) endpoint: Result<Endpoint, EndpointError>,
    /// Settings that [`KiteManagerConfig`] also has are ignored here.
    pub(crate) manager: ManagerConfig,
}

impl Default for Underlying {
    fn default() -> Self {
        let manager = ManagerConfig::default();
        Self { endpoint: Ok(manager.connection.endpoint.clone()), manager }
    }
}

impl Underlying {
    /// Applies `change` to a connection's settings, including those that `config` has a field for;
    /// the last change of a setting wins.
    pub(crate) fn change(
        &mut self,
        config: &mut KiteManagerConfig,
        change: impl FnOnce(&mut ConnectionConfig),
    ) {
        let before = self.endpoint.clone().unwrap_or_default();
        config.exchange(&mut self.manager);
        let connection = &mut self.manager.connection;
        connection.endpoint = before.clone();
        change(connection);
        // An invalid endpoint is kept for `start` to report, unless `change` replaced it.
        if connection.endpoint != before {
            self.endpoint = Ok(connection.endpoint.clone());
        }
        config.exchange(&mut self.manager);
    }

    /// Returns all settings as those of the typed manager, except the endpoint, which may be
    /// invalid.
    pub(crate) fn manager_config(&self, config: &KiteManagerConfig) -> ManagerConfig {
        let mut manager = self.manager.clone();
        config.clone().exchange(&mut manager);
        manager
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_typed_manager_accepts_the_default_configuration() {
        let config = KiteManagerConfig::default();
        assert_eq!(Underlying::default().manager_config(&config).validate(), Ok(()));
    }

    #[test]
    fn the_last_change_of_a_setting_wins() {
        let mut underlying = Underlying::default();
        let mut config = KiteManagerConfig { max_reconnect_attempts: 7, ..Default::default() };
        underlying.change(&mut config, |connection| {
            assert_eq!(connection.reconnect.max_attempts, 7);
            connection.instrument_limit = 10;
            connection.liveness.silence_threshold = Duration::from_secs(3);
            connection.liveness.stale_after = Duration::from_secs(9);
        });
        assert_eq!(config.max_symbols_per_connection, 10);
        config.heartbeat_liveness_threshold = Duration::from_secs(4);
        let connection = underlying.manager_config(&config).connection;
        assert_eq!(connection.liveness.silence_threshold, Duration::from_secs(4));
        assert_eq!(connection.liveness.stale_after, Duration::from_secs(9));
        assert_eq!(connection.instrument_limit, 10);
    }

    #[test]
    fn an_invalid_endpoint_is_kept_until_it_is_replaced() {
        let mut underlying =
            Underlying { endpoint: Endpoint::parse("nonsense"), ..Default::default() };
        let mut config = KiteManagerConfig::default();
        underlying.change(&mut config, |connection| connection.instrument_limit = 10);
        assert!(underlying.endpoint.is_err());
        let other = Endpoint::parse("wss://example.org").unwrap();
        underlying.change(&mut config, |connection| connection.endpoint = other.clone());
        assert_eq!(underlying.endpoint, Ok(other));
    }
}
