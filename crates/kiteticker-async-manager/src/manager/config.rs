//! The published settings and their checks.

use std::mem::swap;
use std::time::Duration;

use kite_conn::MAX_INSTRUMENTS;
use kite_manager::{ConfigError, MAX_CONNECTIONS, ManagerConfig};

use crate::models::Mode;

/// Settings of a [`KiteTickerManager`](crate::KiteTickerManager), checked when it starts. Buffers
/// hold 1 to 1,048,576 messages; durations are above zero and at most a day.
///
/// ```
/// use kiteticker_async_manager::{KiteManagerConfig, Mode};
///
/// let config = KiteManagerConfig { default_mode: Mode::LTP, ..Default::default() };
/// assert_eq!(config.max_connections * config.max_symbols_per_connection, 9_000);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct KiteManagerConfig {
    /// Instruments on one connection, 1 to 3,000 (Kite's limit). Default 3,000.
    pub max_symbols_per_connection: usize,
    /// Connections, 1 to 3 (Kite's limit per api_key). Default 3.
    pub max_connections: usize,
    /// Unused but still checked, for programs that set it, because frames are not queued for a
    /// parser. 1 to 1,048,576. Default 5,000.
    pub connection_buffer_size: usize,
    /// Messages that a channel holds for its slowest receiver; older ones are lost to it and
    /// reported as `Lagged`. A receiver that stops reading keeps this many frames in memory,
    /// regardless of their size. Rounded up to a power of two, and allocated up front. Default
    /// 10,000.
    pub parser_buffer_size: usize,
    /// Limit for opening a socket, and for [`start`](crate::KiteTickerManager::start) to wait for
    /// all connections. Default 30 s.
    pub connection_timeout: Duration,
    /// Unused but still checked, for programs that set it, because health is computed on request.
    /// Default 10 s.
    pub health_check_interval: Duration,
    /// Consecutive reconnects without a stable connection in between, after which a connection is
    /// parked. Default `usize::MAX`, because an outage of minutes must not end a connection.
    pub max_reconnect_attempts: usize,
    /// Base of the exponential backoff, with full jitter and capped at the larger of 30 s and this
    /// base. Default 2 s.
    pub reconnect_delay: Duration,
    /// Unused, and kept for programs that set it, because each frame is checked on its socket's
    /// task. Default true.
    pub enable_dedicated_parsers: bool,
    /// Mode of subscriptions made without a mode. Default [`Mode::Quote`].
    pub default_mode: Mode,
    /// Time without inbound data after which a ping is sent. After twice this time without inbound
    /// data the connection reconnects. Default 10 s.
    pub heartbeat_liveness_threshold: Duration,
}

impl Default for KiteManagerConfig {
    fn default() -> Self {
        Self {
            max_symbols_per_connection: MAX_INSTRUMENTS,
            max_connections: MAX_CONNECTIONS,
            connection_buffer_size: 5_000,
            parser_buffer_size: 10_000,
            connection_timeout: Duration::from_secs(30),
            health_check_interval: Duration::from_secs(10),
            max_reconnect_attempts: usize::MAX,
            reconnect_delay: Duration::from_secs(2),
            enable_dedicated_parsers: true,
            default_mode: Mode::Quote,
            heartbeat_liveness_threshold: Duration::from_secs(10),
        }
    }
}

impl KiteManagerConfig {
    /// Checks every setting; the error names the first that is out of range by its field name here.
    pub(crate) fn validate(&self) -> Result<(), ConfigError> {
        for (field, value) in [
            ("connection_buffer_size", self.connection_buffer_size),
            ("parser_buffer_size", self.parser_buffer_size),
        ] {
            if !(1..=MAX_BUFFER).contains(&value) {
                return Err(ConfigError::new(field, value, "from 1 to 1,048,576"));
            }
        }
        let interval = self.health_check_interval;
        if interval.is_zero() || interval > LONGEST_INTERVAL {
            let range = "above 0 and at most a day";
            return Err(ConfigError::new("health_check_interval", interval, range));
        }
        let mut manager = ManagerConfig::default();
        self.clone().exchange(&mut manager);
        manager.validate().map_err(with_published_name)
    }

    /// Swaps the settings that a manager also has with the manager's values.
    ///
    /// The only place that pairs them. Either direction is a swap, and a second swap undoes it.
    pub(crate) fn exchange(&mut self, manager: &mut ManagerConfig) {
        swap(&mut self.max_connections, &mut manager.connections);
        let connection = &mut manager.connection;
        swap(&mut self.max_symbols_per_connection, &mut connection.instrument_limit);
        swap(&mut self.connection_timeout, &mut connection.transport.connect_timeout);
        swap(&mut self.reconnect_delay, &mut connection.reconnect.delay);
        swap(&mut self.max_reconnect_attempts, &mut connection.reconnect.max_attempts);
        swap(&mut self.heartbeat_liveness_threshold, &mut connection.liveness.silence_threshold);
    }
}

/// Maximum size of a buffer in messages, whose slots are allocated up front.
pub(crate) const MAX_BUFFER: usize = 1 << 20;

const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Replaces the name of a manager's setting with that of [`KiteManagerConfig`], if it has one.
fn with_published_name(mut error: ConfigError) -> ConfigError {
    error.field = match error.field {
        "connections" => "max_connections",
        "instrument_limit" => "max_symbols_per_connection",
        "transport.connect_timeout" => "connection_timeout",
        "reconnect.delay" => "reconnect_delay",
        "liveness.silence_threshold" => "heartbeat_liveness_threshold",
        other => other,
    };
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_out_of_range_is_named() {
        let with = |change: fn(&mut KiteManagerConfig)| {
            let mut config = KiteManagerConfig::default();
            change(&mut config);
            config.validate().map_err(|error| error.to_string())
        };
        assert_eq!(with(|_| {}), Ok(()));
        for (change, expected) in [
            (
                (|config| config.max_connections = 4) as fn(&mut KiteManagerConfig),
                "max_connections is 4; it must be from 1 to 3",
            ),
            (
                |config| config.max_symbols_per_connection = 0,
                "max_symbols_per_connection is 0; it must be from 1 to 3,000",
            ),
            (
                |config| config.connection_buffer_size = 0,
                "connection_buffer_size is 0; it must be from 1 to 1,048,576",
            ),
            (
                |config| config.parser_buffer_size = usize::MAX,
                "parser_buffer_size is 18446744073709551615; it must be from 1 to 1,048,576",
            ),
            (
                |config| config.connection_timeout = Duration::ZERO,
                "connection_timeout is 0ns; it must be above 0 and at most a day",
            ),
            (
                |config| config.health_check_interval = Duration::ZERO,
                "health_check_interval is 0ns; it must be above 0 and at most a day",
            ),
            (
                |config| config.reconnect_delay = Duration::ZERO,
                "reconnect_delay is 0ns; it must be above 0 and at most a day",
            ),
            (
                |config| config.heartbeat_liveness_threshold = Duration::MAX,
                "heartbeat_liveness_threshold is 18446744073709551615.999999999s; \
                 it must be above 0 and at most a day",
            ),
        ] {
            assert_eq!(with(change), Err(expected.to_owned()));
        }
    }
}
