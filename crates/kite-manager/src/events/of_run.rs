//! The channels on which one run sends its events.
//!
//! Each run has its own, so that the listeners of a run end with it: when its connections are gone
//! and the manager has moved on to the channels of the next run, nothing is left that could send.

use std::sync::{Arc, OnceLock};

use kite_conn::{Connection, EventLane, Status, Stopped};
use tokio::sync::{broadcast, watch};

use crate::events::ManagerEvent;
use crate::run::sum;

/// Manager events kept for a slow listener.
const NOTICES: usize = 256;

/// The channels of one run, from the stop of the run before it.
#[derive(Debug, Clone)]
pub(crate) struct RunEvents {
    pub(crate) connections: EventLane,
    pub(crate) notices: broadcast::Sender<ManagerEvent>,
    pub(crate) end: RunEnd,
}

impl Default for RunEvents {
    fn default() -> Self {
        Self {
            connections: EventLane::default(),
            notices: broadcast::Sender::new(NOTICES),
            end: RunEnd::default(),
        }
    }
}

/// How a run has ended, once it has. Keeps nothing of the run alive.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunEnd(Arc<OnceLock<Vec<watch::Receiver<Status>>>>);

impl RunEnd {
    /// Begins the run.
    pub(crate) fn begin(&self, connections: &[Connection]) {
        let _ = self.0.set(connections.iter().map(Connection::watch).collect());
    }

    /// Returns whether the run was begun.
    pub(crate) fn has_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Returns whether this is the same run.
    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Returns how the run has ended, after its connections have; `None` if it was never begun.
    pub(crate) fn stopped(&self) -> Option<Stopped> {
        let stopped = |status: &watch::Receiver<Status>| status.borrow().stopped.clone();
        let connections = self.0.get()?;
        Some(sum(connections.iter().map(|status| stopped(status).unwrap_or_default())))
    }
}
