//! The status of a connection.

use super::loss::ParkReason;
use super::stopped::Stopped;
use crate::transport::OpenError;

/// The status of a connection.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Status {
    /// What it is doing.
    pub phase: Phase,
    /// Number of its current or last socket, from 1; 0 before the first.
    pub epoch: u32,
    /// Why the last attempt to open a socket failed; `None` once one succeeds.
    pub last_failure: Option<OpenError>,
    /// Why it is parked, if it is.
    pub parked: Option<ParkReason>,
    /// How it ended, once it has.
    pub stopped: Option<Stopped>,
}

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Phase {
    /// Opening a socket.
    #[default]
    Opening,
    /// Requesting credentials from the token source.
    Renewing,
    /// A socket is open and its handshake done.
    Live,
    /// Waiting for the next attempt.
    Waiting,
    /// No longer reconnecting on its own; subscriptions are kept.
    Parked,
    /// Ended.
    Closed,
}
