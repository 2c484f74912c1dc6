//! Starts the connections of a manager and waits for them.

use std::time::Duration;

use futures_util::future::select_all;
use kite_conn::{Connection, Phase, Status};
use tokio::time::Instant;

use crate::error::{NotLive, StartError};
use crate::manager::Manager;
use crate::run::Run;
use crate::run::judge::{REPORT_GRACE, judge};

impl Manager {
    /// Opens the connections, as [`Manager::begin`] does, and waits for them.
    ///
    /// Completes once all connections are up. It also succeeds if at least one is up at
    /// `connect_timeout`, or once all others have been refused; the rest keep trying. Does nothing
    /// while running, regardless of the state of the connections.
    ///
    /// # Errors
    /// Returns [`StartError`] if no connection is up, without waiting if all were permanently
    /// refused or if the Tokio runtime has no timers or no I/O. No socket is left open then, and
    /// the subscriptions are kept.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections opening in the background; [`Manager::stop`]
    /// ends them, and a later start waits for them.
    pub async fn start(&self) -> Result<(), StartError> {
        let (run, connections) = match self.open(true)? {
            Run::Begun(run, connections) | Run::Undecided(run, connections) => (run, connections),
            Run::Decided => return Ok(()),
        };
        let started = self.wait_until_up(&connections).await;
        match started {
            Ok(()) => self.lock().undecided = false,
            // Unless another task has stopped it, and perhaps started another run.
            Err(_) if self.lock().started == Some(run) => {
                self.stop().await;
            }
            Err(_) => {}
        }
        started
    }

    /// Opens the connections and returns immediately; they keep trying in the background. Received
    /// data goes to the taps, the streams of [`Manager::stream`] and [`Manager::latest`].
    ///
    /// A connection that is permanently refused parks and is reported as an
    /// [`Event::Parked`](kite_conn::Event::Parked), also if it is the only one: the manager keeps
    /// running, and [`Manager::set_access_token`] lets it retry. To learn when all connections are
    /// up, call [`Manager::wait_until_live`] or read the events, subscribed to before this call.
    /// Does nothing while running.
    ///
    /// # Errors
    /// Returns [`StartError`] if a setting is outside its range or there is no Tokio runtime with
    /// timers and I/O. Nothing is changed then.
    pub fn begin(&self) -> Result<(), StartError> {
        self.open(false).map(drop)
    }

    /// Opens the connections unless they are open. If the start is `awaited`, the caller waits for
    /// its outcome.
    fn open(&self, awaited: bool) -> Result<Run, StartError> {
        self.config().validate()?;
        let core = &self.core;
        let run = self.connect(awaited, |slot, config, credentials, events| {
            Connection::spawn(config, credentials, core.sink(slot), events, slot)
        })?;
        Ok(run)
    }

    async fn wait_until_up(&self, connections: &[Connection]) -> Result<(), StartError> {
        let timeout = self.config().connection.transport.connect_timeout;
        let deadline = Instant::now() + timeout + REPORT_GRACE;
        let mut overdue = false;
        loop {
            let (statuses, changed) = statuses(connections);
            if let Some(outcome) = judge(&statuses, overdue, timeout) {
                return outcome;
            }
            overdue = tokio::time::timeout_at(deadline, changed).await.is_err();
        }
    }

    /// Waits until every connection of every account is live.
    ///
    /// # Errors
    /// Returns [`NotLive`] after `deadline`, or immediately if a connection is parked or closed or
    /// nothing was started. Nothing is undone; the connections keep trying.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Panics
    /// On a runtime without timers, unless it returns immediately.
    pub async fn wait_until_live(&self, deadline: Duration) -> Result<(), NotLive> {
        let deadline = Instant::now() + deadline;
        loop {
            let (statuses, changed) = statuses(&self.lock().connections());
            let live = statuses.iter().filter(|status| status.phase == Phase::Live).count();
            if live == statuses.len() && live > 0 {
                return Ok(());
            }
            let hopeless = |status: &Status| matches!(status.phase, Phase::Parked | Phase::Closed);
            let waited = if statuses.is_empty() || statuses.iter().any(hopeless) {
                false
            } else {
                tokio::time::timeout_at(deadline, changed).await.is_ok()
            };
            if !waited {
                let last_failure = statuses.iter().find_map(|status| status.last_failure.clone());
                return Err(NotLive { live, connections: statuses.len(), last_failure });
            }
        }
    }
}

/// Returns the statuses of the connections, and a future that completes once one has changed.
fn statuses(connections: &[Connection]) -> (Vec<Status>, impl Future<Output = ()> + use<>) {
    let mut watches: Vec<_> = connections.iter().map(Connection::watch).collect();
    let statuses = watches.iter_mut().map(|it| it.borrow_and_update().clone()).collect();
    let changed = async move {
        let changes = watches.iter_mut().map(|it| Box::pin(it.changed()));
        let _ = select_all(changes).await;
    };
    (statuses, changed)
}
