//! What can be set on a manager.

use std::time::Duration;

use kite_conn::{ConnectionConfig, MAX_INSTRUMENTS};

use crate::error::ConfigError;

/// Sockets that Kite allows on one api_key (documented).
pub const MAX_CONNECTIONS: usize = 3;

/// The largest queue or ring that can be asked for, in frames: its slots are allocated up front.
pub const MAX_QUEUE: usize = 1 << 20;

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
        let connection = &self.connection;
        check("connections", self.connections, 1..=MAX_CONNECTIONS, "from 1 to 3")?;
        let limit = connection.instrument_limit;
        check("instrument_limit", limit, 1..=MAX_INSTRUMENTS, "from 1 to 3000")?;
        let queue = connection.parser_queue.unwrap_or(1);
        check("parser_queue", queue, 1..=MAX_QUEUE, "from 1 to 1048576")?;
        check("read_buffer_bytes", connection.read_buffer_bytes, 1..=usize::MAX, "above 0")?;
        check("max_frame_bytes", connection.max_frame_bytes, 1..=usize::MAX, "above 0")?;
        for (field, value) in [
            ("connect_timeout", connection.connect_timeout),
            ("reconnect_delay", connection.reconnect_delay),
            ("silence_threshold", connection.silence_threshold),
            ("close_deadline", connection.close_deadline),
        ] {
            check_duration(field, value)?;
        }
        Ok(())
    }
}

/// Checks a number against its range.
///
/// # Errors
/// [`ConfigError`] names the setting, its value and the range.
pub fn check(
    field: &'static str,
    value: usize,
    range: std::ops::RangeInclusive<usize>,
    named: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&value) { Ok(()) } else { Err(ConfigError::new(field, value, named)) }
}

/// A day: far beyond any sensible timeout, and far from the end of the clock.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks that a duration is above zero and at most a day.
///
/// # Errors
/// [`ConfigError`] names the setting, its value and the range.
pub fn check_duration(field: &'static str, value: Duration) -> Result<(), ConfigError> {
    if value > Duration::ZERO && value <= MAX_DURATION {
        Ok(())
    } else {
        Err(ConfigError::new(field, value, "above 0 and at most a day"))
    }
}

#[cfg(test)]
mod tests {
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
