//! What the sockets of a Python ticker deliver, in order.
//!
//! Nothing of Python is in this crate, so that its tests need no interpreter.

mod bell;
mod inbox;
mod last_accepted;
mod notice;
mod plan;
mod reconnected;
mod sink;

pub use bell::Bell;
pub use inbox::{Inbox, Item, Source};
pub use last_accepted::LastAccepted;
pub use notice::{Notice, Notices};
pub use plan::{Change, Full, MAX_SOCKETS, PER_SOCKET, Plan};
pub use reconnected::Reconnected;
pub use sink::FeedSink;
