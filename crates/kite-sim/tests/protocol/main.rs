//! The simulator as a plain WebSocket client sees it.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

mod client;
mod faults;
mod feed;
mod handshake;
mod totals;
