//! Parquet: Arrow columns, encoded by several threads in parallel.

mod arrays;
mod events;
mod failure;
mod metadata;
mod prices;
mod schema;
mod ticks;

pub(crate) use events::ParquetEvents;
pub(crate) use ticks::{ParquetSettings, open_ticks};
