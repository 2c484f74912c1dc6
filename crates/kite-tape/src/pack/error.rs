//! Errors of packing.

use std::io;
use std::path::PathBuf;

use crate::error::{Damage, OpenError};

/// An error of [`pack`](crate::pack) or [`unpack`](crate::unpack). The tape that was read is
/// unchanged, and no new one is left.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackError {
    /// A setting is out of range.
    #[error("{field} is {value}; it must be {range}")]
    Config {
        /// The setting's name.
        field: &'static str,
        /// The setting's value.
        value: String,
        /// The allowed range.
        range: &'static str,
    },
    /// The tape cannot be opened.
    #[error(transparent)]
    Open(OpenError),
    /// A recorder writes to the tape, or may go on with it.
    #[error("{} is being recorded; it can be packed when its recorder has ended", path.display())]
    BeingRecorded {
        /// The tape.
        path: PathBuf,
    },
    /// Some of the tape cannot be read, and packing would hide that.
    #[error("{damage}; `repair` writes a tape that can be packed")]
    Damaged {
        /// The first damage.
        damage: Box<Damage>,
    },
    /// The tape ends in the middle of a write, or with damage, or its metadata are damaged.
    #[error("{} is not complete: {what}; `repair` writes a tape that can be packed", path.display())]
    Incomplete {
        /// The tape.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The new tape would replace another file.
    #[error("{} exists", path.display())]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// Another program changed or replaced the tape while it was read.
    #[error("{} was changed while it was packed", path.display())]
    Changed {
        /// The tape.
        path: PathBuf,
    },
    /// The new tape does not read back as the first one.
    #[error(
        "the records of {} did not read back as they were, from its byte {offset} on; it was left \
         as it is", path.display()
    )]
    Differs {
        /// The tape that was read.
        path: PathBuf,
        /// Offset in it of the first block that differs.
        offset: usize,
    },
    /// The new tape cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// The caller cancelled.
    #[error("cancelled")]
    Cancelled,
}
