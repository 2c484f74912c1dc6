//! What can be set on a connection.

use std::time::Duration;

use http::header::{HeaderName, HeaderValue};

use crate::endpoint::Endpoint;

/// Instruments that Kite allows on one socket (documented; older pages say 1,000).
pub const MAX_INSTRUMENTS: usize = 3_000;

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
    /// How long the closing handshake may take; Kite often does not finish it. Default 2 s.
    pub close_deadline: Duration,
    /// How many instruments this connection takes. Default 3,000, Kite's limit.
    pub instrument_limit: usize,
    /// Checks frames on a task of its own behind a queue of this many frames; a full queue stops
    /// reading, so that TCP holds the server back. `None`: on the socket's task. Default `None`.
    pub parser_queue: Option<usize>,
    /// What is read from the socket at once, in bytes. Default 32 KiB.
    pub read_buffer_bytes: usize,
    /// Largest frame taken, in bytes. Default 1 MiB; the largest lawful frame has 558,002 bytes.
    pub max_frame_bytes: usize,
    /// Further headers of the handshake. `Debug` shows their values unless they are marked by
    /// [`HeaderValue::set_sensitive`].
    pub headers: Vec<(HeaderName, HeaderValue)>,
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
            close_deadline: Duration::from_secs(2),
            instrument_limit: MAX_INSTRUMENTS,
            parser_queue: None,
            read_buffer_bytes: 32 * 1024,
            max_frame_bytes: 1024 * 1024,
            headers: Vec::new(),
            jitter_seed: fastrand::u64(..),
        }
    }
}
