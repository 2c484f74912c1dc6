//! The runs of a manager, each from a start to a stop.

mod in_place;
mod judge;
mod start;
mod stop;
mod watchman;

use std::sync::Arc;

use kite_conn::{Connection, ConnectionConfig, Credentials, EventLane, Phase, SpawnError, Stamp};

use crate::manager::{AccountSource, Control, Manager};

pub use in_place::InPlaceStream;
pub(crate) use stop::sum;
use watchman::Watched;

/// The run that [`Manager::connect`] found or began, with its start time and its connections.
#[derive(Debug)]
pub(crate) enum Run {
    /// A new run.
    Begun(Stamp, Vec<Connection>),
    /// A run whose start is undecided.
    Undecided(Stamp, Vec<Connection>),
    /// A run whose start succeeded.
    Decided,
}

impl Manager {
    /// Creates the connections of a run with `make`, which receives the slot, and subscribes their
    /// instruments, unless a run exists. If the start is `awaited`, the run is undecided until a
    /// caller has waited for the outcome.
    pub(crate) fn connect(
        &self,
        awaited: bool,
        mut make: impl FnMut(
            usize,
            ConnectionConfig,
            Credentials,
            &EventLane,
        ) -> Result<Connection, SpawnError>,
    ) -> Result<Run, SpawnError> {
        let mut control = self.lock();
        // A run is over if all its connections have ended, with their runtime or because a sink
        // panicked.
        let has_ended = |open: &Connection| open.status().phase == Phase::Closed;
        let run = control.started.filter(|_| !control.connections().iter().all(has_ended));
        if run.is_some() && !control.undecided {
            return Ok(Run::Decided);
        }
        // Before anything changes. A caller that waits for another's start needs timers too.
        let runtime = Connection::runtime()?;
        if let Some(run) = run {
            return Ok(Run::Undecided(run, control.connections()));
        }
        // Taken before the first connection, so that none is up for longer than the run.
        let now = Stamp::now();
        self.core.hub.begin();
        let Control { config, accounts, .. } = &mut *control;
        let core = &self.core;
        let events = core.next_run_events();
        let mut make =
            |slot, config, credentials| make(slot, config, credentials, &events.connections);
        let limit = config.connection.transport.connect_timeout;
        for (index, account) in accounts.iter_mut().enumerate() {
            let source = config.connection.token_source.clone();
            let source = source.map(|source| AccountSource::new(core, index, source, limit));
            if let Err(error) = account.connect(config, now, source.as_ref(), &mut make) {
                core.hub.end();
                return Err(error);
            }
        }
        control.started = Some(now);
        control.undecided = awaited;
        let connections = control.connections();
        events.end.begin(&connections);
        let changes = events.connections.subscribe();
        let watched = Watched::new(core, events.end);
        let watching = runtime.spawn(watchman::watch(watched, changes, Arc::clone(&core.recheck)));
        if let Some(former) = control.watchman.replace(watching.abort_handle()) {
            former.abort();
        }
        Ok(Run::Begun(now, connections))
    }
}
