//! The fault matrix: every fault the simulator can inject, the events it causes, and the state
//! after it.

mod auth;
mod gaps;
mod lanes;
mod requests;
mod rows;
mod secure;
mod watchdog;
