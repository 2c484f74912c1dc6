//! Up to three Kite Connect ticker connections of an account.
//!
//! A [`Manager`] balances instruments over its [`kite_conn::Connection`]s, starts and stops them
//! together, and gives their state as a [`Snapshot`]. What they receive goes to the application's
//! own [`kite_conn::Sink`]s; no frame passes through this crate.

mod balancer;
mod config;
mod error;
mod manager;
mod snapshot;

pub use config::{MAX_CONNECTIONS, ManagerConfig};
pub use error::{CapacityError, StartError};
pub use kite_conn::{ConfigError, MAX_QUEUE, check, check_duration};
pub use manager::Manager;
pub use snapshot::{ConnectionSnapshot, Health, Snapshot};
