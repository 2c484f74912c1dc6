//! What can be set on a connection.

mod pacer;
mod token_source;

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use kite_wire::MAX_INSTRUMENTS;

pub use self::pacer::{Admission, AdmissionFuture, Pacer};
pub use self::token_source::{TokenRequest, TokenSource, TokenSourceError};
use crate::error::ConfigError;
use crate::transport::{Endpoint, Proxy, Tls};

/// The largest queue or ring that can be asked for, in frames: its slots are allocated up front.
pub const MAX_QUEUE: usize = 1 << 20;

/// Settings of one connection. All have defaults: change the fields that matter.
///
/// ```
/// use std::time::Duration;
/// use kite_conn::ConnectionConfig;
///
/// let config = ConnectionConfig { silence_threshold: Duration::from_secs(5), ..Default::default() };
/// assert_eq!(config.instrument_limit, 3_000);
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionConfig {
    /// Where to connect. Default `wss://ws.kite.trade`.
    pub endpoint: Endpoint,
    /// For everything from the look-up of the host to the handshake. Default 30 s.
    pub connect_timeout: Duration,
    /// Base of the exponential backoff, full jitter. Default 2 s.
    pub reconnect_delay: Duration,
    /// Longest delay between two tries (the base, if that is longer). Default 30 s.
    pub reconnect_delay_cap: Duration,
    /// Reconnects in a row, without a stable connection between them, after which the connection
    /// is parked. Default unlimited.
    pub max_reconnect_attempts: usize,
    /// Silence of the socket after which a ping is sent; twice this without any sign of life means
    /// a dead socket and a reconnect. Default 10 s.
    pub silence_threshold: Duration,
    /// How long a connection must live before its failures are forgotten: one that is accepted
    /// and dropped at once is not retried at full speed. Default 10 s.
    pub stable_after: Duration,
    /// How long no ticks may come on a socket with heartbeats before [`Event::TicksStale`] says
    /// so. Default 60 s.
    ///
    /// [`Event::TicksStale`]: crate::Event::TicksStale
    pub stale_after: Duration,
    /// How long the closing handshake may take; Kite often does not finish it. Default 2 s.
    pub close_deadline: Duration,
    /// How many instruments this connection takes, 1 to 3,000. Default 3,000, Kite's limit.
    pub instrument_limit: usize,
    /// Checks frames on a task of its own behind a queue of this many frames, and of 1 MiB whatever
    /// their number; a full queue stops reading, so that TCP holds the server back. `None`: on the
    /// socket's task. Default `None`.
    /// Not used by [`Connection::in_place`](crate::Connection::in_place), which has no task.
    pub parser_queue: Option<usize>,
    /// What is read from the socket at once, in bytes; memory is taken in blocks of twice
    /// this. Default 64 KiB, at most 16 MiB.
    pub read_buffer_bytes: usize,
    /// Largest frame taken, in bytes: a server's word is enough for memory of this size. Default
    /// 1 MiB, at most 1 GiB; the largest lawful frame has 558,002 bytes.
    pub max_frame_bytes: usize,
    /// Further headers of the handshake. `Debug` shows their values unless they are marked by
    /// [`HeaderValue::set_sensitive`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Whose certificates are believed over `wss://`. Default [`Tls::web_pki`]: the roots of
    /// Mozilla's list, as compiled in.
    pub tls: Tls,
    /// An HTTP proxy to connect through. Default none; the environment is not consulted. A `ws://`
    /// endpoint takes one on loopback only, since it would see the access token.
    pub proxy: Option<Proxy>,
    /// Asked for credentials before reconnects and after a refusal. Default none: a refusal of
    /// the credentials parks the connection until [`Connection::set_credentials`].
    ///
    /// [`Connection::set_credentials`]: crate::Connection::set_credentials
    pub token_source: Option<TokenSource>,
    /// Asked for leave before every attempt to open a socket. Default none.
    pub pacer: Option<Arc<dyn Pacer>>,
    /// Remembers of every instrument when it ticked last, how often, and its volume: for
    /// [`Connection::instruments`], and so that [`Event::Gap`] can say how much volume was missed.
    /// Some nanoseconds a packet, 64 bytes an instrument. Default true.
    ///
    /// [`Connection::instruments`]: crate::Connection::instruments
    /// [`Event::Gap`]: crate::Event::Gap
    pub track_instruments: bool,
    /// Seed of the backoff's jitter. Default random.
    pub jitter_seed: u64,
}

impl Default for ConnectionConfig {
    fn default() -> Self {
        Self {
            endpoint: Endpoint::default(),
            connect_timeout: Duration::from_secs(30),
            reconnect_delay: Duration::from_secs(2),
            reconnect_delay_cap: Duration::from_secs(30),
            max_reconnect_attempts: usize::MAX,
            silence_threshold: Duration::from_secs(10),
            stable_after: Duration::from_secs(10),
            stale_after: Duration::from_secs(60),
            close_deadline: Duration::from_secs(2),
            instrument_limit: MAX_INSTRUMENTS,
            parser_queue: None,
            read_buffer_bytes: 64 * 1024,
            max_frame_bytes: 1024 * 1024,
            headers: Vec::new(),
            tls: Tls::default(),
            proxy: None,
            token_source: None,
            pacer: None,
            track_instruments: true,
            jitter_seed: fastrand::u64(..),
        }
    }
}

impl ConnectionConfig {
    /// Checks every setting; [`Connection::spawn`](crate::Connection::spawn) does so too.
    ///
    /// # Errors
    /// [`ConfigError`] names the first setting outside of its range. Zero durations are among
    /// them: they would reconnect or probe without a pause.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check("instrument_limit", self.instrument_limit, 1..=MAX_INSTRUMENTS, "from 1 to 3000")?;
        check("parser_queue", self.parser_queue.unwrap_or(1), 1..=MAX_QUEUE, "from 1 to 1048576")?;
        check("read_buffer_bytes", self.read_buffer_bytes, 1..=MAX_READ, "from 1 to 16777216")?;
        check("max_frame_bytes", self.max_frame_bytes, 1..=MAX_FRAME, "from 1 to 1073741824")?;
        for (field, value) in [
            ("connect_timeout", self.connect_timeout),
            ("reconnect_delay", self.reconnect_delay),
            ("silence_threshold", self.silence_threshold),
            ("stable_after", self.stable_after),
            ("stale_after", self.stale_after),
            ("close_deadline", self.close_deadline),
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
    range: RangeInclusive<usize>,
    named: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&value) { Ok(()) } else { Err(ConfigError::new(field, value, named)) }
}

/// Two of them are a block.
const MAX_READ: usize = 16 * 1024 * 1024;

/// Memory for a frame is taken as soon as its header tells its length.
const MAX_FRAME: usize = 1024 * 1024 * 1024;

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
        assert_eq!(ConnectionConfig::default().validate(), Ok(()));
        type Change = fn(&mut ConnectionConfig);
        let cases: [(Change, &str); 8] = [
            (|c| c.instrument_limit = 3_001, "instrument_limit is 3001, it must be from 1 to 3000"),
            (|c| c.parser_queue = Some(0), "parser_queue is 0, it must be from 1 to 1048576"),
            (|c| c.read_buffer_bytes = 0, "read_buffer_bytes is 0, it must be from 1 to 16777216"),
            (
                |c| c.max_frame_bytes = MAX_FRAME + 1,
                "max_frame_bytes is 1073741825, it must be from 1 to 1073741824",
            ),
            (
                |c| c.connect_timeout = Duration::ZERO,
                "connect_timeout is 0ns, it must be above 0 and at most a day",
            ),
            (
                |c| c.reconnect_delay = Duration::ZERO,
                "reconnect_delay is 0ns, it must be above 0 and at most a day",
            ),
            (
                |c| c.silence_threshold = Duration::ZERO,
                "silence_threshold is 0ns, it must be above 0 and at most a day",
            ),
            (
                |c| c.close_deadline = Duration::from_secs(86_401),
                "close_deadline is 86401s, it must be above 0 and at most a day",
            ),
        ];
        for (change, expected) in cases {
            let mut config = ConnectionConfig::default();
            change(&mut config);
            assert_eq!(config.validate().unwrap_err().to_string(), expected);
        }
    }
}
