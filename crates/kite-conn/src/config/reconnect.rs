//! When a lost connection is opened again.

use std::time::Duration;

use crate::error::{ConfigError, check_duration};

/// When a lost connection is reopened, and when it is given up.
#[derive(Debug, Clone, Copy)]
pub struct Reconnect {
    /// Base of the exponential backoff, full jitter. Default 2 s; above 0 and at most a day.
    pub delay: Duration,
    /// Longest delay between two attempts (the base, if that is longer). Default 30 s; any value.
    pub delay_cap: Duration,
    /// Reconnects in a row, without a stable connection between them, after which the connection is
    /// parked. Default unlimited; any value, including 0.
    pub max_attempts: usize,
    /// Time a connection must stay up before its failures are forgotten, so that one that is
    /// accepted and dropped immediately is not retried at full speed. Default 10 s; above 0 and at
    /// most a day.
    pub stable_after: Duration,
    /// Seed of the backoff's jitter. Default random; any value.
    pub jitter_seed: u64,
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(2),
            delay_cap: Duration::from_secs(30),
            max_attempts: usize::MAX,
            stable_after: Duration::from_secs(10),
            jitter_seed: fastrand::u64(..),
        }
    }
}

impl Reconnect {
    /// Checks every setting.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range, such as
    /// `reconnect.delay`.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_duration("reconnect.delay", self.delay)?;
        check_duration("reconnect.stable_after", self.stable_after)
    }
}
