//! A relay between the simulator and clients of tokio-tungstenite, over real sockets.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod client;
mod feed;
mod frames;
mod guests;
mod identity;
mod joining;
mod losses;
mod slow;
mod stacked;
mod stage;
