//! The server side of Kite's protocol, independent of where ticks come from.
//!
//! A connection passes through these in order: [`transport`], [`handshake`], [`admission`] (which
//! refuses with a [`refusal`]), then [`session`], which reads commands, times heartbeats and asks
//! its [`Session`](session::Session) what to send over the [`socket`]. [`subscriptions`] holds a
//! socket's instruments and modes; [`cut`] reduces a frame to them.
//!
//! Nothing here imports the market, faults or replays; they are attached through the session or are
//! part of the layers above.

pub(crate) mod accounts;
pub(crate) mod admission;
pub(crate) mod changes;
pub(crate) mod cut;
pub(crate) mod handshake;
pub(crate) mod listener;
pub(crate) mod refusal;
pub(crate) mod session;
pub(crate) mod socket;
pub(crate) mod subscriptions;
pub(crate) mod texts;
#[cfg(feature = "tls")]
pub(crate) mod tls;
pub(crate) mod transport;
