//! The connections of one account and the instruments they share.
//!
//! Control plane only: no frame passes here. All state is behind one lock that is held for map
//! operations and never across an await; requests are placed and posted to the connections under
//! it, so that concurrent callers see one order everywhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use kite_conn::{
    Connection, ConnectionConfig, Credentials, Endpoint, EventLane, MAX_INSTRUMENTS, Phase, Sink,
    SpawnError, Stamp, Status, SubscribeError, Tagged,
};
use kite_wire::Mode;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::balancer::{Balancer, Plan};
use crate::config::{MAX_CONNECTIONS, ManagerConfig};
use crate::error::{CapacityError, StartError};
use crate::snapshot::{ConnectionSnapshot, Snapshot};

/// Up to three connections of one account, and the instruments balanced over them.
///
/// Cheap to clone and usable from many tasks. Dropping the last clone closes the connections
/// politely in the background.
#[derive(Debug, Clone)]
pub struct Manager {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    events: EventLane,
    control: Mutex<Control>,
}

#[derive(Debug)]
struct Control {
    config: ManagerConfig,
    balancer: Balancer,
    credentials: Credentials,
    /// The connections of the present run, or of the last one while stopped.
    connections: Vec<Connection>,
    /// When the present run was started; `None` while stopped.
    started: Option<Stamp>,
    /// Whether nobody has waited for the present run's start to its end.
    undecided: bool,
    rates: Vec<Rate>,
}

impl Manager {
    /// Makes a manager; nothing is connected and nothing checked before [`Manager::start`].
    #[must_use]
    pub fn new(credentials: Credentials, config: ManagerConfig) -> Self {
        // Settings are judged at the start; until then none may cost more than a valid one.
        let balancer = Balancer::new(
            config.connections.min(MAX_CONNECTIONS),
            config.connection.instrument_limit.min(MAX_INSTRUMENTS),
        );
        let control = Control {
            balancer,
            credentials,
            config,
            connections: Vec::new(),
            started: None,
            undecided: false,
            rates: Vec::new(),
        };
        let (events, control) = (EventLane::default(), Mutex::new(control));
        Self { shared: Arc::new(Shared { events, control }) }
    }

    /// Opens the connections; what they receive goes to the sinks that `make_sink` makes for each
    /// connection's number.
    ///
    /// Completes once all connections are up. Where at `connect_timeout`, or once the others have
    /// been refused, at least one is up, that is a success too: the rest keep trying. While running
    /// it does nothing, whatever state the connections are in.
    ///
    /// # Errors
    /// [`StartError`] if no connection is up; at once where all were refused for good. No socket
    /// is left open then, and the subscriptions are kept.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections opening in the background; [`Manager::stop`]
    /// ends them.
    pub async fn start<S: Sink>(
        &self,
        make_sink: impl FnMut(usize) -> S,
    ) -> Result<(), StartError> {
        self.config().validate()?;
        // Listening begins before the first connection does: no change of state is missed.
        let events = self.shared.events.subscribe();
        let Some(connections) = self.connect(make_sink)? else { return Ok(()) };
        let started = self.wait_until_up(&connections, events).await;
        match started {
            Ok(()) => self.lock().undecided = false,
            Err(StartError::Refused { .. } | StartError::Timeout { .. }) => self.stop().await,
            Err(_) => {}
        }
        started
    }

    /// Makes the connections of a run and tells them their instruments. Gives those of a run whose
    /// start was not waited for to its end, and `None` of one that is decided.
    fn connect<S: Sink>(
        &self,
        mut make_sink: impl FnMut(usize) -> S,
    ) -> Result<Option<Vec<Connection>>, SpawnError> {
        let mut control = self.lock();
        if control.started.is_some() {
            return Ok(control.undecided.then(|| control.connections.clone()));
        }
        // Before the first of them: none is up for longer than the run.
        let now = Stamp::now();
        let mut connections = Vec::new();
        for (number, instruments) in control.balancer.distribution().into_iter().enumerate() {
            let common = &control.config.connection;
            // Connections of one seed would come back at the same moment.
            let jitter_seed = common.jitter_seed.wrapping_add(number as u64);
            let config = ConnectionConfig { jitter_seed, ..common.clone() };
            let (credentials, events) = (control.credentials.clone(), &self.shared.events);
            let connection =
                Connection::spawn(config, credentials, make_sink(number), events, number)?;
            post(&connection, instruments.into_iter().map(|(token, mode)| (token, Some(mode))));
            connections.push(connection);
        }
        control.rates = vec![Rate::from(now); connections.len()];
        control.connections.clone_from(&connections);
        control.started = Some(now);
        control.undecided = true;
        Ok(Some(connections))
    }

    async fn wait_until_up(
        &self,
        connections: &[Connection],
        mut events: broadcast::Receiver<Tagged>,
    ) -> Result<(), StartError> {
        let timeout = self.config().connection.connect_timeout;
        let deadline = Instant::now() + timeout + LAST_WORD;
        let mut overdue = false;
        loop {
            let statuses: Vec<Status> = connections.iter().map(Connection::status).collect();
            if let Some(outcome) = judge(&statuses, overdue, timeout) {
                return outcome;
            }
            // A lag is fine: the statuses tell all.
            overdue = tokio::time::timeout_at(deadline, events.recv()).await.is_err();
        }
    }

    /// Closes the connections: close frames, a deadline, the end of the sinks. Subscriptions are
    /// kept for a later start. Without a start before it does nothing.
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connections close even if the future is dropped.
    pub async fn stop(&self) {
        let connections = {
            let mut control = self.lock();
            control.started = None;
            control.connections.clone()
        };
        join_all(connections.iter().map(Connection::close)).await;
    }

    /// Subscribes instruments, balanced over the connections; those already subscribed are
    /// skipped and keep their mode.
    ///
    /// `Ok` means accepted and placed: Kite sends no acknowledgement. Works before a start and
    /// while disconnected: it goes out once connected.
    ///
    /// # Errors
    /// [`CapacityError`] if there is not enough room; nothing is changed then.
    pub fn subscribe(&self, tokens: &[u32], mode: Mode) -> Result<(), CapacityError> {
        let mut control = self.lock();
        let plan = control.balancer.plan_subscribe(tokens, mode)?;
        control.carry_out(&plan);
        Ok(())
    }

    /// Ends subscriptions; unknown instruments are ignored.
    pub fn unsubscribe(&self, tokens: &[u32]) {
        let mut control = self.lock();
        let plan = control.balancer.plan_unsubscribe(tokens);
        control.carry_out(&plan);
    }

    /// Changes the mode of subscribed instruments; unknown ones are ignored.
    pub fn set_mode(&self, tokens: &[u32], mode: Mode) {
        let mut control = self.lock();
        let plan = control.balancer.plan_mode(tokens, mode);
        control.carry_out(&plan);
    }

    /// Gives the instruments of each connection and their modes, by connection number.
    #[must_use]
    pub fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.lock().balancer.distribution()
    }

    /// Uses another access token from the next handshake on; parked and waiting connections try
    /// at once, open sockets stay.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        let mut control = self.lock();
        control.credentials = Credentials::new(control.credentials.api_key(), access_token);
        for connection in &control.connections {
            connection.set_credentials(control.credentials.clone());
        }
    }

    /// Connects elsewhere from the next start on.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.lock().config.connection.endpoint = endpoint;
    }

    /// Asks every open socket for a sign of life; says whether there was one to ask.
    pub fn ping(&self) -> bool {
        let control = self.lock();
        control.connections.iter().filter(|connection| connection.ping()).count() > 0
    }

    /// Says whether it has been started and not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Says whether a socket is up at this moment.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let control = self.lock();
        control.connections.iter().any(|connection| connection.status().phase == Phase::Live)
    }

    /// Listens to what happens to the connections from now on, tagged by their numbers.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Tagged> {
        self.shared.events.subscribe()
    }

    /// Reads the state of all connections. While stopped it is that of the last run.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Stamp::now();
        let mut control = self.lock();
        let Control { connections, rates, balancer, started, .. } = &mut *control;
        let counts = balancer.counts();
        let connections = connections.iter().zip(rates).zip(counts).enumerate();
        let connections = connections.map(|(number, ((connection, rate), &instruments))| {
            let stats = connection.stats();
            ConnectionSnapshot {
                connection: number,
                status: connection.status(),
                stats,
                instruments,
                frames_per_second: rate.update(now, stats.frames_delivered),
                uptime: stats.up_since.map_or(Duration::ZERO, |since| now.since(since)),
            }
        });
        Snapshot {
            connections: connections.collect(),
            instruments: counts.iter().sum(),
            uptime: started.map_or(Duration::ZERO, |started| now.since(started)),
        }
    }

    /// Gives the settings.
    #[must_use]
    pub fn config(&self) -> ManagerConfig {
        self.lock().config.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Control> {
        // A plan is computed before anything is changed: a poisoned state is still whole.
        self.shared.control.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Control {
    fn carry_out(&mut self, plan: &Plan) {
        self.balancer.take(plan);
        for (number, changes) in plan.changes() {
            if let Some(connection) = self.connections.get(number) {
                post(connection, changes.iter().copied());
            }
        }
    }
}

/// Posts changes that the balancer has fitted into the connection's limit.
fn post(connection: &Connection, changes: impl Iterator<Item = (u32, Option<Mode>)>) {
    let posted = connection.apply(changes);
    // One that has ended, of a run being stopped, wants nothing; the next run is told all anew.
    debug_assert!(
        matches!(posted, Ok(()) | Err(SubscribeError::Closed)),
        "the balancer and the connection have one limit: {posted:?}"
    );
}

/// What a start waits beyond `connect_timeout`: its connections have the same timeout, and shall
/// say why they failed before it speaks for them.
const LAST_WORD: Duration = Duration::from_millis(100);

/// Judges a start: `None` while it is open.
fn judge(statuses: &[Status], overdue: bool, timeout: Duration) -> Option<Result<(), StartError>> {
    let connections = statuses.len();
    let live = statuses.iter().filter(|status| status.phase == Phase::Live).count();
    let refused = |status: &&Status| {
        status.phase != Phase::Live
            && (matches!(status.last_failure, Some(kite_conn::OpenError::Refused(_)))
                || status.phase == Phase::Parked)
    };
    if statuses.iter().any(|status| status.phase == Phase::Closed) {
        return Some(Err(StartError::Stopped));
    }
    if live > 0 && (overdue || live + statuses.iter().filter(refused).count() == connections) {
        return Some(Ok(()));
    }
    let parked: Vec<_> = statuses.iter().filter_map(|status| status.parked.as_ref()).collect();
    if let (Some(&reason), true) = (parked.first(), parked.len() == connections) {
        return Some(Err(StartError::Refused { connections, reason: reason.clone() }));
    }
    overdue.then(|| {
        let last_failure = statuses.iter().find_map(|status| status.last_failure.clone());
        Err(StartError::Timeout { connections, timeout, last_failure })
    })
}

/// The shortest time between two readings that a rate is computed over.
const RATE_INTERVAL: Duration = Duration::from_millis(200);

/// Turns readings of a count into a rate.
#[derive(Debug, Clone, Copy)]
struct Rate {
    since: Stamp,
    count: u64,
    per_second: f64,
}

impl Rate {
    fn from(since: Stamp) -> Self {
        Self { since, count: 0, per_second: 0.0 }
    }

    /// Takes a reading; gives the rate since the last one that was long enough ago.
    fn update(&mut self, now: Stamp, count: u64) -> f64 {
        let interval = now.since(self.since);
        if interval >= RATE_INTERVAL {
            let per_second = count.saturating_sub(self.count) as f64 / interval.as_secs_f64();
            *self = Self { since: now, count, per_second };
        }
        self.per_second
    }
}

#[cfg(test)]
mod tests {
    use kite_conn::{OpenError, ParkReason};

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(30);

    fn status(phase: Phase) -> Status {
        let mut status = Status::default();
        status.phase = phase;
        if phase == Phase::Parked {
            status.parked = Some(ParkReason::AttemptsUsedUp { failures: 6, limit: 5, last: None });
        }
        status
    }

    fn judged(phases: &[Phase], overdue: bool) -> Option<Result<(), String>> {
        let statuses: Vec<Status> = phases.iter().copied().map(status).collect();
        judge(&statuses, overdue, TIMEOUT).map(|outcome| outcome.map_err(|error| error.to_string()))
    }

    #[test]
    fn a_start_waits_for_all_and_at_its_deadline_takes_one() {
        use Phase::{Live, Opening, Waiting};
        assert_eq!(judged(&[Live, Live, Live], false), Some(Ok(())));
        assert_eq!(judged(&[Live, Opening, Live], false), None);
        assert_eq!(judged(&[Live, Waiting, Opening], true), Some(Ok(())));
        let late = "no connection was up within 30s, 2 tried".to_owned();
        assert_eq!(judged(&[Waiting, Opening], true), Some(Err(late)));
    }

    #[test]
    fn what_will_not_come_back_by_itself_is_not_waited_for() {
        use Phase::{Live, Parked, Waiting};
        assert_eq!(judged(&[Live, Parked], false), Some(Ok(())));
        assert_eq!(judged(&[Parked, Waiting], false), None);
        let refused = "no connection could be opened, 2 tried".to_owned();
        assert_eq!(judged(&[Parked, Parked], false), Some(Err(refused)));
    }

    #[test]
    fn a_stop_ends_a_start() {
        use Phase::{Closed, Live, Opening};
        let stopped = "stopped while starting".to_owned();
        assert_eq!(judged(&[Opening, Closed], false), Some(Err(stopped.clone())));
        // The live one says goodbye to its server, which takes longer.
        assert_eq!(judged(&[Live, Closed], false), Some(Err(stopped)));
    }

    #[test]
    fn a_late_start_names_the_last_failure() {
        let mut waiting = status(Phase::Waiting);
        waiting.last_failure = Some(OpenError::NoAddress { host: "nowhere".to_owned() });
        let Some(Err(error)) = judge(&[waiting], true, TIMEOUT) else { panic!("it is late") };
        let shown = kite_conn::ErrorChain(&error).to_string();
        assert_eq!(shown, "no connection was up within 30s, 1 tried: nowhere has no address");
    }

    #[test]
    fn a_rate_is_taken_over_an_interval_long_enough() {
        let start = Stamp::now();
        let later = |millis| Stamp::at(start.to_instant() + Duration::from_millis(millis));
        let mut rate = Rate::from(start);
        assert_eq!(rate.update(later(100), 50), 0.0);
        assert_eq!(rate.update(later(500), 100), 200.0);
        assert_eq!(rate.update(later(550), 900), 200.0);
        assert_eq!(rate.update(later(1_500), 100), 0.0);
    }
}
