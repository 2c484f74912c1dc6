//! What can be set of the layer beneath. The configuration's fields are those of the published API,
//! and old programs write them out in full; so the rest stands here.

use kite_conn::{ConnectionConfig, Endpoint, EndpointError};
use kite_manager::ManagerConfig;

use crate::manager::KiteManagerConfig;

/// Settings of the layer beneath for which [`KiteManagerConfig`] has no field.
#[derive(Debug, Clone)]
pub(crate) struct Underlying {
    pub(crate) endpoint: Result<Endpoint, EndpointError>,
    /// The values of those settings that [`KiteManagerConfig`] has do not count here.
    pub(crate) manager: ManagerConfig,
}

impl Default for Underlying {
    fn default() -> Self {
        let manager = ManagerConfig::default();
        Self { endpoint: Ok(manager.connection.endpoint.clone()), manager }
    }
}

impl Underlying {
    /// Has a connection's settings changed, also those that `config` has a field for: the last
    /// change of a setting holds.
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
        // A bad endpoint stays one, for the start to report, unless there is another now.
        if connection.endpoint != before {
            self.endpoint = Ok(connection.endpoint.clone());
        }
        config.exchange(&mut self.manager);
    }

    /// Returns all settings in the terms of the layer beneath, but for the endpoint: it may be bad.
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
    fn the_layer_beneath_takes_what_is_valid_here() {
        let config = KiteManagerConfig::default();
        assert_eq!(Underlying::default().manager_config(&config).validate(), Ok(()));
    }

    #[test]
    fn whatever_was_said_last_of_a_setting_holds() {
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
    fn a_bad_endpoint_stays_until_there_is_another() {
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
