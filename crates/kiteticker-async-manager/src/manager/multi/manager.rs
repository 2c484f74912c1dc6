//! The published manager of several accounts, on top of a single typed manager.

use std::collections::{BTreeMap, HashMap};

use kite_conn::Credentials;
use kite_manager::{BuildError, MAX_CONNECTIONS, Manager, ManagerConfig, Snapshot};
use tokio::sync::broadcast;

use crate::error::describe;
use crate::manager::channels::Channels;
use crate::manager::multi::{
    ApiCredentials, ApiKeyId, ApiKeyStats, DistributionStrategy, MultiApiConfig,
    MultiApiKiteTickerManagerBuilder, MultiApiStats,
};
use crate::manager::ring::ended;
use crate::manager::runs::Runs;
use crate::manager::stats::uptime;
use crate::manager::underlying::Underlying;
use crate::manager::unified::{OrdersOnce, Unified};
use crate::manager::{ChannelId, ConnectionStats, ManagerStats};
use crate::models::{Mode, TickerMessage};

/// Streams up to 9,000 instruments of each of several Kite accounts, over up to three connections
/// each.
///
/// It behaves like [`KiteTickerManager`](crate::KiteTickerManager): subscriptions are desired
/// state, connections reconnect automatically, errors have the form "operation: error: cause", and
/// methods that change state take `&mut self`. A failing account does not affect the others.
///
/// ```no_run
/// use kiteticker_async_manager::{Mode, MultiApiKiteTickerManager, TickerMessage};
/// use tokio::sync::broadcast::error::RecvError;
///
/// #[tokio::main]
/// async fn main() -> Result<(), String> {
///     let mut manager = MultiApiKiteTickerManager::builder()
///         .add_api_key("mine", "api_key", "access_token")
///         .add_api_key("hers", "other_api_key", "other_access_token")
///         .build();
///     let mut channel = manager.get_unified_channel();
///     manager.start().await?;
///
///     // Distributed across the accounts.
///     manager.subscribe_symbols(&[256265, 738561, 408065], Some(Mode::Full)).await?;
///     // On this account.
///     manager.subscribe_symbols_to_api("mine", &[884737], Some(Mode::LTP)).await?;
///
///     let mut lost = 0;
///     loop {
///         match channel.recv().await {
///             Ok((api, TickerMessage::Ticks(ticks))) => println!("{api}: {} ticks", ticks.len()),
///             Ok((api, TickerMessage::Error(text))) => eprintln!("{api}: {text}"),
///             Ok(_) => {}
///             Err(RecvError::Lagged(missed)) => lost += missed,
///             Err(RecvError::Closed) => break,
///         }
///     }
///     println!("the channel ended, {lost} messages lost to lag");
///     Ok(())
/// }
/// ```
#[derive(Debug)]
pub struct MultiApiKiteTickerManager {
    config: MultiApiConfig,
    apis: Vec<ApiKeyId>,
    /// Why the accounts or settings are unusable. The typed manager then has no connections.
    fault: Option<BuildError>,
    runs: Runs,
}

impl MultiApiKiteTickerManager {
    /// Returns a builder without accounts.
    pub fn builder() -> MultiApiKiteTickerManagerBuilder {
        MultiApiKiteTickerManagerBuilder::new()
    }

    pub(crate) fn with_settings(
        apis: Vec<(ApiKeyId, ApiCredentials)>,
        config: MultiApiConfig,
        underlying: Underlying,
    ) -> Self {
        let mut settings = underlying.manager_config(&config.of_each());
        let mut fault = None;
        let make_manager = |tap| {
            settings.taps.insert(0, tap);
            let mut builder = Manager::builder().config(settings);
            for (id, credentials) in &apis {
                builder = builder.account(id.account(), credentials.clone().into());
            }
            builder.build().unwrap_or_else(|error| {
                fault = Some(error);
                let none = ManagerConfig { connections: 0, ..ManagerConfig::default() };
                Manager::new(Credentials::new("", ""), none)
            })
        };
        let ids: Vec<ApiKeyId> = apis.iter().map(|(id, _)| id.clone()).collect();
        let connections = connections_of_each(&config);
        let capacity = config.base_config.parser_buffer_size;
        let channels = Channels::of_accounts(&ids, connections, capacity);
        let runs = Runs::new(make_manager, underlying.endpoint, channels);
        Self { config, apis: ids, fault, runs }
    }

    /// Sets the access token that an account uses from its next handshake on. Its connections that
    /// are parked because the old token expired, or waiting to reconnect, try immediately; open
    /// sockets stay up.
    ///
    /// # Errors
    /// Returns an error if the account does not exist.
    pub fn set_access_token(
        &self,
        api_key_id: impl Into<ApiKeyId>,
        access_token: impl Into<String>,
    ) -> Result<(), String> {
        self.check_usable("set access token")?;
        let account = api_key_id.into().account();
        let set = self.typed().set_access_token_of(&account, access_token);
        set.map_err(|error| describe("set access token", &error))
    }

    /// Returns the underlying typed manager: typed errors and events, merged streams, cheap to
    /// clone, usable from many tasks. Its [`AccountId`](kite_manager::AccountId) is the text of an
    /// [`ApiKeyId`]. The connections stay up as long as a clone exists. Start and stop them with
    /// [`start`](Self::start) and [`stop`](Self::stop), not through it, because the channels here
    /// belong to runs started here.
    #[must_use]
    pub fn typed(&self) -> &Manager {
        self.runs.manager()
    }

    /// Opens all connections of all accounts and completes once they are up.
    ///
    /// Also returns `Ok` if at least one connection is up at `connection_timeout`, or once all
    /// others have been refused; the rest keep trying, and the statistics show which are not up.
    /// Returns `Ok` if already running.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range (the error names its value and range), no
    /// account was added, two accounts have the same api_key, the endpoint is invalid, the Tokio
    /// runtime has no timers or no I/O, or no connection is up; the last is reported immediately if
    /// authentication failed on all. No socket is left open. Subscriptions and channels are kept,
    /// and `start` can be called again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections opening in the background; `stop` ends them.
    pub async fn start(&mut self) -> Result<(), String> {
        self.config.validate().map_err(|error| describe("start", &error))?;
        self.check_usable("start")?;
        let orders = OrdersOnce::new(self.typed().orders());
        self.runs.start("start", false, Some(orders)).await
    }

    /// Closes all connections with a close frame, within two seconds, and ends all channels.
    ///
    /// Subscriptions are kept for a later `start`, and channels taken after this belong to that
    /// run. Does nothing before a start.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Once polled, the connections close even if the future is dropped; the channels then end
    /// with the next `stop` or when the manager is dropped.
    pub async fn stop(&mut self) -> Result<(), String> {
        self.runs.stop().await;
        Ok(())
    }

    /// Subscribes to instruments, distributed across the accounts
    /// ([`DistributionStrategy::RoundRobin`]) and balanced across the connections of each.
    ///
    /// Duplicates and instruments already subscribed on any account are skipped (see
    /// [`change_mode`](Self::change_mode)). `mode` defaults to the configuration's `default_mode`.
    /// `Ok` means only that the request was accepted and assigned to connections: Kite sends no
    /// acknowledgement.
    ///
    /// # Errors
    /// Returns an error if the strategy is [`DistributionStrategy::Manual`], or if the instruments
    /// exceed the free capacity; the error names how many were requested and how many are free.
    /// Nothing is subscribed in either case.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn subscribe_symbols(
        &mut self,
        symbols: &[u32],
        mode: Option<Mode>,
    ) -> Result<(), String> {
        if self.config.distribution_strategy == DistributionStrategy::Manual {
            return Err("subscribe: the distribution strategy is Manual, so the account must be \
                        named: use subscribe_symbols_to_api"
                .to_owned());
        }
        self.check_usable("subscribe")?;
        let subscribed = self.typed().subscribe(symbols, self.mode(mode));
        subscribed.map_err(|error| describe("subscribe", &error))
    }

    /// Subscribes to instruments on one account, with any strategy, balanced across its
    /// connections.
    ///
    /// Duplicates and instruments already subscribed on this account are skipped. If another
    /// account has subscribed to one as well, both receive it.
    ///
    /// # Errors
    /// Returns an error if the account does not exist, or if the instruments exceed its free
    /// capacity. Nothing is subscribed in either case.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn subscribe_symbols_to_api(
        &mut self,
        api_key_id: impl Into<ApiKeyId>,
        symbols: &[u32],
        mode: Option<Mode>,
    ) -> Result<(), String> {
        self.check_usable("subscribe")?;
        let account = api_key_id.into().account();
        let subscribed = self.typed().subscribe_on(&account, symbols, self.mode(mode));
        subscribed.map_err(|error| describe("subscribe", &error))
    }

    /// Unsubscribes from instruments on all accounts. Those that are not subscribed are ignored.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn unsubscribe_symbols(&mut self, symbols: &[u32]) -> Result<(), String> {
        self.typed().unsubscribe(symbols);
        Ok(())
    }

    /// Changes the mode of subscribed instruments on all accounts. Others are ignored.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn change_mode(&mut self, symbols: &[u32], mode: Mode) -> Result<(), String> {
        self.typed().set_mode(symbols, mode.into());
        Ok(())
    }

    /// Returns a receiver of the messages of all connections of all accounts, each tagged with its
    /// account.
    ///
    /// The messages are those of [`get_channel`](Self::get_channel), except that an order update,
    /// which Kite sends on every socket of its account, arrives once. Messages of one connection
    /// are in order, except for order updates, which may arrive slightly earlier or later.
    ///
    /// The channel holds `parser_buffer_size` messages, of all accounts together, for its slowest
    /// receiver. The first receiver begins with the messages received before, as far as the channel
    /// holds them. Without a receiver, messages are kept for ten seconds after the first ticks, up
    /// to 16 MiB. [`MultiApiKiteTickerManager`] shows the receive loop.
    #[must_use]
    pub fn get_unified_channel(&self) -> broadcast::Receiver<(ApiKeyId, TickerMessage)> {
        self.runs.channels().unified().map_or_else(ended, Unified::take)
    }

    /// Returns a receiver of the messages of one connection of an account; `None` if the account
    /// does not exist, and beyond `max_connections_per_api`.
    ///
    /// As with [`KiteTickerManager::get_channel`](crate::KiteTickerManager::get_channel), every
    /// order update arrives on the channel of each connection of its account.
    #[must_use]
    pub fn get_channel(
        &self,
        api_key_id: impl Into<ApiKeyId>,
        channel_id: ChannelId,
    ) -> Option<broadcast::Receiver<TickerMessage>> {
        let (id, connection) = (api_key_id.into(), channel_id.to_index());
        let connections = connections_of_each(&self.config);
        let api =
            self.apis.iter().position(|api| *api == id).filter(|_| connection < connections)?;
        self.runs.channels().messages(api * connections + connection)
    }

    /// Returns the counts of all accounts since the start; after a stop, those of the last run.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn get_stats(&self) -> MultiApiStats {
        let snapshot = self.typed().snapshot();
        let missed = self.runs.channels().unified().map_or(0, |unified| unified.lag().get());
        MultiApiStats::of(self.stats_of_each(&snapshot), uptime(&snapshot), missed)
    }

    /// Returns the counts of one account since the start; after a stop, those of the last run.
    ///
    /// # Errors
    /// Returns an error if the account does not exist.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn get_api_stats(
        &self,
        api_key_id: impl Into<ApiKeyId>,
    ) -> Result<ApiKeyStats, String> {
        let id = api_key_id.into();
        let mut stats = self.stats_of_each(&self.typed().snapshot()).into_iter();
        stats
            .find(|stats| stats.api_key_id == id.0)
            .ok_or_else(|| format!("get stats: no account is named {id}"))
    }

    /// Returns the instruments of each connection of each account, in ascending order, by the
    /// connection's index within the account.
    #[must_use]
    pub fn get_symbol_distribution(&self) -> HashMap<ApiKeyId, HashMap<usize, Vec<u32>>> {
        let mut distribution = self.typed().distribution().into_iter();
        let connections = connections_of_each(&self.config);
        let of_one = |api: &ApiKeyId| {
            let each = (0..connections).map(|connection| {
                let instruments = distribution.next().unwrap_or_default();
                (connection, instruments.into_keys().collect())
            });
            (api.clone(), each.collect())
        };
        self.apis.iter().map(of_one).collect()
    }

    /// Returns the names of the accounts, in the order in which they were added.
    #[must_use]
    pub fn get_api_keys(&self) -> Vec<ApiKeyId> {
        self.apis.clone()
    }

    fn mode(&self, mode: Option<Mode>) -> kite_wire::Mode {
        mode.unwrap_or(self.config.base_config.default_mode).into()
    }

    /// Fails if the accounts or settings are unusable.
    fn check_usable(&self, operation: &str) -> Result<(), String> {
        self.fault.as_ref().map_or(Ok(()), |fault| Err(describe(operation, fault)))
    }

    fn stats_of_each(&self, snapshot: &Snapshot) -> Vec<ApiKeyStats> {
        let lagged = self.runs.channels().lagged();
        let symbols: Vec<usize> = self.typed().distribution().iter().map(BTreeMap::len).collect();
        let connections = connections_of_each(&self.config);
        let of_one = |(index, api): (usize, &ApiKeyId)| {
            let (account, first) = (api.account(), index * connections);
            let its = snapshot.connections.iter().filter(|one| one.account == account);
            let stats = its.map(|one| {
                let lagged = lagged.get(first + one.connection).copied().unwrap_or_default();
                ConnectionStats::of(one, lagged)
            });
            let symbols = symbols.iter().skip(first).take(connections).sum();
            ApiKeyStats::of(
                api.0.clone(),
                ManagerStats::sum(stats.collect(), symbols, uptime(snapshot)),
            )
        };
        self.apis.iter().enumerate().map(of_one).collect()
    }
}

/// Returns the number of connections per account, capped: `start` checks the configuration, and
/// until then an invalid one must do no harm.
fn connections_of_each(config: &MultiApiConfig) -> usize {
    config.max_connections_per_api.min(MAX_CONNECTIONS)
}
