//! Settings of a manager.

use std::fmt;
use std::time::Duration;

use kite_conn::{ConfigError, ConnectionConfig};

use crate::tap::Tap;

/// Sockets that Kite allows per api_key (documented).
pub const MAX_CONNECTIONS: usize = 3;

/// Settings of a manager. All fields have defaults.
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    /// Connections that share the instruments of an account: 1 to 3. Default 3.
    pub connections: usize,
    /// Settings of each connection. `instrument_limit` applies per connection;
    /// `transport.connect_timeout` is also the time limit of
    /// [`Manager::start`](crate::Manager::start); the manager replaces `pacer`.
    pub connection: ConnectionConfig,
    /// When the instruments of a connection that stays down move to other connections. Default:
    /// away after 30 s, back after 30 s. `None` turns failover off.
    pub failover: Option<FailoverConfig>,
    /// Minimum time between the starts of two handshakes of an account. Default 100 ms; at most a
    /// minute.
    pub stagger: Duration,
    /// Whether to keep the last packet of every instrument for
    /// [`Manager::latest`](crate::Manager::latest), which copies each packet. Default false.
    pub latest: bool,
    /// Taps that receive everything the connections receive, before anything is left out, such as a
    /// recorder. They are called in this order. Default empty.
    pub taps: Vec<Tap>,
}

/// When the instruments of a connection move to other connections, and when they return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailoverConfig {
    /// Time a connection must be down or parked before its instruments are handed over to
    /// connections of the same account that are up and have room. Default 30 s; above 0 and at most
    /// a day.
    pub after: Duration,
    /// Time the connection must then be up before its instruments return. Default 30 s; above 0 and
    /// at most a day.
    pub stable_after: Duration,
}

impl Default for FailoverConfig {
    fn default() -> Self {
        Self { after: Duration::from_secs(30), stable_after: Duration::from_secs(30) }
    }
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            connections: MAX_CONNECTIONS,
            connection: ConnectionConfig::default(),
            failover: Some(FailoverConfig::default()),
            stagger: Duration::from_millis(100),
            latest: false,
            taps: Vec::new(),
        }
    }
}

impl ManagerConfig {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let connections = self.connections;
        let is_valid = (1..=MAX_CONNECTIONS).contains(&connections);
        check(is_valid, "connections", connections, "from 1 to 3")?;
        if let Some(failover) = &self.failover {
            failover.validate()?;
        }
        let stagger = self.stagger;
        check(stagger <= LONGEST_STAGGER, "stagger", stagger, "at most a minute")?;
        self.connection.validate()
    }
}

impl FailoverConfig {
    /// Checks both settings.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range, such as
    /// `failover.after`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        for (field, value) in
            [("failover.after", self.after), ("failover.stable_after", self.stable_after)]
        {
            let is_valid = !value.is_zero() && value <= LONGEST_WAIT;
            check(is_valid, field, value, "above 0 and at most a day")?;
        }
        Ok(())
    }
}

const LONGEST_STAGGER: Duration = Duration::from_secs(60);
const LONGEST_WAIT: Duration = Duration::from_secs(24 * 60 * 60);

fn check(
    is_valid: bool,
    field: &'static str,
    value: impl fmt::Debug,
    range: &'static str,
) -> Result<(), ConfigError> {
    if is_valid { Ok(()) } else { Err(ConfigError::new(field, value, range)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_errors_name_the_bound() {
        assert_eq!(ManagerConfig::default().validate(), Ok(()));
        let with = |change: fn(&mut ManagerConfig)| {
            let mut config = ManagerConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(with(|it| it.connections = 4), "connections is 4; it must be from 1 to 3");
        assert_eq!(with(|it| it.connections = 0), "connections is 0; it must be from 1 to 3");
        assert_eq!(
            with(|it| it.connection.instrument_limit = 3_001),
            "instrument_limit is 3001; it must be from 1 to 3,000"
        );
        assert_eq!(
            with(|it| it.connection.transport.connect_timeout = Duration::ZERO),
            "transport.connect_timeout is 0ns; it must be above 0 and at most a day"
        );
        assert_eq!(
            with(|it| {
                it.failover =
                    Some(FailoverConfig { after: Duration::ZERO, ..FailoverConfig::default() });
            }),
            "failover.after is 0ns; it must be above 0 and at most a day"
        );
        assert_eq!(
            with(|it| it.stagger = Duration::from_secs(61)),
            "stagger is 61s; it must be at most a minute"
        );
    }
}
