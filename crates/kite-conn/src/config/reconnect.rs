//! When a lost connection is opened again.

use std::time::Duration;

use crate::error::{ConfigError, check_duration};

/// When a lost connection is reopened, and when it is given up.
#[derive(Debug, Clone, Copy)]
pub struct Reconnect {
    /// First step of the exponential backoff. Default 2 s; above 0 and at most a day.
    pub delay: Duration,
    /// Longest step (the first, if that is longer). Default 30 s; any value.
    pub delay_cap: Duration,
    /// How the steps grow, and what delay follows from a step. Default [`Backoff::FullJitter`].
    pub backoff: Backoff,
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

/// How the delays between attempts grow, and how they vary.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub enum Backoff {
    /// Each step is twice the one before, and the delay is a random part of it, so that clients
    /// disconnected at the same time do not reconnect at the same time. After a refusal that an
    /// early attempt cannot overcome, the delay is at least half of the step or of the cap.
    #[default]
    FullJitter,
    /// Each step is `factor` times the one before, and the delay is close to it, after a refusal
    /// too. Twisted reconnects like this, and so does Kite's Python client: `delay` 1 s, `factor` e,
    /// `deviation` 0.12.
    Around {
        /// From 1 to 1,000.
        factor: f64,
        /// Standard deviation of the delay, as a part of the step; from 0 to 1. A delay may exceed
        /// the cap by it.
        deviation: f64,
    },
}

impl Backoff {
    fn validate(&self) -> Result<(), ConfigError> {
        let Self::Around { factor, deviation } = *self else { return Ok(()) };
        if !(1.0..=1_000.0).contains(&factor) {
            return Err(ConfigError::new("reconnect.backoff.factor", factor, "from 1 to 1,000"));
        }
        if !(0.0..=1.0).contains(&deviation) {
            return Err(ConfigError::new("reconnect.backoff.deviation", deviation, "from 0 to 1"));
        }
        Ok(())
    }
}

impl Default for Reconnect {
    fn default() -> Self {
        Self {
            delay: Duration::from_secs(2),
            delay_cap: Duration::from_secs(30),
            backoff: Backoff::default(),
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
        check_duration("reconnect.stable_after", self.stable_after)?;
        self.backoff.validate()
    }
}
