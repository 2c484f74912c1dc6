//! Up to three Kite Connect ticker connections of an account.
//!
//! A [`Manager`] balances instruments over its [`kite_conn::Connection`]s, starts and stops them
//! together, and gives their state as a [`Snapshot`]. What they receive goes to the application's
//! own [`kite_conn::Sink`]s; no frame passes through this crate.

#[cfg_attr(not(test), expect(dead_code, reason = "the typed manager uses it"))]
#[expect(unreachable_pub, reason = "the typed manager exports it")]
mod account;
#[cfg_attr(
    not(test),
    expect(dead_code, reason = "loads, hand over and give back come with the failover task")
)]
mod balancer;
mod config;
mod error;
#[cfg_attr(not(test), expect(dead_code, reason = "the failover task is still to come"))]
mod failover;
#[cfg_attr(not(test), expect(dead_code, reason = "connections do not ask it yet"))]
mod governor;
#[cfg_attr(not(test), expect(dead_code, reason = "the typed manager uses it"))]
mod hub;
#[cfg_attr(not(test), expect(dead_code, reason = "the typed manager uses it"))]
#[expect(unreachable_pub, reason = "the typed manager exports it")]
mod latest;
mod manager;
#[cfg_attr(not(test), expect(dead_code, reason = "the typed manager uses it"))]
mod orders;
mod select;
mod snapshot;
#[cfg_attr(not(test), expect(dead_code, reason = "the typed manager uses it"))]
#[expect(unreachable_pub, reason = "the typed manager exports it")]
mod stream;

pub use config::{MAX_CONNECTIONS, ManagerConfig};
pub use error::{CapacityError, StartError};
pub use kite_conn::{ConfigError, MAX_QUEUE, check, check_duration};
pub use manager::Manager;
pub use snapshot::{ConnectionSnapshot, Health, Snapshot};
