//! Parquet files: Arrow columns, encoded by several threads in parallel.

mod bars;
mod events;
mod failure;
mod metadata;
mod properties;
mod ticks;

pub(crate) use bars::ParquetBars;
pub(crate) use events::ParquetEvents;
pub(crate) use ticks::{ParquetSettings, open_ticks, tick_files};
