//! The connections of one or several accounts and the instruments they share.
//!
//! Control plane only: no frame passes here. All state is behind one lock that is held for map
//! operations and never across an await; requests are placed and posted to the connections under
//! it, so that concurrent callers see one order everywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use kite_conn::{
    Connection, ConnectionConfig, Credentials, Distributions, Endpoint, EventLane, InstrumentStats,
    Phase, Sink, SpawnError, Stamp, Status,
};
use kite_wire::Mode;
use tokio::runtime::Handle;
use tokio::sync::{Notify, broadcast};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use crate::account::AccountId;
use crate::builder::ManagerBuilder;
use crate::config::{MAX_CONNECTIONS, ManagerConfig};
use crate::error::{CapacityError, NotLive, StartError, SubscribeError, UnknownAccount};
use crate::events::{Events, Notice, Orders};
use crate::hub::{Hub, HubSink};
use crate::latest::{Latest, LatestSink, LatestTick};
use crate::snapshot::{Snapshot, Unseen};
use crate::start::{self, LAST_WORD};
use crate::state::Account;
use crate::stream::{StreamConfig, TickStream};
use crate::tap::Tap;
use crate::watchman;

/// Up to three connections of each of its accounts, and the instruments balanced over them.
///
/// Cheap to clone and usable from many tasks. Dropping the last clone closes the connections
/// politely in the background; streams and tables made from it do not keep it alive.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(crate) shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) events: EventLane,
    pub(crate) notices: broadcast::Sender<Notice>,
    /// The accounts' names, in the order in which they were given.
    pub(crate) accounts: Arc<[AccountId]>,
    /// How many connections each account has.
    pub(crate) per_account: usize,
    pub(crate) hub: Hub,
    latest: Option<Latest>,
    tap: Option<Tap>,
    pub(crate) control: Mutex<Control>,
    /// Rung when a request may have made room, or found none: the watchman looks.
    pub(crate) bell: Arc<Notify>,
}

#[derive(Debug)]
pub(crate) struct Control {
    pub(crate) config: ManagerConfig,
    pub(crate) accounts: Vec<Account>,
    /// When the present run was started; `None` while stopped.
    started: Option<Stamp>,
    /// Whether nobody has waited for the present run's start to its end.
    undecided: bool,
    /// The task that looks after failover.
    watchman: Option<AbortHandle>,
}

/// What the manager itself does with the ticks of a connection.
pub(crate) type SlotSink = (Option<Box<dyn Sink>>, (HubSink, Option<LatestSink>));

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

/// Where a connection belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Seat {
    /// The account.
    pub account: AccountId,
    /// The account's number among those of its manager, in the order in which they were given,
    /// from 0.
    pub account_index: usize,
    /// The connection's number within the account, from 0.
    pub connection: usize,
}

impl Drop for Shared {
    fn drop(&mut self) {
        let control = self.control.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(watchman) = control.watchman.take() {
            watchman.abort();
        }
    }
}

impl Manager {
    /// Makes a manager of one account, named by [`AccountId::default`]; nothing is connected and
    /// nothing checked before [`Manager::start`].
    #[must_use]
    pub fn new(credentials: Credentials, config: ManagerConfig) -> Self {
        Self::with_accounts(vec![(AccountId::default(), credentials)], config)
    }

    /// Sets one up step by step, also with several accounts.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    pub(crate) fn with_accounts(
        accounts: Vec<(AccountId, Credentials)>,
        config: ManagerConfig,
    ) -> Self {
        let names: Arc<[AccountId]> = accounts.iter().map(|(name, _)| name.clone()).collect();
        // Settings are judged at the start; until then none may cost more than a valid one.
        let per_account = config.connections.min(MAX_CONNECTIONS);
        let slots = names.len() * per_account;
        let seats = names
            .iter()
            .flat_map(|name| (0..per_account).map(move |connection| (name.clone(), connection)));
        let hub = Hub::new(seats);
        let account = |(index, (name, credentials))| {
            Account::new(name, credentials, &config, hub.clone(), index * per_account)
        };
        let accounts: Vec<Account> = accounts.into_iter().enumerate().map(account).collect();
        let shared = Shared {
            events: EventLane::default(),
            notices: broadcast::Sender::new(NOTICES),
            accounts: names,
            per_account,
            hub,
            latest: config.latest.then(|| Latest::new(slots)),
            tap: config.tap.clone(),
            control: Mutex::new(Control {
                config,
                accounts,
                started: None,
                undecided: false,
                watchman: None,
            }),
            bell: Arc::default(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Opens the connections. What they receive goes to the streams of [`Manager::stream`] and to
    /// [`Manager::latest`].
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
    pub async fn start(&self) -> Result<(), StartError> {
        self.start_with(|_| ()).await
    }

    /// Opens the connections as [`Manager::start`] does, and gives what they receive to sinks of
    /// the application's own as well: `make_sink` makes one for each connection.
    ///
    /// # Errors
    /// As [`Manager::start`].
    ///
    /// # Cancel safety
    /// As [`Manager::start`].
    pub async fn start_with<S: Sink>(
        &self,
        mut make_sink: impl FnMut(Seat) -> S,
    ) -> Result<(), StartError> {
        self.config().validate()?;
        // Listening begins before the first connection does: no change of state is missed.
        let events = self.shared.events.subscribe();
        let shared = &self.shared;
        let (run, connections) = match self.connect(true, |slot, config, credentials| {
            let sink = (make_sink(shared.seats().seat(slot)), shared.sink(slot));
            Connection::spawn(config, credentials, sink, &shared.events, slot)
        })? {
            Run::Begun(run, connections) | Run::Undecided(run, connections) => (run, connections),
            Run::Decided => return Ok(()),
        };
        let started = self.wait_until_up(&connections, events).await;
        match started {
            Ok(()) => self.lock().undecided = false,
            // Unless somebody else has stopped it, and perhaps started another.
            Err(_) if self.lock().started == Some(run) => self.stop().await,
            Err(_) => {}
        }
        started
    }

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
        self.shared.hub.begin();
        let Control { config, accounts, .. } = &mut *control;
        let shared = &self.shared;
        for account in accounts {
            if let Err(error) = account.connect(config, now, &mut make) {
                shared.hub.end();
                return Err(error);
            }
        }
        control.started = Some(now);
        control.undecided = awaited;
        let connections = control.connections();
        let watching =
            runtime.spawn(watchman::watch(Arc::downgrade(shared), Arc::clone(&shared.bell)));
        if let Some(former) = control.watchman.replace(watching.abort_handle()) {
            former.abort();
        }
        Ok(Run::Begun(now, connections))
    }

    async fn wait_until_up(
        &self,
        connections: &[Connection],
        mut events: broadcast::Receiver<kite_conn::Tagged>,
    ) -> Result<(), StartError> {
        let timeout = self.config().connection.connect_timeout;
        let deadline = Instant::now() + timeout + LAST_WORD;
        let mut overdue = false;
        loop {
            let statuses: Vec<Status> = connections.iter().map(Connection::status).collect();
            if let Some(outcome) = start::judge(&statuses, overdue, timeout) {
                return outcome;
            }
            // A lag is fine: the statuses tell all.
            overdue = tokio::time::timeout_at(deadline, events.recv()).await.is_err();
        }
    }

    /// Waits until every connection of every account is live.
    ///
    /// # Errors
    /// [`NotLive`] after `deadline`, at once where one is parked or closed, or where nothing was
    /// started. Nothing is undone: the connections keep trying.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait_until_live(&self, deadline: Duration) -> Result<(), NotLive> {
        let mut events = self.shared.events.subscribe();
        let deadline = Instant::now() + deadline;
        loop {
            let statuses: Vec<Status> =
                self.lock().connections().iter().map(Connection::status).collect();
            let live = statuses.iter().filter(|status| status.phase == Phase::Live).count();
            if live == statuses.len() && live > 0 {
                return Ok(());
            }
            let hopeless = |status: &Status| matches!(status.phase, Phase::Parked | Phase::Closed);
            let waited = if statuses.is_empty() || statuses.iter().any(hopeless) {
                false
            } else {
                tokio::time::timeout_at(deadline, events.recv()).await.is_ok()
            };
            if !waited {
                let last_failure = statuses.iter().find_map(|status| status.last_failure.clone());
                return Err(NotLive { live, connections: statuses.len(), last_failure });
            }
        }
    }

    /// Closes the connections: close frames, a deadline, the end of the sinks and streams.
    /// Subscriptions are kept for a later start. Without a start before it does nothing.
    ///
    /// After [`Manager::start_in_place`] it completes once the stream was polled to its end or
    /// dropped: whoever polls it does not wait here, but in [`InPlaceStream::close`].
    ///
    /// [`InPlaceStream::close`]: crate::InPlaceStream::close
    ///
    /// # Cancel safety
    /// Cancel safe: once polled, the connections close even if the future is dropped.
    pub async fn stop(&self) {
        let connections = {
            let mut control = self.lock();
            self.shared.end(&mut control);
            control.connections()
        };
        join_all(connections.iter().map(Connection::close)).await;
    }

    /// Subscribes instruments, balanced over all connections of all accounts; those that any
    /// account has already are skipped and keep their mode.
    ///
    /// `Ok` means accepted and placed: Kite sends no acknowledgement. Works before a start and
    /// while disconnected: it goes out once connected.
    ///
    /// # Errors
    /// [`CapacityError`] if there is not enough room; nothing is changed then.
    pub fn subscribe(&self, tokens: &[u32], mode: Mode) -> Result<(), CapacityError> {
        let mut control = self.lock();
        if let [account] = &mut control.accounts[..] {
            account.subscribe(tokens, mode)?;
            self.shared.tell_dark(account, tokens);
            return Ok(());
        }
        let accounts = &mut control.accounts;
        let is_new = |token: &u32| !accounts.iter().any(|account| account.has(*token));
        let new: BTreeSet<u32> = tokens.iter().copied().filter(is_new).collect();
        // Shares of whole accounts first: each then balances its own.
        let mut free: Vec<usize> = accounts.iter().map(Account::free).collect();
        let all_free: usize = free.iter().sum();
        if new.len() > all_free {
            let connections = accounts.iter().map(Account::connections).sum();
            let limit = control.config.connection.instrument_limit;
            return Err(CapacityError { asked: new.len(), free: all_free, connections, limit });
        }
        let mut shares = vec![Vec::new(); accounts.len()];
        for token in new {
            // The emptiest, the first among equals; one has room, since all together have.
            let most = (0..free.len()).rev().max_by_key(|&account| free[account]);
            let Some(account) = most else { break };
            free[account] -= 1;
            shares[account].push(token);
        }
        for (account, share) in accounts.iter_mut().zip(shares) {
            account.subscribe(&share, mode)?;
            self.shared.tell_dark(account, &share);
        }
        Ok(())
    }

    /// Subscribes instruments with one account, balanced over its connections; those that this
    /// account has already are skipped and keep their mode. Another account may have them too.
    ///
    /// # Errors
    /// [`SubscribeError`] if there is not enough room or no such account; nothing is changed then.
    pub fn subscribe_on(
        &self,
        account: &AccountId,
        tokens: &[u32],
        mode: Mode,
    ) -> Result<(), SubscribeError> {
        let mut control = self.lock();
        let account = control.account_mut(account)?;
        account.subscribe(tokens, mode)?;
        self.shared.tell_dark(account, tokens);
        Ok(())
    }

    /// Ends subscriptions with whichever account; unknown instruments are ignored.
    pub fn unsubscribe(&self, tokens: &[u32]) {
        for account in &mut self.lock().accounts {
            account.unsubscribe(tokens);
        }
        self.shared.bell.notify_one();
    }

    /// Ends subscriptions with one account; unknown instruments are ignored.
    ///
    /// # Errors
    /// [`UnknownAccount`] if there is no such account.
    pub fn unsubscribe_on(
        &self,
        account: &AccountId,
        tokens: &[u32],
    ) -> Result<(), UnknownAccount> {
        self.lock().account_mut(account)?.unsubscribe(tokens);
        self.shared.bell.notify_one();
        Ok(())
    }

    /// Changes the mode of subscribed instruments; unknown ones are ignored.
    pub fn set_mode(&self, tokens: &[u32], mode: Mode) {
        for account in &mut self.lock().accounts {
            account.set_mode(tokens, mode);
        }
    }

    /// Gives the instruments of each connection and their modes: account by account in the order
    /// they were given, within each by connection number.
    #[must_use]
    pub fn distribution(&self) -> Vec<BTreeMap<u32, Mode>> {
        self.lock().accounts.iter().flat_map(Account::distribution).collect()
    }

    /// Gives the instruments that are subscribed and have not ticked on their connection since,
    /// for those connections that have any. How a token that does not exist shows, and one that
    /// has not traded yet: an illiquid option may stay here for hours, but the snapshot after a
    /// subscription comes at once.
    #[must_use]
    pub fn unseen(&self) -> Vec<Unseen> {
        self.lock().accounts.iter().flat_map(Account::unseen).collect()
    }

    /// Gives what is known of every instrument that ticked: when last, how often, its volume; by
    /// connection and, within it, by rising token. An instrument that went to another connection
    /// is known on both.
    #[must_use]
    pub fn instruments(&self) -> Vec<(Seat, InstrumentStats)> {
        let (seats, connections) = (self.shared.seats(), self.lock().connections());
        let of = |(slot, connection): (usize, &Connection)| {
            let seat = seats.seat(slot);
            connection.instruments().into_iter().map(move |it| (seat.clone(), it))
        };
        connections.iter().enumerate().flat_map(of).collect()
    }

    /// Gives the accounts, in the order in which they were given.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        &self.shared.accounts
    }

    /// Uses another access token for the first account, which is the only one of a manager that
    /// was made by [`Manager::new`]: from the next handshake on; parked and waiting connections
    /// try at once, open sockets stay.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        if let Some(account) = self.lock().accounts.first_mut() {
            account.set_access_token(access_token.into());
        }
    }

    /// Uses another access token for an account.
    ///
    /// # Errors
    /// [`UnknownAccount`] if there is no such account.
    pub fn set_access_token_of(
        &self,
        account: &AccountId,
        access_token: impl Into<String>,
    ) -> Result<(), UnknownAccount> {
        self.lock().account_mut(account)?.set_access_token(access_token.into());
        Ok(())
    }

    /// Connects elsewhere from the next start on.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.lock().config.connection.endpoint = endpoint;
    }

    /// Asks every open socket for a sign of life; says whether there was one to ask.
    pub fn ping(&self) -> bool {
        self.lock().connections().iter().filter(|connection| connection.ping()).count() > 0
    }

    /// Says whether it has been started and not stopped since.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.lock().started.is_some()
    }

    /// Says whether a socket is up at this moment.
    #[must_use]
    pub fn is_live(&self) -> bool {
        let connections = self.lock().connections();
        connections.iter().any(|connection| connection.status().phase == Phase::Live)
    }

    /// Streams what all connections receive, merged. It ends with the run: a stream made before a
    /// start belongs to that start, one made while running begins where the feed is.
    ///
    /// # Errors
    /// [`kite_conn::ConfigError`] for a bound outside of its range.
    pub fn stream(&self, config: StreamConfig) -> Result<TickStream, kite_conn::ConfigError> {
        self.shared.hub.subscribe(&config)
    }

    /// Gives the table of every instrument's last packet; `None` without
    /// [`ManagerConfig::latest`].
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        self.shared.latest.clone()
    }

    /// Gives the connection that a packet of [`Manager::latest`] came on.
    #[must_use]
    pub fn seat_of(&self, tick: &LatestTick) -> Seat {
        self.shared.seats().seat(tick.slot())
    }

    /// Listens from now on to what happens to the connections and to the manager itself.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(&self.shared)
    }

    /// Listens from now on to order updates, each told once, on however many sockets it came.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders::new(&self.shared)
    }

    /// Reads the state of all connections. While stopped it is that of the last run.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let now = Stamp::now();
        let mut control = self.lock();
        let started = control.started;
        let accounts = &mut control.accounts;
        Snapshot {
            instruments: accounts.iter().map(Account::instruments).sum(),
            connections: accounts.iter_mut().flat_map(|account| account.snapshot(now)).collect(),
            uptime: started.map_or(Duration::ZERO, |started| now.since(started)),
        }
    }

    /// Reads how latencies, frame sizes and outages are distributed, over all connections of all
    /// accounts.
    #[must_use]
    pub fn distributions(&self) -> Distributions {
        let connections = self.lock().connections();
        connections.iter().fold(Distributions::default(), |all, connection| {
            all.merged(&connection.distributions())
        })
    }

    /// Gives the settings.
    #[must_use]
    pub fn config(&self) -> ManagerConfig {
        self.lock().config.clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.shared.lock()
    }
}

/// Notices kept for a listener that does not listen.
const NOTICES: usize = 256;

impl Shared {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        // A plan is computed before anything is changed: a poisoned state is still whole.
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the present run, but for its connections.
    fn end(&self, control: &mut Control) {
        control.started = None;
        if let Some(watchman) = control.watchman.take() {
            watchman.abort();
        }
        self.hub.end();
    }

    /// Ends this run, but for its connections, which are given; if it is the present one.
    pub(crate) fn end_run(&self, run: Stamp) -> Vec<Connection> {
        let mut control = self.lock();
        if control.started != Some(run) {
            return Vec::new();
        }
        self.end(&mut control);
        control.connections()
    }

    /// Makes the sink of a slot in the present run.
    pub(crate) fn sink(&self, slot: usize) -> SlotSink {
        let tap = self.tap.as_ref().map(|tap| tap.sink(self.seats().seat(slot)));
        (tap, (self.hub.sink(slot), self.latest.as_ref().map(|latest| latest.sink(slot))))
    }

    /// Tells of instruments that were subscribed where nobody streams them, for want of room.
    fn tell_dark(&self, account: &Account, tokens: &[u32]) {
        for (connection, tokens) in account.dark_among(tokens) {
            let (account, tokens) = (account.name.clone(), tokens.into());
            self.tell(Notice::Dark { account, connection, tokens });
        }
    }

    pub(crate) fn seats(&self) -> Seats {
        Seats { accounts: Arc::clone(&self.accounts), per_account: self.per_account }
    }
}

/// Where the connection of each slot belongs.
#[derive(Debug, Clone)]
pub(crate) struct Seats {
    accounts: Arc<[AccountId]>,
    per_account: usize,
}

impl Seats {
    pub(crate) fn seat(&self, slot: usize) -> Seat {
        let account_index = self.account(slot);
        let account = self.accounts.get(account_index).cloned().unwrap_or_default();
        Seat { account, account_index, connection: slot % self.per_account.max(1) }
    }

    /// Gives the index of the account that a slot belongs to.
    pub(crate) fn account(&self, slot: usize) -> usize {
        slot / self.per_account.max(1)
    }
}

impl Control {
    /// The connections of the present run, or of the last one while stopped, by slot.
    pub(crate) fn connections(&self) -> Vec<Connection> {
        self.accounts.iter().flat_map(|account| account.open.iter().cloned()).collect()
    }

    fn account_mut(&mut self, name: &AccountId) -> Result<&mut Account, UnknownAccount> {
        let found = self.accounts.iter_mut().find(|account| account.name == *name);
        found.ok_or_else(|| UnknownAccount { account: name.clone() })
    }
}
