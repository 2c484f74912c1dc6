//! Ticks of several connections for one consumer.

mod hub;
mod merge;
mod merged;
mod select;

pub(crate) use hub::{Hub, HubSink};
pub(crate) use merge::Merge;
pub use merged::{StreamConfig, StreamItem, TaggedBatch, TickStream};
