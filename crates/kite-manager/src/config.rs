//! What can be set on a manager.

use kite_conn::{ConfigError, ConnectionConfig, check};

/// Sockets that Kite allows on one api_key (documented).
pub const MAX_CONNECTIONS: usize = 3;

/// Settings of a manager.
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    /// How many connections share the instruments: 1 to 3. Default 3.
    pub connections: usize,
    /// What each connection is made with. Its `instrument_limit` is the room of one connection;
    /// its `connect_timeout` is also how long a start waits.
    pub connection: ConnectionConfig,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self { connections: MAX_CONNECTIONS, connection: ConnectionConfig::default() }
    }
}

impl ManagerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting outside of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("connections", self.connections, 1..=MAX_CONNECTIONS, "from 1 to 3")?;
        self.connection.validate()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_bound_is_named() {
        assert_eq!(ManagerConfig::default().validate(), Ok(()));
        let with = |connections, change: fn(&mut ConnectionConfig)| {
            let mut config = ManagerConfig { connections, ..Default::default() };
            change(&mut config.connection);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(with(4, |_| {}), "connections is 4, it must be from 1 to 3");
        assert_eq!(with(0, |_| {}), "connections is 0, it must be from 1 to 3");
        assert_eq!(
            with(1, |connection| connection.instrument_limit = 3_001),
            "instrument_limit is 3001, it must be from 1 to 3000"
        );
        assert_eq!(
            with(1, |connection| connection.connect_timeout = Duration::ZERO),
            "connect_timeout is 0ns, it must be above 0 and at most a day"
        );
        assert!(with(1, |connection| connection.parser_queue = Some(0)).contains("parser_queue"));
    }
}
