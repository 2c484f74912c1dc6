//! The crate at its border: real sockets, and clients of tokio-tungstenite.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

mod door;
mod memory;
mod pair;
mod socket;
#[cfg(feature = "tls")]
mod tls;
