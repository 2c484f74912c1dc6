//! What can be set on a manager.

use std::time::Duration;

use kite_conn::{ConfigError, ConnectionConfig, check, check_duration};

use crate::tap::Tap;

/// Sockets that Kite allows on one api_key (documented).
pub const MAX_CONNECTIONS: usize = 3;

/// Settings of a manager. All have defaults: change the fields that matter.
#[derive(Debug, Clone)]
pub struct ManagerConfig {
    /// How many connections of each account share its instruments: 1 to 3. Default 3.
    pub connections: usize,
    /// What each connection is made with. Its `instrument_limit` is the room of one connection;
    /// its `connect_timeout` is also how long a start waits; a `pacer` is the manager's to set.
    pub connection: ConnectionConfig,
    /// When the instruments of a connection that stays down go to others. Default after 30 s, back
    /// after 30 s; `None`: never.
    pub failover: Option<FailoverConfig>,
    /// The least time between the beginnings of two handshakes of an account. Default 100 ms.
    pub stagger: Duration,
    /// Whether the last packet of every instrument is kept for
    /// [`Manager::latest`](crate::Manager::latest): a copy of each packet. Default false.
    pub latest: bool,
    /// Who is given all that the connections receive, before anything is left out of it, in this
    /// order: a recorder, for instance. Default none.
    pub taps: Vec<Tap>,
}

/// When the instruments of a connection go to others, and when they come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailoverConfig {
    /// How long a connection is down, or parked, before its instruments are handed over to those
    /// connections of its account that are up and have room.
    pub after: Duration,
    /// How long it must then be up before it gets them back.
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
    /// [`ConfigError`] names the first setting outside of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("connections", self.connections, 1..=MAX_CONNECTIONS, "from 1 to 3")?;
        if let Some(failover) = &self.failover {
            check_duration("failover.after", failover.after)?;
            check_duration("failover.stable_after", failover.stable_after)?;
        }
        if self.stagger > LONGEST_STAGGER {
            return Err(ConfigError::new("stagger", self.stagger, "at most a minute"));
        }
        self.connection.validate()
    }
}

const LONGEST_STAGGER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_bound_is_named() {
        assert_eq!(ManagerConfig::default().validate(), Ok(()));
        let with = |change: fn(&mut ManagerConfig)| {
            let mut config = ManagerConfig::default();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert_eq!(with(|it| it.connections = 4), "connections is 4, it must be from 1 to 3");
        assert_eq!(with(|it| it.connections = 0), "connections is 0, it must be from 1 to 3");
        assert_eq!(
            with(|it| it.connection.instrument_limit = 3_001),
            "instrument_limit is 3001, it must be from 1 to 3000"
        );
        assert_eq!(
            with(|it| it.connection.connect_timeout = Duration::ZERO),
            "connect_timeout is 0ns, it must be above 0 and at most a day"
        );
        assert!(with(|it| it.connection.parser_queue = Some(0)).contains("parser_queue"));
        assert_eq!(
            with(|it| {
                it.failover =
                    Some(FailoverConfig { after: Duration::ZERO, ..FailoverConfig::default() });
            }),
            "failover.after is 0ns, it must be above 0 and at most a day"
        );
        assert_eq!(
            with(|it| it.stagger = Duration::from_secs(61)),
            "stagger is 61s, it must be at most a minute"
        );
    }
}
