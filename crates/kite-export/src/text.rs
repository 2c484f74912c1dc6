//! CSV and JSON lines.

#[cfg(feature = "files")]
mod bar_file;
mod bars;
mod cells;
mod csv;
#[cfg(feature = "files")]
mod files;
mod json;
mod lines;
mod rows;

#[cfg(feature = "files")]
pub(crate) use bar_file::TextBars;
pub use bars::BarLines;
#[cfg(feature = "files")]
pub(crate) use files::{CHUNK_ROWS, TextEvents, TextFiles, TextKind, TextSettings, TextTicks};
pub use lines::TickLines;
