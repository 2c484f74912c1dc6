//! Errors: a broken promise, or a run that could not begin.

use std::fmt;

use kite_conn::{EndpointError, SpawnError, SubscribeError, TlsError};
use kite_sim::SimError;

/// A broken promise.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The connection's number, from 0.
    pub connection: usize,
    /// Its transport.
    pub over: &'static str,
    /// Number of the connection's fault, from 1; `None` for the comparison at the end.
    pub ordinal: Option<u64>,
    /// The fault.
    pub fault: Option<String>,
    /// What was wrong.
    pub what: String,
    /// The connection's last events.
    pub history: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} over {}", self.connection, self.over)?;
        match (self.ordinal, &self.fault) {
            (Some(ordinal), Some(fault)) => write!(f, ", fault {ordinal}: {fault}")?,
            _ => write!(f, ", at the end")?,
        }
        writeln!(f, "\n    {}", self.what)?;
        for line in &self.history {
            writeln!(f, "      {line}")?;
        }
        Ok(())
    }
}

/// Why a run could not begin.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChaosError {
    /// A simulator did not start.
    Sim(SimError),
    /// A simulator's certificate is invalid.
    Tls(TlsError),
    /// A simulator's address is invalid.
    Endpoint(EndpointError),
    /// A connection did not start.
    Spawn(SpawnError),
    /// A connection rejected its instruments.
    Subscribe(SubscribeError),
}

impl fmt::Display for ChaosError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sim(_) => "a simulator did not start",
            Self::Tls(_) => "a simulator's certificate cannot be trusted",
            Self::Endpoint(_) => "a simulator's address cannot be used",
            Self::Spawn(_) => "a connection did not start",
            Self::Subscribe(_) => "a connection rejected its instruments",
        })
    }
}

impl std::error::Error for ChaosError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(match self {
            Self::Sim(error) => error,
            Self::Tls(error) => error,
            Self::Endpoint(error) => error,
            Self::Spawn(error) => error,
            Self::Subscribe(error) => error,
        })
    }
}
