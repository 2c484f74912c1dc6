#![doc = include_str!("../README.md")]
//!
//! # Programs written for 0.4
//!
//! This crate keeps the public API of release 0.4.1. Change the dependency line, and the program
//! compiles. [docs/migration.md](docs/migration.md) lists what behaves differently.
//!
//! ```no_run
//! use kiteticker_async_manager::{KiteManagerConfig, KiteTickerManager, Mode, TickerMessage};
//! use tokio::sync::broadcast::error::RecvError;
//!
//! #[tokio::main]
//! async fn main() -> Result<(), String> {
//! #   let (api_key, access_token) = (String::new(), String::new());
//!     // Configure for high-performance
//!     let config = KiteManagerConfig {
//!         max_connections: 3,
//!         max_symbols_per_connection: 3000,
//!         connection_buffer_size: 10000,
//!         parser_buffer_size: 20000,
//!         enable_dedicated_parsers: true,
//!         default_mode: Mode::LTP,
//!         ..Default::default()
//!     };
//!
//!     // Start manager
//!     let mut manager = KiteTickerManager::new(api_key, access_token, config);
//!     manager.start().await?;
//!
//!     // Subscribe to symbols
//!     let symbols = vec![256265, 738561, 408065]; // NIFTY, Reliance, INFY
//!     manager.subscribe_symbols(&symbols, Some(Mode::Full)).await?;
//!
//!     // Process data from all connections
//!     let mut readers = Vec::new();
//!     for (channel_id, mut receiver) in manager.get_all_channels() {
//!         readers.push(tokio::spawn(async move {
//!             loop {
//!                 match receiver.recv().await {
//!                     Ok(TickerMessage::Ticks(ticks)) => {
//!                         for tick in &ticks {
//!                             println!("{} {:?}", tick.instrument_token, tick.content.last_price);
//!                         }
//!                     }
//!                     Ok(TickerMessage::Error(text)) => eprintln!("{channel_id:?}: {text}"),
//!                     Ok(_) => {}
//!                     // Not the end: this receiver was too slow and lost its oldest messages.
//!                     Err(RecvError::Lagged(missed)) => eprintln!("{missed} messages lost"),
//!                     Err(RecvError::Closed) => break,
//!                 }
//!             }
//!         }));
//!     }
//!     for reader in readers {
//!         reader.await.map_err(|error| error.to_string())?;
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The loop of many 0.4 programs, `while let Ok(message) = receiver.recv().await`, ends at the
//! first lag, because `Lagged` is an `Err` too. Replace it with the loop above.
//!
//! # Ways to receive ticks
//!
//! | way | use it when | a slow consumer |
//! |---|---|---|
//! | channels: [`get_all_channels`](KiteTickerManager::get_all_channels), [`get_unified_channel`](MultiApiKiteTickerManager::get_unified_channel) | several receivers need everything, or the program was written for 0.4 | loses its oldest messages; `Lagged` reports how many |
//! | [`typed().stream(…)`](kite_manager::Manager::stream) | one task reads the ticks of all connections, or of chosen instruments | as configured: holds the feed back, loses the oldest ticks, or gets only the newest of each instrument |
//! | [`typed().latest()`](kite_manager::Manager::latest), with `.latest(true)` in the builder | any thread occasionally needs the newest packet of an instrument | loses nothing that it needs: newer packets overwrite older ones |
//! | a custom [`Sink`](kite_conn::Sink), passed to [`.tap(…)`](KiteTickerManagerBuilder::tap) in the builder | every microsecond counts, or a recorder needs everything in addition to the above: it is called where the frame is checked, on the connection's task | holds its connection back, unless it drops data itself |
//!
//! Events and order updates are separate from the ticks and never displaced by them:
//! [`typed().events()`](kite_manager::Manager::events) and
//! [`typed().orders()`](kite_manager::Manager::orders), which delivers each order update once.
//!
//! A stream reports lost ticks as an item, at the position of the loss, so `while let` is correct:
//!
//! ```no_run
//! # use kiteticker_async_manager::*;
//! # async fn example(manager: KiteTickerManager) -> Result<(), Box<dyn std::error::Error>> {
//! use kiteticker_async_manager::kite_manager::{LaneConfig, StreamConfig, StreamItem};
//!
//! let lane = LaneConfig::drop_oldest();
//! let mut stream = manager.typed().stream(StreamConfig { lane, ..Default::default() })?;
//! while let Some(item) = stream.recv().await {
//!     for packet in item.packets() {
//!         println!("{} {}", packet.instrument_token(), packet.last_price());
//!     }
//!     if let StreamItem::Dropped { ticks, .. } = item {
//!         println!("too slow: {ticks} ticks dropped");
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The table of latest packets is polled, and needs neither a loop nor lag handling:
//!
//! ```
//! # use kiteticker_async_manager::*;
//! let manager = KiteTickerManagerBuilder::new("api_key", "access_token").latest(true).build();
//! let latest = manager.typed().latest().expect("enabled in the builder");
//! if let Some(tick) = latest.get(408_065) {
//!     println!("INFY at {}", tick.packet().last_price());
//! }
//! ```

mod error;
pub mod manager;
mod models;
mod raw;
pub mod ticker;

pub use kite_conn;
pub use kite_manager;
pub use kite_wire;

pub use manager::{
    ApiCredentials, ApiKeyId, ApiKeyStats, ChannelId, DistributionStrategy, HealthSummary,
    KiteManagerConfig, KiteTickerManager, KiteTickerManagerBuilder, ManagerStats, MultiApiConfig,
    MultiApiKiteTickerManager, MultiApiKiteTickerManagerBuilder, MultiApiStats,
};
pub use models::*;
pub use raw::*;
pub use ticker::{KiteTickerAsync, KiteTickerRawSubscriber184, KiteTickerSubscriber};
