//! One upstream feed for any number of clients of Kite's ticker protocol.
//!
//! An api_key has three sockets. A [`Relay`] takes the feed of a [`Manager`] and serves clients of
//! its own, each with the instruments and modes that it asked for. It speaks Kite's server protocol,
//! so that any client of Kite connects to it unmodified.
//!
//! ```no_run
//! use std::time::Duration;
//!
//! use kite_manager::{Credentials, Manager};
//! use kite_relay::{Relay, RelayClient};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let manager = Manager::builder().account("mine", Credentials::new("key", "token")).build()?;
//! let research = RelayClient::new("research", Credentials::new("research", "a-long-secret"));
//! let relay = Relay::builder().client(research).start(&manager).await?;
//! println!("clients connect to {}", relay.endpoint());
//! manager.start().await?;
//! // ...
//! let stopped = relay.stop(Duration::from_secs(5)).await;
//! println!("{} ticks to clients", stopped.stats.ticks_out);
//! # Ok(())
//! # }
//! ```
//!
//! # How it works
//!
//! One task, the hub, owns all state without a lock: the clients' books of instruments and modes,
//! the union of them that is subscribed upstream, and the last packet of each instrument, for
//! snapshots. It hands frames and texts to one task per client, which owns the socket and a bounded
//! queue, so that a slow client delays nothing else.
//!
//! How many threads that takes is the application's choice by its Tokio runtime. One worker thread
//! (`Builder::new_multi_thread().worker_threads(1)`) costs least until it is full, because handing a
//! frame to a task on another core wakes that core; `kite serve` has one by default. A thread
//! that is full still reads the feed; the stream upstream then drops the oldest frames, which are
//! counted and reported to clients.
//!
//! A frame of which nothing is cut is sent as the bytes that were received, with one reference for
//! each client. A frame that is cut is built once for all clients that want exactly the same. The
//! parts that do this per packet are public, to be measured: [`Groups`] and [`Dispatcher`] cut
//! frames, [`Queue`] bounds what waits for one client.
//!
//! [`Manager`]: kite_manager::Manager

mod acceptor;
mod builder;
mod changes;
mod client;
mod dispatch;
mod error;
mod groups;
mod hub;
mod index;
mod losses;
mod newest;
mod outage;
mod queue;
mod relay;
mod repeats;
mod roster;
mod stats;
mod successors;
mod table;
mod wishes;

pub use builder::{RelayBuilder, TlsFiles};
pub use changes::{Cause, Change, Changes, ClientId};
pub use dispatch::{Dispatcher, Share, Undelivered};
pub use error::RelayError;
pub use groups::{GroupId, Groups};
pub use kite_server::{Origin, OriginError};
pub use losses::Heartbeats;
pub use queue::{Outgoing, Overrun, Queue, QueueConfig, QueueCounts, SlowClients};
pub use relay::{Relay, RelayCounts, RelayStopped};
pub use roster::RelayClient;
pub use stats::{ClientStats, CommandRefusal, RelayStats};
pub use wishes::UpstreamFull;
