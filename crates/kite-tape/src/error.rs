//! What keeps a file from being opened, and what was lost within one that was.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use kite_wire::tape::{MAX_BODY_LEN, SkipReason, TapeError};

use crate::EXTENSION;

/// Why tape files cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is no tape that can be read.
    #[error("cannot open {} as a tape", path.display())]
    Tape {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it, and at which byte.
        #[source]
        source: TapeError,
    },
    /// The directory has no tape.
    #[error("no *.{EXTENSION} in {}", path.display())]
    NoTapes {
        /// Which directory.
        path: PathBuf,
    },
    /// No path was given.
    #[error("no tape given; name files, or directories of *.{EXTENSION}")]
    NoPaths,
}

/// A part of a tape that was passed over. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: Arc<PathBuf>,
    /// Where in the file the part begins, in bytes; of what is wrong within a compressed block,
    /// where the block begins.
    pub offset: u64,
    /// How many bytes were passed over; within a compressed block, of the unpacked ones.
    pub bytes: u64,
    /// How many records are lost with it, if that is known.
    pub records: Option<u32>,
    /// What is wrong.
    pub why: DamageReason,
}

/// What is wrong with a part of a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum DamageReason {
    /// As the format's reader says.
    #[error(transparent)]
    Skipped(SkipReason),
    /// The bytes of a compressed block are not those that were written.
    #[error("compressed block damaged: checksum {stored:08x}, computed {computed:08x}")]
    Checksum {
        /// The checksum that the block's header carries.
        stored: u32,
        /// The checksum of the bytes.
        computed: u32,
    },
    /// A compressed block says that it unpacks to more than any block may.
    #[error("compressed block of {length} bytes unpacked, at most {MAX_BODY_LEN} are allowed")]
    TooLong {
        /// What its header says, in bytes.
        length: u32,
    },
    /// What a compressed block holds is not zstd, or more than its header says.
    #[error("compressed block does not unpack to the {length} bytes that its header tells of")]
    Unpack {
        /// What its header says, in bytes.
        length: u32,
    },
    /// A compressed block unpacks to less than its header says. What there is was read.
    #[error("compressed block unpacks to {found} bytes, its header tells of {length}")]
    Short {
        /// What its header says, in bytes.
        length: u32,
        /// How long it is, in bytes.
        found: usize,
    },
    /// The file's header is no longer what it was when the file was opened.
    #[error("file changed while it was read")]
    Changed,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, bytes, records, why } = self;
        write!(f, "{} at byte {offset}: {why}; {bytes} bytes passed over", path.display())?;
        match records {
            Some(records) => write!(f, ", {records} records lost"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Damage {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.why)
    }
}
