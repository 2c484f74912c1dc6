//! The state of a manager as data, and its health.

mod figures;
mod health;
mod phase;
mod quantiles;
mod rates;
mod reading;
mod snapshot;

pub use figures::Figures;
pub use health::{Health, HealthLevel};
pub use quantiles::Quantiles;
pub(crate) use rates::{Rates, SAMPLE_EVERY};
pub(crate) use reading::Reading;
pub use snapshot::{ConnectionSnapshot, Snapshot, Unseen};
