//! Ticks of several connections for one consumer.

mod filter;
mod first;
mod former;
mod hub;
mod item;
mod merge;
mod merged;
mod select;
mod subscriber;

pub use filter::StreamFilter;
pub(crate) use hub::{Hub, HubSink};
pub use item::{StreamItem, TaggedBatch};
pub(crate) use merge::Merge;
pub use merged::{StreamConfig, TickStream};
