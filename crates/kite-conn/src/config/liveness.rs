//! When an open socket is considered dead, and its ticks stale.

use std::time::Duration;

use crate::error::{ConfigError, check_duration};

/// Limits for the server's silence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Liveness {
    /// Silence of the socket after which a ping is sent; after twice this without receiving a byte
    /// the socket is considered dead and replaced. On a slow link a message may therefore take any
    /// time to arrive. Default 10 s; above 0 and at most a day.
    pub silence_threshold: Duration,
    /// Time without ticks on a socket with heartbeats after which [`Event::TicksStale`] is sent.
    /// Default 60 s; above 0 and at most a day.
    ///
    /// [`Event::TicksStale`]: crate::Event::TicksStale
    pub stale_after: Duration,
    /// Limit for the closing handshake, which Kite often does not finish. Default 2 s; above 0 and
    /// at most a day.
    pub close_deadline: Duration,
}

impl Default for Liveness {
    fn default() -> Self {
        Self {
            silence_threshold: Duration::from_secs(10),
            stale_after: Duration::from_secs(60),
            close_deadline: Duration::from_secs(2),
        }
    }
}

impl Liveness {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range, such as
    /// `liveness.silence_threshold`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_duration("liveness.silence_threshold", self.silence_threshold)?;
        check_duration("liveness.stale_after", self.stale_after)?;
        check_duration("liveness.close_deadline", self.close_deadline)
    }
}
