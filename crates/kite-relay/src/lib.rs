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
//! manager.start().await?;
//! println!("clients connect to {}", relay.endpoint());
//! // ...
//! let stopped = relay.stop(Duration::from_secs(5)).await;
//! println!("{} ticks to clients", stopped.stats.ticks_out);
//! # Ok(())
//! # }
//! ```
//!
//! # Decisions
//!
//! The decisions of a relay are plain structs: they perform no I/O, and the caller passes in the
//! time.
//!
//! | struct | decides |
//! |---|---|
//! | [`Changes`] | what a client's command changes in its book of instruments and modes |
//! | [`Wishes`] | what is subscribed upstream, which is the union of all books |
//! | [`Groups`] | which clients want exactly the same, so that a frame is cut once for all of them |
//! | [`Dispatcher`] | which part of a frame each group gets |
//! | [`Queue`] | what one client is sent next, and what is left out if it reads too slowly |
//! | [`Losses`] | what clients are sent when a connection upstream is lost, and when it returns |
//!
//! One task owns all of them except the queues, and hands frames and texts to one task per client,
//! which owns its socket and its [`Queue`], so that a slow client delays nothing else. A command of a client passes through them like this:
//!
//! ```
//! use std::time::Instant;
//!
//! use kite_relay::{Changes, ClientId, Groups, Wishes, WishesConfig};
//! use kite_wire::{Mode, ParsedCommand};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Instant::now();
//! let mut wishes = Wishes::new(WishesConfig::default(), [], now)?;
//! let mut groups = Groups::default();
//! let client = ClientId(1);
//!
//! let command = ParsedCommand::parse(r#"{"a":"mode","v":["full",[408065]]}"#)?;
//! let changes = Changes::of(command, |token| groups.mode(client, token));
//! wishes.check(&changes)?;
//! wishes.apply(&changes, now);
//! groups.apply(client, &changes);
//!
//! let upstream = wishes.poll(now);
//! assert_eq!(upstream.subscribe[&Mode::Full], [408_065]);
//! # Ok(())
//! # }
//! ```
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
mod queue;
mod relay;
mod roster;
mod stats;
mod table;
mod wishes;

pub use builder::{RelayBuilder, TlsFiles};
pub use changes::{Cause, Change, Changes, ClientId};
pub use dispatch::{Dispatcher, Share, Undelivered};
pub use error::RelayError;
pub use groups::{GroupId, Groups};
pub use losses::{Heartbeats, Losses, Notice};
pub use queue::{Outgoing, Overrun, Queue, QueueConfig, QueueCounts, SlowClients};
pub use relay::{Relay, RelayStopped};
pub use roster::RelayClient;
pub use stats::{ClientStats, RelayStats};
pub use wishes::{Upstream, UpstreamFull, Wishes, WishesConfig};
