//! Kite Connect market data over NATS, for consumers on other machines.
//!
//! | subject | payload |
//! |---|---|
//! | `kite.<account>.tick.<segment>.<token>` | one packet, byte for byte as received |
//! | `kite.<account>.frame.<connection>` | one frame with all its packets, by choice |
//! | `kite.<account>.order`, `.event`, `.gap` | JSON |
//! | `kite.<account>.latest` | requests for newest packets |
//!
//! [`Subjects`] writes these names and [`Topic`] reads them. Every message with ticks carries
//! [`Headers`], from which a [`Follower`] decides whether the message is next, a repetition, or
//! of a publisher that another one has replaced, and how many messages are missing before it.
//!
//! No part of this crate does I/O yet: these are the rules that publishers and consumers share.

mod follower;
mod headers;
mod subject;

pub use follower::{Follower, Standing};
pub use headers::{HeaderError, Headers, PacketPlace, names};
pub use subject::{DEFAULT_PREFIX, SubjectError, Subjects, Topic};
