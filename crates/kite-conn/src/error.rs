//! Why a request to a connection was refused, and how errors are shown in one line.

use std::error::Error;
use std::fmt;

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

/// More instruments than the connection takes. Nothing was changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} more instruments asked, {free} free of {limit} on this connection")]
#[non_exhaustive]
pub struct CapacityError {
    /// How many new instruments were asked for.
    pub asked: usize,
    /// How many the connection could still take.
    pub free: usize,
    /// The connection's limit.
    pub limit: usize,
}

/// Why a connection could not be started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// There is no Tokio runtime to run its task on.
    #[error("no Tokio runtime: call this from within one")]
    NoRuntime,
}
