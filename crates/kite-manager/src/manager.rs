//! The connections of one or several accounts and the instruments they share.
//!
//! Control plane only; no frame passes through here. All state is behind one lock that is held for
//! map operations and never across an await. Requests are placed and posted to the connections
//! under the lock, so that concurrent requests have the same order everywhere. Starts and stops are
//! in `run`.

mod account;
mod builder;
mod control;
mod readings;
mod renewal;
mod subscriptions;

use std::sync::Arc;

use kite_conn::{Credentials, Endpoint};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::Notify;

use crate::account_id::AccountId;
use crate::config::{MAX_CONNECTIONS, ManagerConfig};
use crate::error::UnknownAccount;
use crate::events::{Events, ManagerEvent, Orders, RunEnd, RunEvents, Texts};
use crate::latest::{Latest, LatestTick};
use crate::own_sinks::OwnSinks;
use crate::seat::{Seat, Seats};
use crate::stream::{Hub, StreamConfig, TickStream};
use crate::tap::{Tap, TapSinks};
pub(crate) use account::Account;
pub use builder::ManagerBuilder;
pub(crate) use control::Control;
pub(crate) use renewal::AccountSource;

/// Up to three connections for each of its accounts, and the instruments balanced across them.
///
/// Cheap to clone and usable from many tasks. Dropping the last clone drains the connections in the
/// background, within `close_deadline`, unless a stop or a drain was begun; streams and tables created from it do not keep it alive.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(crate) core: Arc<Core>,
}

/// State shared by the clones of a manager.
#[derive(Debug)]
pub(crate) struct Core {
    /// The channels of the current run or, while stopped, of the next one. Locked after `control`.
    run_events: Mutex<RunEvents>,
    pub(crate) seats: Seats,
    pub(crate) hub: Hub,
    latest: Option<Latest>,
    taps: Vec<Tap>,
    control: Mutex<Control>,
    /// Notified when a request may have freed room, so that the watchman checks again.
    pub(crate) recheck: Arc<Notify>,
}

/// The sinks of a connection: taps, streams and the table of newest packets.
pub(crate) type ManagerSink = (TapSinks, OwnSinks);

impl Manager {
    /// Creates a manager of one account, named by [`AccountId::default`]. Settings are checked and
    /// connections opened by [`Manager::start`].
    #[must_use]
    pub fn new(credentials: Credentials, config: ManagerConfig) -> Self {
        Self::with_accounts(vec![(AccountId::default(), credentials)], config)
    }

    /// Returns a builder for a manager of one or several accounts.
    pub fn builder() -> ManagerBuilder {
        ManagerBuilder::default()
    }

    pub(crate) fn with_accounts(
        accounts: Vec<(AccountId, Credentials)>,
        config: ManagerConfig,
    ) -> Self {
        let names: Arc<[AccountId]> = accounts.iter().map(|(name, _)| name.clone()).collect();
        // Settings are validated at the start. Until then an invalid one must not allocate more
        // than a valid one.
        let per_account = config.connections.min(MAX_CONNECTIONS);
        let seats = Seats::new(names, per_account);
        let hub = Hub::new(&seats);
        let account = |(index, (name, credentials))| {
            Account::new(name, credentials, &config, hub.clone(), index * per_account)
        };
        let accounts: Vec<Account> = accounts.into_iter().enumerate().map(account).collect();
        let core = Core {
            run_events: Mutex::default(),
            latest: config.latest.then(|| Latest::new(seats.len())),
            seats,
            hub,
            taps: config.taps.clone(),
            control: Mutex::new(Control::new(config, accounts)),
            recheck: Arc::default(),
        };
        Self { core: Arc::new(core) }
    }

    /// Returns the accounts, in the order they were added.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        self.core.seats.accounts()
    }

    /// Replaces the access token of the first account, which is the only one of a manager created
    /// by [`Manager::new`]. It applies starting with the next handshake: parked and waiting
    /// connections retry immediately, and open sockets stay open. If the token source is being
    /// asked, its answer is ignored.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        if let Some(account) = self.lock().accounts.first_mut() {
            account.set_access_token(access_token.into());
        }
    }

    /// Replaces the access token of an account.
    ///
    /// # Errors
    /// Returns [`UnknownAccount`] if there is no such account.
    pub fn set_access_token_of(
        &self,
        account: &AccountId,
        access_token: impl Into<String>,
    ) -> Result<(), UnknownAccount> {
        self.lock().account_mut(account)?.set_access_token(access_token.into());
        Ok(())
    }

    /// Sets the endpoint that later starts connect to.
    pub fn set_endpoint(&self, endpoint: Endpoint) {
        self.lock().config.connection.endpoint = endpoint;
    }

    /// Sends a ping on every open socket; returns whether any socket was open.
    pub fn ping(&self) -> bool {
        self.lock().connections().iter().filter(|connection| connection.ping()).count() > 0
    }

    /// Returns a merged stream of the ticks of all connections. It ends with the run. A stream
    /// created before a start belongs to that run; one created while running begins with the next
    /// frame.
    ///
    /// # Errors
    /// Returns a [`kite_conn::ConfigError`] if a setting is outside its range.
    pub fn stream(&self, config: StreamConfig) -> Result<TickStream, kite_conn::ConfigError> {
        self.core.hub.subscribe(&config)
    }

    /// Returns the table of every instrument's newest packet; `None` if [`ManagerConfig::latest`]
    /// is off.
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        self.core.latest.clone()
    }

    /// Returns the connection that received a packet of [`Manager::latest`].
    #[must_use]
    pub fn seat_of(&self, tick: &LatestTick) -> Seat {
        self.core.seats.seat(tick.slot())
    }

    /// Subscribes to events of the connections and of the manager itself sent after this call. The
    /// listener ends with the run, after [`ManagerEvent::Stopped`]. One created while stopped
    /// belongs to the next run.
    #[must_use]
    pub fn events(&self) -> Events {
        Events::new(self.core.seats.clone(), &self.core.run_events.lock())
    }

    /// Subscribes to order updates received after this call. Each is delivered once, although every
    /// socket receives it. The listener ends with the run; one created while stopped belongs to the
    /// next one.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders::new(self.core.seats.clone(), &self.core.run_events.lock())
    }

    /// Subscribes to text messages of every type received after this call. Each is delivered once,
    /// although Kite sends order updates and broadcasts on every socket. The listener ends with the
    /// run; one created while stopped belongs to the next one.
    #[must_use]
    pub fn texts(&self) -> Texts {
        Texts::new(self.core.seats.clone(), &self.core.run_events.lock())
    }

    /// Returns the settings.
    #[must_use]
    pub fn config(&self) -> ManagerConfig {
        self.lock().config.clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.core.lock()
    }
}

impl Core {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock()
    }

    /// Sends an event to all listeners, if any.
    pub(crate) fn notify(&self, event: ManagerEvent) {
        let _ = self.run_events.lock().notices.send(event);
    }

    /// Returns the channels of a run to begin, after moving on from those of the last one.
    pub(crate) fn next_run_events(&self) -> RunEvents {
        let mut run_events = self.run_events.lock();
        if run_events.end.has_begun() {
            *run_events = RunEvents::default();
        }
        run_events.clone()
    }

    /// Moves on from the channels of a run, so that its listeners end once its connections have.
    /// Does nothing if it is not the current run.
    pub(crate) fn end_events_of(&self, run: &RunEnd) {
        let mut run_events = self.run_events.lock();
        if run_events.end.is(run) {
            *run_events = RunEvents::default();
        }
    }

    /// Creates the sinks of a slot in the current run.
    pub(crate) fn sink(&self, slot: usize) -> ManagerSink {
        let taps = TapSinks::new(&self.taps, &self.seats.seat(slot));
        let latest = self.latest.as_ref().map(|latest| latest.sink(slot));
        (taps, OwnSinks { hub: self.hub.sink(slot), latest })
    }
}
