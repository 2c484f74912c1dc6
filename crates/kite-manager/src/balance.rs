//! Decides which connection carries which instrument, and when instruments change connections.
//!
//! Performs no I/O and reads no clock.

mod balancer;
mod failover;

pub use balancer::Move;
pub(crate) use balancer::{Balancer, Plan, Standing, sorted};
pub(crate) use failover::{Action, Change, Failover};
