//! The state of a manager as data, and what it says about its health.

mod rate;
mod report;
mod snapshot;

pub(crate) use rate::Rate;
pub use report::{ConnectionReport, Quantiles, Report};
pub use snapshot::{ConnectionSnapshot, Health, HealthLevel, Snapshot, Unseen};
