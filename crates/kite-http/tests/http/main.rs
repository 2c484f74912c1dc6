//! The server of a manager at the simulator, asked over real sockets.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

mod browser;
mod browsers;
mod candles;
mod client;
mod clients;
mod guard;
mod hostile;
mod latest;
mod metrics;
mod page;
mod ready;
mod secrets;
mod stage;
