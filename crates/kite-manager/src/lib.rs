//! Up to three Kite Connect ticker connections per account, for one or several accounts.
//!
//! A [`Manager`] balances instruments across its [`kite_conn::Connection`]s, starts and stops them
//! together, moves the instruments of a connection that stays down to the others, and reports their
//! state as a [`Snapshot`]. There are several ways to receive data:
//!
//! | way | use it when |
//! |---|---|
//! | [`Manager::stream`] | one task reads the ticks of all connections, or of chosen instruments, and chooses what happens when it is too slow |
//! | [`Manager::latest`] | any thread occasionally reads the newest packet of an instrument |
//! | [`Manager::start_in_place`] | one task reads the ticks of all connections without a hop, and drives the connections by polling |
//! | [`ManagerBuilder::tap`] | your own [`Sink`] runs on the connections' tasks, without a hop, in addition to any of these: it receives everything, before anything is left out |
//! | [`Manager::events`], [`Manager::orders`] | you need connection events or order updates; ticks never displace them |
//!
//! A feed that arrives in another way than over Kite's sockets has the same consumers through a
//! [`Delivery`].
//!
//! A program needs only this crate, because the types of `kite_conn` and `kite_wire` that appear in
//! its API are re-exported here.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kite_manager::{Credentials, Manager, Mode, StreamConfig, StreamItem};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = Manager::builder()
//!     .account("mine", Credentials::new("api_key", "access_token"))
//!     .build()?;
//! let mut stream = manager.stream(StreamConfig::default())?;
//! manager.subscribe(&[256_265, 738_561, 408_065], Mode::Full)?;
//! manager.start().await?;
//! manager.wait_until_live(Duration::from_secs(10)).await?;
//! // A lag is an item like any other, and the stream ends with the run.
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
//! # Without async
//!
//! The connections run on a Tokio runtime, but the rest of a program need not be async: streams,
//! [`Events`] and [`Orders`] have a `blocking_recv` for plain threads, and [`Latest`] and the
//! methods of a [`Manager`] that are not `async` can be called from anywhere. Keep the runtime for
//! as long as the manager runs.
//!
//! ```no_run
//! use kite_manager::{Credentials, Manager, Mode, StreamConfig};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let runtime = tokio::runtime::Runtime::new()?;
//! let manager = Manager::builder()
//!     .account("mine", Credentials::new("api_key", "access_token"))
//!     .build()?;
//! let mut stream = manager.stream(StreamConfig::default())?;
//! manager.subscribe(&[256_265, 738_561, 408_065], Mode::Full)?;
//! runtime.block_on(manager.start())?;
//! while let Some(item) = stream.blocking_recv() {
//!     for packet in item.packets() {
//!         println!("{} {}", packet.instrument_token(), packet.last_price());
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod account_id;
mod balance;
mod blocking;
mod config;
mod delivery;
mod error;
mod events;
mod latest;
mod manager;
mod observe;
mod own_sinks;
mod pacing;
mod run;
mod seat;
mod stream;
mod tap;

pub use account_id::AccountId;
pub use balance::Move;
pub use config::{FailoverConfig, MAX_CONNECTIONS, ManagerConfig};
pub use delivery::{Delivery, DeliverySink};
pub use error::{
    BuildError, CapacityError, InPlaceError, NotLive, StartError, SubscribeError, UnknownAccount,
};
pub use events::{
    Events, ManagerEvent, OrderFilter, OrderItem, OrderUpdate, Orders, TextItem, TextUpdate, Texts,
};
pub use latest::{Latest, LatestTick};
pub use manager::{Manager, ManagerBuilder};
pub use observe::{ConnectionSnapshot, Figures, Health, HealthLevel, Quantiles, Snapshot, Unseen};
pub use run::InPlaceStream;
pub use seat::Seat;
pub use stream::{StreamConfig, StreamFilter, StreamItem, TaggedBatch, TickStream};
pub use tap::Tap;

pub use kite_conn::{
    Backoff, Batch, ConfigError, ConnectionConfig, Credentials, Distribution, Distributions,
    Endpoint, EndpointError, ErrorChain, Event, Gap, InstrumentStats, LaneConfig, LaneStats,
    Liveness, LossCause, LossKind, MAX_INSTRUMENTS, Missed, OneLine, OpenError, OpenStage,
    Overflow, ParkReason, Phase, Proxy, Reconnect, Refusal, Secret, Severity, Sink, SpawnError,
    Stamp, Stats, Status, Stopped, Tls, TokenFile, TokenFileError, TokenRequest, TokenSource,
    TokenSourceError, Transport, TryRecvError, Unread, VolumeMissed,
};
pub use kite_wire::text::TextMessage;
pub use kite_wire::{
    Amount, Depth, DepthEntry, DepthLevel, Fields, FullFields, FullPacket, IndexFields,
    IndexFullPacket, IndexQuotePacket, LtpPacket, Mode, Ohlc, Packet, PacketKind, PacketView,
    Price, QuoteFields, QuotePacket, Rounding, Segment, Tick, TickBatch, UnixSeconds, ist, order,
};
