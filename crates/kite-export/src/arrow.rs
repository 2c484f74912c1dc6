//! Tables as Arrow arrays: the schema, and builders that decode packets directly into columns.
//!
//! Parquet files are encoded from the same arrays, so a table in memory is equal to the file's.

mod bars;
mod batches;
mod choice;
mod columns;
mod events;
mod fields;
mod presence;
mod prices;
mod row;
mod schema;
mod times;
mod values;

pub(crate) use bars::BarColumns;
pub use batches::TickBatches;
pub use choice::{ColumnError, TickSchema};
pub(crate) use columns::Columns;
pub(crate) use events::EventRows;
