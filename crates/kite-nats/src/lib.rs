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
//! A [`Publisher`] publishes the feed of a running manager to a [`Server`]; a [`Consumer`]
//! ([`connect`]) delivers it on another machine as a local manager would.

mod book;
mod consumer;
mod follower;
mod headers;
mod json;
mod link;
mod publisher;
mod server;
mod subject;

pub use consumer::{
    Choice, Consumer, ConsumerConfig, ConsumerCounts, ConsumerError, ConsumerStats, connect,
};
pub use follower::{Follower, Standing};
pub use headers::{HeaderError, Headers, PacketPlace, names};
pub use publisher::{
    Publisher, PublisherConfig, PublisherCounts, PublisherError, PublisherStats, PublisherStopped,
};
pub use server::{Server, ServerError};
pub use subject::{DEFAULT_PREFIX, SubjectError, Subjects, Topic};
