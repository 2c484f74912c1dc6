//! CSV and JSON lines.

mod cells;
#[cfg(feature = "files")]
mod csv;
#[cfg(feature = "files")]
mod files;
mod json;
mod lines;
mod rows;

#[cfg(feature = "files")]
pub(crate) use files::{CHUNK_ROWS, TextEvents, TextFiles, TextKind, TextSettings, TextTicks};
pub use lines::TickLines;
