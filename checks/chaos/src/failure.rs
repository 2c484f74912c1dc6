//! What went wrong: with a promise, or with the run itself.

use std::fmt;

use kite_conn::{EndpointError, SpawnError, SubscribeError, TlsError};
use kite_sim::SimError;

/// A promise that was not held.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Failure {
    /// The connection's number, from 0.
    pub connection: usize,
    /// What it goes over.
    pub over: &'static str,
    /// Which of the connection's faults it was, from 1; `None`: what is compared at the end.
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

/// Why a run could not be done.
#[derive(Debug)]
#[non_exhaustive]
pub enum ChaosError {
    /// A simulator did not start.
    Sim(SimError),
    /// Its certificate is none.
    Tls(TlsError),
    /// Its address is none.
    Endpoint(EndpointError),
    /// A connection did not start.
    Spawn(SpawnError),
    /// A connection took no instruments.
    Subscribe(SubscribeError),
}

impl fmt::Display for ChaosError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Sim(_) => "a simulator did not start",
            Self::Tls(_) => "a simulator's certificate cannot be trusted",
            Self::Endpoint(_) => "a simulator's address cannot be used",
            Self::Spawn(_) => "a connection did not start",
            Self::Subscribe(_) => "a connection took no instruments",
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
