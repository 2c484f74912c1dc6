//! Errors of requests to a connection, and the one-line display of errors.

use std::error::Error;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Displays an error and its causes in one line: "error: cause: cause".
#[derive(Debug, Clone, Copy)]
pub struct ErrorChain<'a>(pub &'a (dyn Error + 'a));

impl fmt::Display for ErrorChain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        let mut source = self.0.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

/// More instruments were requested than the connection can hold. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} more instruments requested, {free} of {limit} free on this connection")]
#[non_exhaustive]
pub struct CapacityError {
    /// Number of new instruments requested.
    pub asked: usize,
    /// Number of instruments the connection could still hold.
    pub free: usize,
    /// The connection's limit.
    pub limit: usize,
}

/// Why instruments could not be subscribed. Nothing changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// They exceed the connection's limit.
    #[error(transparent)]
    Capacity(#[from] CapacityError),
    /// The connection has ended.
    #[error("the connection has ended; subscribe on another")]
    Closed,
}

/// A setting outside its range.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} is {value}; it must be {range}")]
#[non_exhaustive]
pub struct ConfigError {
    /// The setting's name.
    pub field: &'static str,
    /// The value it was set to.
    pub value: String,
    /// The values it accepts.
    pub range: &'static str,
}

impl ConfigError {
    /// Creates an error from a setting, its value and the values it accepts.
    pub fn new(field: &'static str, value: impl fmt::Debug, range: &'static str) -> Self {
        Self { field, value: format!("{value:?}"), range }
    }
}

/// Maximum size of a queue or ring in frames, whose slots are allocated up front.
pub(crate) const MAX_QUEUE: usize = 1 << 20;

/// Checks a number against its range.
pub(crate) fn check_range(
    field: &'static str,
    value: usize,
    range: RangeInclusive<usize>,
    named: &'static str,
) -> Result<(), ConfigError> {
    if range.contains(&value) { Ok(()) } else { Err(ConfigError::new(field, value, named)) }
}

/// A day: far beyond any sensible timeout, and far from the end of the clock.
const MAX_DURATION: Duration = Duration::from_secs(24 * 60 * 60);

/// Checks that a duration is above zero and at most a day.
pub(crate) fn check_duration(field: &'static str, value: Duration) -> Result<(), ConfigError> {
    if value > Duration::ZERO && value <= MAX_DURATION {
        Ok(())
    } else {
        Err(ConfigError::new(field, value, "above 0 and at most a day"))
    }
}

/// Why a connection could not be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// A setting is outside its range.
    #[error("invalid configuration")]
    Config(#[from] ConfigError),
    /// No Tokio runtime is available to run its task.
    #[error("no Tokio runtime: call this from within one")]
    NoRuntime,
    /// The Tokio runtime has no timers.
    #[error("the Tokio runtime has no timers: build it with enable_time or enable_all")]
    NoTimers,
    /// The Tokio runtime has no I/O.
    #[error("the Tokio runtime has no I/O: build it with enable_io or enable_all")]
    NoIo,
}
