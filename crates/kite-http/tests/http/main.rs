//! The server of a manager at the simulator, asked over real sockets.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod client;
mod guard;
mod hostile;
mod latest;
mod metrics;
mod ready;
mod secrets;
mod stage;
