//! The published manager of several accounts, over one typed manager that has them all.

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
/// It keeps to the laws of [`KiteTickerManager`](crate::KiteTickerManager): subscriptions are
/// desired state, connections come back by themselves, errors read "operation: error: cause", and
/// methods that change something take `&mut self`. An account in trouble leaves the others alone.
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
///     // Spread over the accounts.
///     manager.subscribe_symbols(&[256265, 738561, 408065], Some(Mode::Full)).await?;
///     // With this one.
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
    /// Why nothing can be done with these accounts or settings. The typed manager is one that has
    /// no connections then.
    fault: Option<BuildError>,
    runs: Runs,
}

impl MultiApiKiteTickerManager {
    /// Sets one up step by step.
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

    /// Uses another access token for an account, from its next handshake on. Its connections that
    /// are parked (the old token has expired) or waiting try at once; open sockets stay up.
    ///
    /// # Errors
    /// There is no such account.
    pub fn set_access_token(
        &self,
        api_key_id: impl Into<ApiKeyId>,
        access_token: impl Into<String>,
    ) -> Result<(), String> {
        self.judge("set access token")?;
        let account = api_key_id.into().account();
        let set = self.typed().set_access_token_of(&account, access_token);
        set.map_err(|error| describe("set access token", &error))
    }

    /// Gives the typed layer beneath: typed errors and events, merged streams, cheap to clone,
    /// usable from many tasks. An [`AccountId`](kite_manager::AccountId) there is the text of an
    /// [`ApiKeyId`] here. The connections stay up as long as a clone of it lives. Start and stop
    /// them here, not there: this manager's channels belong to its own runs.
    #[must_use]
    pub fn typed(&self) -> &Manager {
        self.runs.manager()
    }

    /// Opens all connections of all accounts and completes once they are up.
    ///
    /// Where at `connection_timeout`, or once the others have been refused, at least one is up,
    /// that is `Ok` too: the rest keep trying, and the statistics say which are not up. While
    /// running it is `Ok`.
    ///
    /// # Errors
    /// A setting outside of its range (named with value and range), no account, two accounts with
    /// one api_key, a bad endpoint, or no connection up: at once where all were refused for
    /// authentication. No socket is left open then, subscriptions and channels are kept.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections opening in the background; `stop` ends them.
    pub async fn start(&mut self) -> Result<(), String> {
        self.config.validate().map_err(|error| describe("start", &error))?;
        self.judge("start")?;
        let orders = OrdersOnce::new(self.typed().orders());
        self.runs.start("start", false, Some(orders)).await
    }

    /// Closes all connections: close frames, a deadline of two seconds, the end of all channels.
    ///
    /// Subscriptions are kept; a later `start` works with them, and channels taken from now on
    /// belong to it. Before a start it does nothing.
    ///
    /// # Errors
    /// None at present.
    ///
    /// # Cancel safety
    /// Once polled, the connections close even if the future is dropped; the channels then end
    /// with the next `stop` or with the manager.
    pub async fn stop(&mut self) -> Result<(), String> {
        self.runs.stop().await;
        Ok(())
    }

    /// Subscribes instruments, spread over the accounts
    /// ([`DistributionStrategy::RoundRobin`]) and balanced over the connections of each.
    ///
    /// Duplicates and instruments that any account has already are skipped (see
    /// [`change_mode`](Self::change_mode)). Without a mode it is the configuration's
    /// `default_mode`. `Ok` means accepted and placed: Kite sends no acknowledgement.
    ///
    /// # Errors
    /// The strategy is [`DistributionStrategy::Manual`], or more instruments than there is room
    /// for: the text names how many were asked for and how many are free. Nothing has been
    /// subscribed then.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn subscribe_symbols(
        &mut self,
        symbols: &[u32],
        mode: Option<Mode>,
    ) -> Result<(), String> {
        if self.config.distribution_strategy == DistributionStrategy::Manual {
            return Err("subscribe: the distribution strategy is Manual, so no account is chosen \
                        for an instrument: name one with subscribe_symbols_to_api"
                .to_owned());
        }
        self.judge("subscribe")?;
        let subscribed = self.typed().subscribe(symbols, self.mode(mode));
        subscribed.map_err(|error| describe("subscribe", &error))
    }

    /// Subscribes instruments with one account, whatever the strategy, balanced over its
    /// connections.
    ///
    /// Duplicates and instruments that this account has already are skipped. Another may have
    /// them, too: then both stream them.
    ///
    /// # Errors
    /// There is no such account, or it has not enough room; nothing has been subscribed then.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn subscribe_symbols_to_api(
        &mut self,
        api_key_id: impl Into<ApiKeyId>,
        symbols: &[u32],
        mode: Option<Mode>,
    ) -> Result<(), String> {
        self.judge("subscribe")?;
        let account = api_key_id.into().account();
        let subscribed = self.typed().subscribe_on(&account, symbols, self.mode(mode));
        subscribed.map_err(|error| describe("subscribe", &error))
    }

    /// Ends subscriptions, with whichever account. Instruments that are not subscribed are ignored.
    ///
    /// # Errors
    /// None at present.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn unsubscribe_symbols(&mut self, symbols: &[u32]) -> Result<(), String> {
        self.typed().unsubscribe(symbols);
        Ok(())
    }

    /// Changes the mode of subscribed instruments, with whichever account. Others are ignored.
    ///
    /// # Errors
    /// None at present.
    ///
    /// # Cancel safety
    /// Cancel safe: done whole when first polled.
    pub async fn change_mode(&mut self, symbols: &[u32], mode: Mode) -> Result<(), String> {
        self.typed().set_mode(symbols, mode.into());
        Ok(())
    }

    /// Gives the channel that carries the messages of all connections of all accounts, each with
    /// its account.
    ///
    /// They are those of [`get_channel`](Self::get_channel), with one difference: Kite sends an
    /// order update on every socket of its account, and here it comes once. Messages of one
    /// connection are in order, but for order updates, which may come a moment earlier or later
    /// among them.
    ///
    /// It holds `parser_buffer_size` messages for its slowest receiver, of all accounts together.
    /// The first one taken begins with what came before, as far as the ring holds it; what is not
    /// taken within ten seconds of the first ticks, or before 16 MiB of them, is let go of. The right loop stands at
    /// [`MultiApiKiteTickerManager`].
    #[must_use]
    pub fn get_unified_channel(&self) -> broadcast::Receiver<(ApiKeyId, TickerMessage)> {
        self.runs.channels().unified().map_or_else(ended, Unified::take)
    }

    /// Gives the message channel of one connection of an account; `None` where there is no such
    /// account, and beyond `max_connections_per_api`.
    ///
    /// It is like
    /// [`KiteTickerManager::get_channel`](crate::KiteTickerManager::get_channel), and unfiltered:
    /// every order update comes on the channel of each connection of its account.
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

    /// Gives counts of all accounts since the start; after a stop those of the last run.
    ///
    /// # Cancel safety
    /// Cancel safe: waits for nothing.
    pub async fn get_stats(&self) -> MultiApiStats {
        let snapshot = self.typed().snapshot();
        let missed = self.runs.channels().unified().map_or(0, |unified| unified.lag().get());
        MultiApiStats::of(self.stats_of_each(&snapshot), uptime(&snapshot), missed)
    }

    /// Gives counts of one account since the start; after a stop those of the last run.
    ///
    /// # Errors
    /// There is no such account.
    ///
    /// # Cancel safety
    /// Cancel safe: waits for nothing.
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

    /// Gives the instruments of each connection of each account, by the connection's index within
    /// the account, in ascending order.
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

    /// Gives the names of the accounts, in the order in which they were added.
    #[must_use]
    pub fn get_api_keys(&self) -> Vec<ApiKeyId> {
        self.apis.clone()
    }

    fn mode(&self, mode: Option<Mode>) -> kite_wire::Mode {
        mode.unwrap_or(self.config.base_config.default_mode).into()
    }

    /// Says what stands in the way of everything.
    fn judge(&self, operation: &str) -> Result<(), String> {
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

/// The configuration is judged by the start; until then it must do no harm.
fn connections_of_each(config: &MultiApiConfig) -> usize {
    config.max_connections_per_api.min(MAX_CONNECTIONS)
}
