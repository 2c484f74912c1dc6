//! The path of a frame from the socket to the application: checked, counted, delivered.
//!
//! What happens to a batch is up to the sink; rings are in the layers above.

mod batch;
mod fanout;
mod intake;
mod lane;
mod rate_limit;
mod sink;
#[cfg(test)]
mod tests;
mod unread;

pub use self::batch::Batch;
pub use self::lane::{
    Lane, LaneConfig, LaneItem, LaneSink, LaneStats, Overflow, TryRecvError, lane,
};
pub use self::sink::Sink;
pub use self::unread::Unread;

pub(crate) use self::intake::{Intake, Notice};
pub(crate) use self::rate_limit::RateLimit;
