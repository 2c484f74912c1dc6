//! The simulator as seen by a plain WebSocket client.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a step that fails ends the test")]

mod bare;
mod client;
mod damage;
mod endings;
mod faults;
mod feed;
mod finish;
mod handshake;
mod handshake_faults;
mod layers;
#[cfg(feature = "login")]
mod login;
mod manners;
#[cfg(feature = "tape")]
mod replay;
mod scripts;
#[cfg(feature = "tls")]
mod tls;
mod totals;
