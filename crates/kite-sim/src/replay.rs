//! A recorded day in the market's place.
//!
//! What a replay brings is what sockets are sent: [`fanout`] holds who is there and deals a record
//! out to them, [`pump`] brings the records to it in their time, and the rest is pure: [`latest`],
//! [`dedup`], [`schedule`]. The handshake, accounts, sockets, commands, heartbeats, faults and the
//! ledger are as they are over a market.

mod dedup;
mod fanout;
mod latest;
mod options;
mod progress;
mod pump;
mod reader;
mod schedule;
#[cfg(feature = "tape")]
mod tape;
#[cfg(all(test, feature = "tape"))]
mod tests;

pub(crate) use fanout::{Fanout, Feed, Piece, Queued, Subscriber};
pub(crate) use latest::LatestPackets;
pub use options::{Replay, Speed, Start};
pub use progress::ReplayProgress;
pub(crate) use pump::run;
pub(crate) use reader::{Records, TapeStart};
