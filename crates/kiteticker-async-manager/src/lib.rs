#![doc = include_str!("../README.md")]
//!
//! # Which way to take what comes
//!
//! | way | take it when | who is too slow |
//! |---|---|---|
//! | channels: [`get_all_channels`](KiteTickerManager::get_all_channels), [`get_unified_channel`](MultiApiKiteTickerManager::get_unified_channel) | several receivers want everything, or the program was written for 0.4 | loses its oldest messages and is told how many: `Lagged` |
//! | [`typed().stream(…)`](kite_manager::Manager::stream) | one task wants the ticks of all connections, or of chosen instruments | as chosen: holds the feed back, loses the oldest, or gets the newest of each instrument |
//! | [`typed().latest()`](kite_manager::Manager::latest), with `.latest(true)` in the builder | any thread wants the newest packet of an instrument, now and then | nobody: what was not asked for is overwritten |
//! | a [`Sink`](kite_conn::Sink) of your own, given to [`.tap(…)`](KiteTickerManagerBuilder::tap) in the builder | every microsecond counts, or all that comes is wanted beside the above, as by a recorder: it is called where the frame is checked, without a hop | holds its connection back, or chooses |
//!
//! Beside the ticks, and never pushed out by them: [`typed().events()`](kite_manager::Manager::events)
//! and [`typed().orders()`](kite_manager::Manager::orders), where each order update comes once.
//!
//! A channel's receiver hears of its lag as an error that must not end the loop:
//!
//! ```no_run
//! # use kiteticker_async_manager::*;
//! # async fn example(manager: MultiApiKiteTickerManager) {
//! use tokio::sync::broadcast::error::RecvError;
//!
//! let (mut channel, mut lost) = (manager.get_unified_channel(), 0);
//! loop {
//!     match channel.recv().await {
//!         Ok((api, TickerMessage::Ticks(ticks))) => println!("{api}: {} ticks", ticks.len()),
//!         Ok(_) => {}
//!         Err(RecvError::Lagged(missed)) => lost += missed,
//!         Err(RecvError::Closed) => break,
//!     }
//! }
//! println!("{lost} messages lost to lag");
//! # }
//! ```
//!
//! A stream tells of it in an item, at the place where something is missing, and `while let` is
//! right:
//!
//! ```no_run
//! # use kiteticker_async_manager::*;
//! # async fn example(manager: KiteTickerManager) -> Result<(), Box<dyn std::error::Error>> {
//! use kiteticker_async_manager::kite_manager::{LaneConfig, StreamConfig, StreamItem};
//!
//! let lane = LaneConfig::drop_oldest();
//! let mut stream = manager.typed().stream(StreamConfig { lane, ..Default::default() })?;
//! while let Some(item) = stream.recv().await {
//!     match item {
//!         StreamItem::Ticks(ticks) => {
//!             for packet in ticks.batch.ticks.packets() {
//!                 println!("{} {}", packet.instrument_token(), packet.last_price());
//!             }
//!         }
//!         StreamItem::Dropped { ticks, .. } => println!("too slow: {ticks} ticks dropped"),
//!         _ => {}
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! A table is asked, and has no loop and no lag:
//!
//! ```
//! # use kiteticker_async_manager::*;
//! let manager = KiteTickerManagerBuilder::new("api_key", "access_token").latest(true).build();
//! let latest = manager.typed().latest().expect("the builder was told to keep it");
//! if let Some(tick) = latest.get(408_065) {
//!     println!("{} a moment ago", tick.packet().last_price());
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
