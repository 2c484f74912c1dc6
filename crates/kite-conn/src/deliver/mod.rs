//! The way of a frame from the socket's task to the application: checked, counted, handed over.
//!
//! What becomes of a batch is the sink's business: rings live in the layers above.

mod batch;
mod fanout;
mod intake;
mod lane;
mod rate_limit;
mod sink;
#[cfg(test)]
mod tests;

pub use self::batch::Batch;
pub use self::lane::{
    Lane, LaneConfig, LaneItem, LaneSink, LaneStats, Overflow, TryRecvError, lane,
};
pub use self::sink::Sink;

pub(crate) use self::intake::{Intake, Notice};
pub(crate) use self::rate_limit::RateLimit;
