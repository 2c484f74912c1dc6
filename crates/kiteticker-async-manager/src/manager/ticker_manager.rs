//! The published manager, which has the signatures and defaults of release 0.4 and wraps the typed
//! manager.

use std::collections::HashMap;

use bytes::Bytes;
use kite_conn::{Credentials, Endpoint};
use kite_manager::Manager;
use tokio::sync::broadcast;

use crate::error::describe;
use crate::manager::channels::Channels;
use crate::manager::runs::Runs;
use crate::manager::underlying::Underlying;
use crate::manager::{ChannelId, HealthSummary, KiteManagerConfig, ManagerStats, ProcessorStats};
use crate::models::{Mode, TickerMessage};
use crate::ticker::KiteTickerRawSubscriber184;

/// Streams up to 9,000 instruments of one Kite account over up to three connections.
///
/// Subscriptions are desired state. They can be made before [`start`](Self::start), and they
/// survive reconnects, with their exact modes, and [`stop`](Self::stop). Dropping the manager and
/// every clone of [`typed`](Self::typed) closes the connections in the background with a close
/// frame. [`KiteTickerManagerBuilder`](crate::KiteTickerManagerBuilder) builds one step by step.
///
/// # Basic Multi-Connection Setup
///
/// ```no_run
/// use kiteticker_async_manager::{KiteTickerManager, KiteManagerConfig, Mode};
///
/// #[tokio::main]
/// async fn main() -> Result<(), String> {
/// #   let (api_key, access_token) = (String::new(), String::new());
///     // Configure for high-performance
///     let config = KiteManagerConfig {
///         max_connections: 3,
///         max_symbols_per_connection: 3000,
///         connection_buffer_size: 10000,
///         parser_buffer_size: 20000,
///         enable_dedicated_parsers: true,
///         default_mode: Mode::LTP,
///         ..Default::default()
///     };
///
///     // Start manager
///     let mut manager = KiteTickerManager::new(api_key, access_token, config);
///     manager.start().await?;
///
///     // Subscribe to symbols
///     let symbols = vec![256265, 738561, 408065]; // NIFTY, Reliance, INFY
///     manager.subscribe_symbols(&symbols, Some(Mode::Full)).await?;
///
///     // Process data from all connections
///     let channels = manager.get_all_channels();
///     // ... handle data streams
///
///     Ok(())
/// }
/// ```
///
/// [`get_all_channels`](Self::get_all_channels) shows how to handle the data streams. Buffer sizes
/// count frames, not ticks, and a channel allocates its slots up front. The defaults are more than
/// most programs need.
///
/// # Dynamic Subscription Management
///
/// ```
/// # use kiteticker_async_manager::*;
/// # #[tokio::main]
/// # async fn main() -> Result<(), String> {
/// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
/// # manager.subscribe_symbols(&[256265, 738561, 408065], None).await?;
/// // Add symbols at runtime
/// manager.subscribe_symbols(&[884737, 5633], Some(Mode::Quote)).await?;
///
/// // Change modes dynamically
/// manager.change_mode(&[256265], Mode::Full).await?;
///
/// // Remove symbols
/// manager.unsubscribe_symbols(&[738561]).await?;
///
/// // Check distribution
/// let distribution = manager.get_symbol_distribution();
/// println!("Current distribution: {:?}", distribution);
/// # let mut symbols: Vec<u32> = distribution.into_values().flatten().collect();
/// # symbols.sort_unstable();
/// # assert_eq!(symbols, [5633, 256265, 408065, 884737]);
/// # Ok(())
/// # }
/// ```
///
/// # Error Handling
///
/// ```
/// # use kiteticker_async_manager::*;
/// # #[tokio::main]
/// # async fn main() {
/// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
/// # let symbols = [408065];
/// match manager.subscribe_symbols(&symbols, Some(Mode::LTP)).await {
///     Ok(()) => println!("Subscription successful"),
///     Err(e) => eprintln!("Subscription failed: {}", e),
/// }
/// # assert_eq!(manager.get_symbol_distribution()[&ChannelId::Connection1], symbols);
/// # }
/// ```
///
/// Errors have the form "operation: error: cause". To match on the kind of error, use the typed
/// manager:
///
/// ```
/// # use kiteticker_async_manager::*;
/// # let builder = KiteTickerManagerBuilder::new("api_key", "access_token").max_connections(1);
/// # let manager = builder.max_symbols_per_connection(2).build();
/// if let Err(full) = manager.typed().subscribe(&[256265, 738561, 408065], Mode::Full.into()) {
///     println!("{} requested, {} free", full.asked, full.free);
/// }
/// # assert!(manager.typed().distribution()[0].is_empty());
/// ```
///
/// Common failures and where they are reported:
///
/// - **Authentication failure**: by `start` if no connection is up. Later (tokens expire every
///   morning) as [`TickerMessage::Error`]: the connection is parked, its channel stays open, and
///   [`set_access_token`](Self::set_access_token) resumes it.
/// - **Connection timeout**: by `start` if no connection was up in time. Later the connection
///   reconnects by itself and reports that on its channel.
/// - **Capacity exceeded**: by `subscribe_symbols`, which then subscribes to nothing.
/// - **Invalid symbols**: not reported. Kite silently ignores unknown tokens.
///
/// # Thread Safety
///
/// Methods that change state take `&mut self`, so use the manager from one task. The manager and
/// its futures are `Send`, so it can be any task. Channels can be moved to any task, and each call
/// of a channel method returns another receiver. [`typed`](Self::typed) can be cloned into many
/// tasks.
#[derive(Debug)]
pub struct KiteTickerManager {
    config: KiteManagerConfig,
    raw_only: bool,
    runs: Runs,
}

impl KiteTickerManager {
    /// Creates a manager. [`start`](Self::start) checks the configuration and connects.
    ///
    /// ```
    /// # use kiteticker_async_manager::*;
    /// let config = KiteManagerConfig {
    ///     max_connections: 3,
    ///     max_symbols_per_connection: 3000,
    ///     default_mode: Mode::LTP,
    ///     ..Default::default()
    /// };
    ///
    /// let manager = KiteTickerManager::new(
    ///     "your_api_key".to_string(),
    ///     "your_access_token".to_string(),
    ///     config,
    /// );
    /// ```
    #[must_use]
    pub fn new(api_key: String, access_token: String, config: KiteManagerConfig) -> Self {
        let credentials = Credentials::new(api_key, access_token);
        Self::with_settings(credentials, config, Underlying::default())
    }

    pub(crate) fn with_settings(
        credentials: Credentials,
        config: KiteManagerConfig,
        underlying: Underlying,
    ) -> Self {
        let mut settings = underlying.manager_config(&config);
        let make_manager = |tap| {
            settings.taps.insert(0, tap);
            Manager::new(credentials, settings)
        };
        // `start` checks the configuration; until then an invalid one must do no harm.
        let connections = config.max_connections.min(kite_manager::MAX_CONNECTIONS);
        let channels = Channels::new(connections, config.parser_buffer_size);
        let runs = Runs::new(make_manager, underlying.endpoint, channels);
        Self { config, raw_only: false, runs }
    }

    /// Emits raw frames only, after the next start. The message channels carry no `Ticks`, but
    /// still carry text frames. The raw channels work with either setting.
    #[must_use]
    pub fn with_raw_only(mut self, raw_only: bool) -> Self {
        self.raw_only = raw_only;
        self
    }

    /// Sets the endpoint that later starts use: `wss://host[:port][/path][?query]`. `ws://` is
    /// accepted for loopback addresses only, because it would send the access token unencrypted.
    /// The default is `wss://ws.kite.trade`. Query parameters are kept (Kite's sandbox uses
    /// `user_id`).
    ///
    /// [`start`](Self::start) reports an invalid endpoint.
    #[must_use]
    pub fn with_endpoint(mut self, endpoint: impl Into<String>) -> Self {
        self.runs.set_endpoint(Endpoint::parse(&endpoint.into()));
        self
    }

    /// Sets the access token that later handshakes use. Connections that are parked because the old
    /// token expired, or waiting to reconnect, try immediately; open sockets stay up.
    pub fn set_access_token(&self, access_token: impl Into<String>) {
        self.typed().set_access_token(access_token);
    }

    /// Returns the underlying typed manager: typed errors and events, cheap to clone, usable from
    /// many tasks. The connections stay up as long as a clone exists. Start and stop them with
    /// [`start`](Self::start) and [`stop`](Self::stop), not through it, because the channels here
    /// belong to runs started here.
    #[must_use]
    pub fn typed(&self) -> &Manager {
        self.runs.manager()
    }

    /// Opens all connections and completes once they are up.
    ///
    /// Also returns `Ok` if at least one connection is up at `connection_timeout`, or once all
    /// others have been refused; the rest keep trying, and health is degraded. Returns `Ok` if
    /// already running.
    ///
    /// ```no_run
    /// # use kiteticker_async_manager::*;
    /// # async fn example(mut manager: KiteTickerManager) -> Result<(), String> {
    /// manager.start().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if a setting is out of range (the error names its value and range), the
    /// endpoint is invalid, the Tokio runtime has no timers or no I/O, or no connection is up; the
    /// last is reported immediately if authentication failed on all. No socket is left open.
    /// Subscriptions and channels are kept, and `start` can be called again.
    ///
    /// # Cancel safety
    /// Dropping the future leaves the connections opening in the background; `stop` ends them.
    pub async fn start(&mut self) -> Result<(), String> {
        self.config.validate().map_err(|error| describe("start", &error))?;
        self.runs.start("start", self.raw_only, None).await
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

    /// Subscribes to instruments, balanced across the connections.
    ///
    /// Duplicates and instruments already subscribed are skipped (see
    /// [`change_mode`](Self::change_mode)). `mode` defaults to the configuration's `default_mode`.
    /// `Ok` means only that the request was accepted and assigned to connections: Kite sends no
    /// acknowledgement, and an unknown instrument simply never produces a tick.
    ///
    /// ```
    /// # use kiteticker_async_manager::*;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), String> {
    /// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
    /// // Subscribe to NIFTY 50, Reliance, Infosys
    /// let symbols = vec![256265, 738561, 408065];
    /// manager.subscribe_symbols(&symbols, Some(Mode::Full)).await?;
    /// # assert_eq!(manager.get_stats().await?.total_symbols, 3);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns an error if the instruments exceed the free capacity. The error names how many were
    /// requested and how many are free, and nothing is subscribed.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn subscribe_symbols(
        &mut self,
        symbols: &[u32],
        mode: Option<Mode>,
    ) -> Result<(), String> {
        let mode = mode.unwrap_or(self.config.default_mode);
        self.typed().subscribe(symbols, mode.into()).map_err(|error| describe("subscribe", &error))
    }

    /// Unsubscribes from instruments. Those that are not subscribed are ignored.
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

    /// Changes the mode of subscribed instruments. Others are ignored.
    ///
    /// ```
    /// # use kiteticker_async_manager::*;
    /// # #[tokio::main]
    /// # async fn main() -> Result<(), String> {
    /// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
    /// # manager.subscribe_symbols(&[256265], None).await?;
    /// // Change to Full mode for detailed market depth
    /// manager.change_mode(&[256265, 738561], Mode::Full).await?;
    /// # assert_eq!(manager.typed().distribution()[0][&256265], Mode::Full.into());
    /// # assert_eq!(manager.get_stats().await?.total_symbols, 1);
    /// # Ok(())
    /// # }
    /// ```
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

    /// Returns a receiver of one connection's messages; `None` beyond `max_connections`.
    ///
    /// The first receiver of a connection begins with the messages received before, as far as the
    /// channel holds them, so taking it after a subscribe misses nothing. Without a receiver,
    /// messages are kept for ten seconds after the first ticks, up to 16 MiB; raw frames, once the
    /// message channel has a receiver, up to 1 MiB.
    ///
    /// A connection that stays down for 30 s (see
    /// [`failover`](crate::KiteTickerManagerBuilder::failover)) hands its instruments over to the
    /// others, as far as they have room, and gets them back once it is stable. Their ticks then
    /// arrive on other channels. During a move the same tick may arrive on both; the merged
    /// [`stream`](Manager::stream) filters such duplicates. Each move is an
    /// [event](kite_manager::ManagerEvent::Moved).
    ///
    /// Kite sends order updates on every socket, so they arrive on the channel of each connection;
    /// [`orders`](Manager::orders) delivers each once.
    #[must_use]
    pub fn get_channel(&self, channel_id: ChannelId) -> Option<broadcast::Receiver<TickerMessage>> {
        self.runs.channels().messages(channel_id.to_index())
    }

    /// Returns a receiver of each connection's messages.
    ///
    /// ```
    /// # use kiteticker_async_manager::*;
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
    /// let channels = manager.get_all_channels();
    ///
    /// for (channel_id, mut receiver) in channels {
    ///     tokio::spawn(async move {
    ///         while let Ok(message) = receiver.recv().await {
    ///             match message {
    ///                 TickerMessage::Ticks(ticks) => {
    ///                     println!("Channel {:?}: {} ticks", channel_id, ticks.len());
    ///                 }
    ///                 _ => {}
    ///             }
    ///         }
    ///     });
    /// }
    /// # }
    /// ```
    ///
    /// That loop ends permanently once the receiver falls more than `parser_buffer_size` messages
    /// behind, because [`RecvError::Lagged`](broadcast::error::RecvError::Lagged) is an `Err` too.
    /// This one counts the lost messages and continues until the channel ends:
    ///
    /// ```
    /// # use kiteticker_async_manager::*;
    /// # #[tokio::main]
    /// # async fn main() {
    /// # let mut manager = KiteTickerManagerBuilder::new("api_key", "access_token").build();
    /// use tokio::sync::broadcast::error::RecvError;
    ///
    /// for (channel_id, mut receiver) in manager.get_all_channels() {
    ///     tokio::spawn(async move {
    ///         let mut lost = 0;
    ///         loop {
    ///             match receiver.recv().await {
    ///                 Ok(TickerMessage::Ticks(ticks)) => {
    ///                     println!("Channel {channel_id:?}: {} ticks", ticks.len());
    ///                 }
    ///                 Ok(TickerMessage::Error(text)) => eprintln!("{channel_id:?}: {text}"),
    ///                 Ok(_) => {}
    ///                 Err(RecvError::Lagged(missed)) => lost += missed,
    ///                 Err(RecvError::Closed) => break,
    ///             }
    ///         }
    ///         println!("Channel {channel_id:?} ended, {lost} messages lost to lag");
    ///     });
    /// }
    /// # }
    /// ```
    #[must_use]
    pub fn get_all_channels(&mut self) -> Vec<(ChannelId, broadcast::Receiver<TickerMessage>)> {
        self.each_channel(Channels::messages)
    }

    /// Returns a receiver of one connection's raw frames; `None` beyond `max_connections`.
    ///
    /// The channel carries every binary frame as received, including one-byte heartbeats. A frame
    /// with a damaged tail is truncated after its last valid packet.
    #[must_use]
    pub fn get_raw_frame_channel(
        &self,
        channel_id: ChannelId,
    ) -> Option<broadcast::Receiver<Bytes>> {
        self.runs.channels().raw(channel_id.to_index())
    }

    /// Returns a receiver of each connection's raw frames; see
    /// [`get_raw_frame_channel`](Self::get_raw_frame_channel).
    ///
    /// ```no_run
    /// # async fn example(manager: kiteticker_async_manager::KiteTickerManager) {
    /// use kiteticker_async_manager::{as_tick_raw, Mode, ChannelId};
    ///
    /// // Enable raw-only in the builder to skip parsed ticks and only emit raw frames
    /// // let mut manager = KiteTickerManagerBuilder::new(api_key, access_token)
    /// //     .raw_only(true)
    /// //     .build();
    ///
    /// // Per-connection raw frames
    /// for (id, mut rx) in manager.get_all_raw_frame_channels() {
    ///     tokio::spawn(async move {
    ///         while let Ok(frame) = rx.recv().await {
    ///             if frame.len() < 2 { continue; }
    ///             let mut off = 2usize;
    ///             let num = u16::from_be_bytes([frame[0], frame[1]]) as usize;
    ///             for _ in 0..num {
    ///                 if off + 2 > frame.len() { break; }
    ///                 let len = u16::from_be_bytes([frame[off], frame[off+1]]) as usize;
    ///                 let body = frame.slice(off+2..off+2+len);
    ///                 if len == 184 {
    ///                     if let Some(view) = as_tick_raw(&body) {
    ///                         let token = view.header.instrument_token.get();
    ///                         let _ = (id, token);
    ///                     }
    ///                 }
    ///                 off += 2 + len;
    ///             }
    ///         }
    ///     });
    /// }
    ///
    /// // Or only Full payloads via helper
    /// if let Some(mut sub) = manager.get_full_raw_subscriber(ChannelId::Connection1) {
    ///     while let Ok(Some(view)) = sub.recv_raw_tickraw().await {
    ///         let token = view.header.instrument_token.get();
    ///         let _ = token;
    ///     }
    /// }
    /// # }
    /// ```
    ///
    /// The first of these loops ends permanently at the first lag, which is an `Err` too. This one
    /// counts the lost frames and continues, and uses [`Frame`](kite_wire::Frame) to find the
    /// packets:
    ///
    /// ```no_run
    /// # async fn example(manager: kiteticker_async_manager::KiteTickerManager) {
    /// use kiteticker_async_manager::{as_tick_raw, kite_wire::Frame};
    /// use tokio::sync::broadcast::error::RecvError;
    ///
    /// for (id, mut rx) in manager.get_all_raw_frame_channels() {
    ///     tokio::spawn(async move {
    ///         let mut lost = 0;
    ///         loop {
    ///             let frame = match rx.recv().await {
    ///                 Ok(frame) => frame,
    ///                 Err(RecvError::Lagged(missed)) => {
    ///                     lost += missed;
    ///                     continue;
    ///                 }
    ///                 Err(RecvError::Closed) => break,
    ///             };
    ///             for view in Frame::walk(&frame).bodies().filter_map(as_tick_raw) {
    ///                 let token = view.header.instrument_token.get();
    ///                 let _ = (id, token);
    ///             }
    ///         }
    ///         println!("{id:?} ended, {lost} frames lost to lag");
    ///     });
    /// }
    /// # }
    /// ```
    ///
    /// The helper's loop continues after a lag, because the helper does not return it as an `Err`.
    /// Check only how much was lost:
    ///
    /// ```no_run
    /// # use kiteticker_async_manager::*;
    /// # async fn example(manager: KiteTickerManager) -> Result<(), String> {
    /// if let Some(mut sub) = manager.get_full_raw_subscriber(ChannelId::Connection1) {
    ///     while let Some(view) = sub.recv_raw_tickraw().await? {
    ///         let token = view.header.instrument_token.get();
    ///         let _ = token;
    ///     }
    ///     println!("ended, {} frames lost to lag", sub.lagged());
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn get_all_raw_frame_channels(&self) -> Vec<(ChannelId, broadcast::Receiver<Bytes>)> {
        self.each_channel(Channels::raw)
    }

    fn each_channel<T>(&self, take: impl Fn(&Channels, usize) -> Option<T>) -> Vec<(ChannelId, T)> {
        (0..self.runs.channels().len())
            .filter_map(|index| {
                Some((ChannelId::from_index(index)?, take(self.runs.channels(), index)?))
            })
            .collect()
    }

    /// Returns a reader of the full packets (184 bytes) of one connection; `None` beyond
    /// `max_connections`. [`get_all_raw_frame_channels`](Self::get_all_raw_frame_channels) shows
    /// its use.
    #[must_use]
    pub fn get_full_raw_subscriber(
        &self,
        channel_id: ChannelId,
    ) -> Option<KiteTickerRawSubscriber184> {
        let index = channel_id.to_index();
        Some(KiteTickerRawSubscriber184::new(
            self.runs.channels().raw(index)?,
            self.runs.channels().lag(index)?,
        ))
    }

    /// Returns the instruments of each connection, in ascending order.
    #[must_use]
    pub fn get_symbol_distribution(&self) -> HashMap<ChannelId, Vec<u32>> {
        let distribution = self.typed().distribution().into_iter().enumerate();
        distribution
            .filter_map(|(index, instruments)| {
                Some((ChannelId::from_index(index)?, instruments.into_keys().collect()))
            })
            .collect()
    }

    /// Returns the counts of all connections since the start; after a stop, those of the last run.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn get_stats(&self) -> Result<ManagerStats, String> {
        Ok(ManagerStats::of(&self.typed().snapshot(), &self.runs.channels().lagged()))
    }

    /// Returns the current health of the connections.
    ///
    /// # Errors
    /// Currently never fails.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn get_health(&self) -> Result<HealthSummary, String> {
        let snapshot = self.typed().snapshot();
        let stats = ManagerStats::of(&snapshot, &self.runs.channels().lagged());
        let silence = self.config.heartbeat_liveness_threshold.saturating_mul(2);
        Ok(HealthSummary::of(&snapshot, &stats, silence))
    }

    /// Returns counts and timings of frame processing on each connection.
    ///
    /// # Cancel safety
    /// Cancel safe: completes on the first poll.
    pub async fn get_processor_stats(&self) -> Vec<(ChannelId, ProcessorStats)> {
        let connections = self.typed().snapshot().connections;
        connections
            .iter()
            .filter_map(|connection| {
                let channel = ChannelId::from_index(connection.connection)?;
                Some((channel, ProcessorStats::of(connection)))
            })
            .collect()
    }
}
