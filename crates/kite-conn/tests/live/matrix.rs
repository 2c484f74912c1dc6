//! The fault matrix: every fault the simulator knows, what a user is told of it, and what is left.

mod auth;
mod gaps;
mod lanes;
mod rows;
mod secure;
mod watchdog;
mod wishes;
