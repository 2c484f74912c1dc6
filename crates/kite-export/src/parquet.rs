//! Parquet: Arrow columns, encoded by several threads in parallel.

mod arrays;
mod events;
mod failure;
mod metadata;
mod prices;
mod schema;
mod ticks;
mod times;

pub(crate) use events::ParquetEvents;
pub(crate) use ticks::{ParquetSettings, open_ticks, tick_files};
