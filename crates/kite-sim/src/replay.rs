//! A recorded day in the market's place.
//!
//! The handshake, accounts, sockets, commands, heartbeats, faults and the ledger are the
//! simulator's own. What a replay brings is what sockets are sent: [`stage`] holds who is there and
//! deals a record out to them, [`pump`] brings the records to it in their time, and the rest is
//! pure: [`cut`], [`present`], [`once`], [`schedule`].

#[cfg(feature = "tape")]
mod asking;
mod cut;
mod once;
mod present;
mod progress;
mod pump;
mod reader;
mod schedule;
mod sending;
mod setting;
mod stage;
#[cfg(feature = "tape")]
mod tape;
#[cfg(all(test, feature = "tape"))]
mod tests;

pub(crate) use present::Present;
pub use progress::ReplayProgress;
pub(crate) use pump::run;
pub(crate) use reader::{Records, Wound};
pub use setting::{Replay, Speed, Start};
pub(crate) use stage::{Feed, Stage};
