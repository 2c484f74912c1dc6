//! The runs of a manager: from a start to its stop.

mod in_place;
mod judge;
mod start;
mod stop;
mod watchman;

use std::sync::Arc;

use kite_conn::{Connection, ConnectionConfig, Credentials, Phase, SpawnError, Stamp};
use tokio::runtime::Handle;

use crate::manager::{Control, Manager};

pub use in_place::InPlaceStream;

/// A run of a manager: when it was started, and its connections.
#[derive(Debug)]
pub(crate) enum Run {
    /// It has just begun.
    Begun(Stamp, Vec<Connection>),
    /// It was there, and nobody has waited for its start to its end.
    Undecided(Stamp, Vec<Connection>),
    /// It was there.
    Decided,
}

impl Manager {
    /// Makes the connections of a run and tells them their instruments, unless there is a run.
    /// `make` makes the one of a slot. Where the start is `awaited`, the run is undecided until it
    /// was waited for to its end.
    pub(crate) fn connect(
        &self,
        awaited: bool,
        mut make: impl FnMut(usize, ConnectionConfig, Credentials) -> Result<Connection, SpawnError>,
    ) -> Result<Run, SpawnError> {
        let mut control = self.lock();
        // A run whose connections have all ended, with their runtime or by their sinks, is over.
        let has_ended = |open: &Connection| open.status().phase == Phase::Closed;
        if let Some(run) = control.started
            && !control.connections().iter().all(has_ended)
        {
            return Ok(match control.undecided {
                true => Run::Undecided(run, control.connections()),
                false => Run::Decided,
            });
        }
        let runtime = Handle::try_current().map_err(|_| SpawnError::NoRuntime)?;
        // Before the first of them: none is up for longer than the run.
        let now = Stamp::now();
        self.core.hub.begin();
        let Control { config, accounts, .. } = &mut *control;
        let core = &self.core;
        for account in accounts {
            if let Err(error) = account.connect(config, now, &mut make) {
                core.hub.end();
                return Err(error);
            }
        }
        control.started = Some(now);
        control.undecided = awaited;
        let connections = control.connections();
        let watching = runtime.spawn(watchman::watch(Arc::downgrade(core), Arc::clone(&core.bell)));
        if let Some(former) = control.watchman.replace(watching.abort_handle()) {
            former.abort();
        }
        Ok(Run::Begun(now, connections))
    }
}
