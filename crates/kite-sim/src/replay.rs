//! Replays a recorded day instead of the simulated market.
//!
//! [`pump`] reads the records when they are due, and [`fanout`] deals each out to the sockets;
//! [`dedup`] and [`schedule`] are pure. Handshakes, accounts, sockets, commands,
//! heartbeats, faults and the ledger are the same as with a simulated market.

mod dedup;
mod fanout;
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
pub use options::{Replay, Speed, Start};
pub use progress::ReplayProgress;
pub(crate) use pump::run;
pub(crate) use reader::{Records, TapeStart};
