//! The connections of one or several accounts and the instruments they share.
//!
//! Control plane only: no frame passes here. All state is behind one lock that is held for map
//! operations and never across an await; requests are placed and posted to the connections under
//! it, so that concurrent callers see one order everywhere. Starts and stops are in `run`.

mod account;
mod builder;
mod control;
mod readings;
mod subscriptions;

use std::sync::Arc;

use kite_conn::{Credentials, Endpoint, EventLane};
use parking_lot::{Mutex, MutexGuard};
use tokio::sync::{Notify, broadcast};

use crate::account_id::AccountId;
use crate::config::{MAX_CONNECTIONS, ManagerConfig};
use crate::error::UnknownAccount;
use crate::events::{Events, ManagerEvent, Orders};
use crate::latest::{Latest, LatestSink, LatestTick};
use crate::seat::{Seat, Seats};
use crate::stream::{Hub, HubSink, StreamConfig, TickStream};
use crate::tap::{Tap, TapSinks};
pub(crate) use account::Account;
pub use builder::ManagerBuilder;
pub(crate) use control::Control;

/// Up to three connections of each of its accounts, and the instruments balanced over them.
///
/// Cheap to clone and usable from many tasks. Dropping the last clone closes the connections
/// politely in the background; streams and tables made from it do not keep it alive.
#[derive(Debug, Clone)]
pub struct Manager {
    pub(crate) core: Arc<Core>,
}

/// What the clones of a manager share.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) events: EventLane,
    notices: broadcast::Sender<ManagerEvent>,
    pub(crate) seats: Seats,
    pub(crate) hub: Hub,
    latest: Option<Latest>,
    taps: Vec<Tap>,
    control: Mutex<Control>,
    /// Rung when a request may have made room, or found none: the watchman looks.
    pub(crate) bell: Arc<Notify>,
}

/// What is done with the ticks of a connection.
pub(crate) type ManagerSink = (TapSinks, (HubSink, Option<LatestSink>));

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
        let seats = Seats::new(names, per_account);
        let hub = Hub::new(&seats);
        let account = |(index, (name, credentials))| {
            Account::new(name, credentials, &config, hub.clone(), index * per_account)
        };
        let accounts: Vec<Account> = accounts.into_iter().enumerate().map(account).collect();
        let core = Core {
            events: EventLane::default(),
            notices: broadcast::Sender::new(NOTICES),
            latest: config.latest.then(|| Latest::new(seats.len())),
            seats,
            hub,
            taps: config.taps.clone(),
            control: Mutex::new(Control::new(config, accounts)),
            bell: Arc::default(),
        };
        Self { core: Arc::new(core) }
    }

    /// Gives the accounts, in the order in which they were given.
    #[must_use]
    pub fn accounts(&self) -> &[AccountId] {
        self.core.seats.accounts()
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

    /// Streams what all connections receive, merged. It ends with the run: a stream made before a
    /// start belongs to that start, one made while running begins where the feed is.
    ///
    /// # Errors
    /// [`kite_conn::ConfigError`] for a bound outside of its range.
    pub fn stream(&self, config: StreamConfig) -> Result<TickStream, kite_conn::ConfigError> {
        self.core.hub.subscribe(&config)
    }

    /// Gives the table of every instrument's last packet; `None` without
    /// [`ManagerConfig::latest`].
    #[must_use]
    pub fn latest(&self) -> Option<Latest> {
        self.core.latest.clone()
    }

    /// Gives the connection that a packet of [`Manager::latest`] came on.
    #[must_use]
    pub fn seat_of(&self, tick: &LatestTick) -> Seat {
        self.core.seats.seat(tick.slot())
    }

    /// Listens from now on to what happens to the connections and to the manager itself.
    #[must_use]
    pub fn events(&self) -> Events {
        let core = &self.core;
        Events::new(core.seats.clone(), core.events.subscribe(), core.notices.subscribe())
    }

    /// Listens from now on to order updates, each told once, on however many sockets it came.
    #[must_use]
    pub fn orders(&self) -> Orders {
        Orders::new(self.core.seats.clone(), self.core.events.subscribe())
    }

    /// Gives the settings.
    #[must_use]
    pub fn config(&self) -> ManagerConfig {
        self.lock().config.clone()
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.core.lock()
    }
}

/// Notices kept for a listener that does not listen.
const NOTICES: usize = 256;

impl Core {
    pub(crate) fn lock(&self) -> MutexGuard<'_, Control> {
        self.control.lock()
    }

    /// Tells all listeners; none is fine.
    pub(crate) fn tell(&self, event: ManagerEvent) {
        let _ = self.notices.send(event);
    }

    /// Makes the sink of a slot in the present run.
    pub(crate) fn sink(&self, slot: usize) -> ManagerSink {
        let taps = TapSinks::new(&self.taps, &self.seats.seat(slot));
        (taps, (self.hub.sink(slot), self.latest.as_ref().map(|latest| latest.sink(slot))))
    }
}
