//! The server of a manager at the simulator, asked over real sockets.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod client;
mod guard;
mod metrics;
mod ready;
mod stage;
