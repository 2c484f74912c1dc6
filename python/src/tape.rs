//! Recorded ticks for Python: tables by the Arrow interface, frames, gaps.

mod frames;
mod gaps;
mod outcome;
mod recording;
mod table;

pub use frames::{Frames, RecordedFrame};
pub use outcome::TapeWarning;
pub use recording::Recording;
pub use table::TapeTable;
