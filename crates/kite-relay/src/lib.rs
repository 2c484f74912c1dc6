//! One upstream feed for any number of clients of Kite's ticker protocol.
//!
//! An api_key has three sockets. A relay holds them and serves clients of its own, each with the
//! instruments and modes that it asked for. This crate has the decisions of a relay as plain
//! structs: they perform no I/O, and the caller passes in the time.
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
//! which owns its socket and its [`Queue`]. A command of a client passes through them like this:
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

mod changes;
mod dispatch;
mod groups;
mod index;
mod losses;
mod newest;
mod queue;
mod wishes;

pub use changes::{Cause, Change, Changes, ClientId};
pub use dispatch::{Dispatcher, Share, Undelivered};
pub use groups::{GroupId, Groups};
pub use losses::{Heartbeats, Losses, Notice};
pub use queue::{Outgoing, Overrun, Policy, Queue, QueueConfig, QueueCounts};
pub use wishes::{Upstream, UpstreamFull, Wishes, WishesConfig};
