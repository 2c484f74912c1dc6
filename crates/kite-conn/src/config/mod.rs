//! Settings of a connection.

mod liveness;
mod pacer;
mod reconnect;
mod token_source;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use kite_wire::MAX_INSTRUMENTS;

pub use self::liveness::Liveness;
pub use self::pacer::{Admission, AdmissionFuture, Pacer};
pub use self::reconnect::{Backoff, Reconnect};
pub use self::token_source::{TokenRequest, TokenSource, TokenSourceError};
use crate::error::{ConfigError, check_range};
use crate::transport::{Endpoint, Transport};

/// Settings of one connection. All have defaults: change the fields that matter.
///
/// ```
/// use std::time::Duration;
/// use kite_conn::{ConnectionConfig, Liveness};
///
/// let liveness =
///     Liveness { silence_threshold: Duration::from_secs(5), ..Default::default() };
/// let config = ConnectionConfig { liveness, ..Default::default() };
/// assert_eq!(config.instrument_limit, 3_000);
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Where to connect. Default `wss://ws.kite.trade`.
    pub endpoint: Endpoint,
    /// Number of instruments this connection may subscribe, from 1 to 3,000. Default 3,000, Kite's
    /// limit.
    pub instrument_limit: usize,
    /// When a lost connection is reopened.
    pub reconnect: Reconnect,
    /// Limits for the server's silence.
    pub liveness: Liveness,
    /// How a socket is opened and read.
    pub transport: Transport,
    /// Provides credentials if there is no access token or the server has refused it. Default none,
    /// in which case a refusal of the credentials parks the connection until
    /// [`Connection::set_credentials`].
    ///
    /// [`Connection::set_credentials`]: crate::Connection::set_credentials
    pub token_source: Option<TokenSource>,
    /// Consulted before each connection attempt; may delay it. Default none.
    pub pacer: Option<Arc<dyn Pacer>>,
    /// Whether to record each instrument's last tick, number of ticks and volume, for
    /// [`Connection::instruments`] and for the missed volume in [`Event::Gap`]. Costs some
    /// nanoseconds per packet and 64 bytes per instrument. Default true.
    ///
    /// [`Connection::instruments`]: crate::Connection::instruments
    /// [`Event::Gap`]: crate::Event::Gap
    pub track_instruments: bool,
    /// Where to write when anything was last received, in Unix seconds of the local wall clock:
    /// frames of every kind, pongs included, parts of frames, and the server's reply to a handshake.
    /// Connections can share it. Default none.
    pub last_activity: Option<Arc<AtomicU64>>,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            instrument_limit: MAX_INSTRUMENTS,
            reconnect: Reconnect::default(),
            liveness: Liveness::default(),
            transport: Transport::default(),
            token_source: None,
            pacer: None,
            track_instruments: true,
            last_activity: None,
        }
    }
}

impl ConnectionConfig {
    /// Checks every setting; [`Connection::spawn`](crate::Connection::spawn) does so too.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range. Zero durations are
    /// rejected too, because they would reconnect or ping without a pause.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let limit = self.instrument_limit;
        check_range("instrument_limit", limit, 1..=MAX_INSTRUMENTS, "from 1 to 3,000")?;
        self.reconnect.validate()?;
        self.liveness.validate()?;
        self.transport.validate()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_defaults_are_valid_and_every_bound_is_named() {
        assert_eq!(ConnectionConfig::default().validate(), Ok(()));
        type Change = fn(&mut ConnectionConfig);
        let cases: [(Change, &str); 12] = [
            (
                |c| c.instrument_limit = 3_001,
                "instrument_limit is 3001; it must be from 1 to 3,000",
            ),
            (
                |c| c.transport.read_buffer_bytes = 0,
                "transport.read_buffer_bytes is 0; it must be from 1 to 16,777,216",
            ),
            (
                |c| c.transport.max_frame_bytes = (1 << 30) + 1,
                "transport.max_frame_bytes is 1073741825; it must be from 1 to 1,073,741,824",
            ),
            (
                |c| c.transport.connect_timeout = Duration::ZERO,
                "transport.connect_timeout is 0ns; it must be above 0 and at most a day",
            ),
            (
                |c| c.reconnect.delay = Duration::ZERO,
                "reconnect.delay is 0ns; it must be above 0 and at most a day",
            ),
            (
                |c| c.reconnect.stable_after = Duration::ZERO,
                "reconnect.stable_after is 0ns; it must be above 0 and at most a day",
            ),
            (
                |c| c.reconnect.backoff = Backoff::Around { factor: f64::NAN, deviation: 0.0 },
                "reconnect.backoff.factor is NaN; it must be from 1 to 1,000",
            ),
            (
                |c| c.reconnect.backoff = Backoff::Around { factor: 2.0, deviation: -0.1 },
                "reconnect.backoff.deviation is -0.1; it must be from 0 to 1",
            ),
            (
                |c| c.liveness.silence_threshold = Duration::ZERO,
                "liveness.silence_threshold is 0ns; it must be above 0 and at most a day",
            ),
            (
                |c| c.liveness.stale_after = Duration::ZERO,
                "liveness.stale_after is 0ns; it must be above 0 and at most a day",
            ),
            (
                |c| c.liveness.close_deadline = Duration::from_secs(86_401),
                "liveness.close_deadline is 86401s; it must be above 0 and at most a day",
            ),
            (
                |c| c.liveness.close_deadline = Duration::MAX,
                "liveness.close_deadline is 18446744073709551615.999999999s; \
                 it must be above 0 and at most a day",
            ),
        ];
        for (change, expected) in cases {
            let mut config = ConnectionConfig::default();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
    }
}
