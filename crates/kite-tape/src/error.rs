//! Errors of tape files. Offsets are in bytes from the start of the file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kite_wire::tape::{MAX_BODY_LEN, Skipped, TapeError};

/// An error opening tapes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file is not a readable tape.
    #[error("cannot open {} as a tape", path.display())]
    Tape {
        /// The path.
        path: PathBuf,
        /// The error in its header.
        source: TapeError,
    },
    /// The directory contains no tape.
    #[error("no tape in {}: tapes are files that end in .ktape", path.display())]
    NoTapes {
        /// The directory.
        path: PathBuf,
    },
    /// No path was given.
    #[error("no tape given: name a file or a directory of .ktape files")]
    Nothing,
}

/// An error starting or finishing a recording.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
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
    /// Another recorder writes to this directory with this prefix.
    #[error(
        "{} is locked by another recorder: end it, or choose another directory or prefix",
        path.display()
    )]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be written to.
    #[error("cannot write {}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The recorder's thread cannot be started.
    #[error("cannot start the recorder's thread")]
    Thread(#[source] io::Error),
    /// The recorder's thread panicked. What it wrote before is on the disk.
    #[error("the recorder's thread panicked; what it wrote before can be read")]
    Failed,
}

/// A part of a tape that cannot be read. Reading continues after that part.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: Arc<Path>,
    /// Offset of the damaged part, in bytes from the start of the file; for damage within a
    /// compressed block, the offset of the block.
    pub offset: usize,
    /// Number of records lost with it, if known.
    pub records: Option<u32>,
    /// What is wrong.
    pub cause: DamageCause,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: damaged at byte {}: {}", self.path.display(), self.offset, self.cause)?;
        match self.records {
            Some(0) | None => Ok(()),
            Some(1) => f.write_str("; 1 record lost"),
            Some(records) => write!(f, "; {records} records lost"),
        }
    }
}

impl std::error::Error for Damage {}

/// What is wrong with a damaged part of a tape.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DamageCause {
    /// Bytes had to be skipped.
    #[error("{0}")]
    Skipped(Skipped),
    /// The compressed bytes of a block do not match their checksum.
    #[error("compressed block damaged: its checksum does not match")]
    BlockChecksum,
    /// A block cannot be decompressed although its checksum matches.
    #[error("compressed block cannot be decompressed: {0}")]
    Unpack(String),
    /// A block declares more bytes than a block may have.
    #[error("block declares {declared} bytes; at most {MAX_BODY_LEN} are allowed")]
    BlockTooLong {
        /// The length in its header.
        declared: u32,
    },
    /// A block uses a codec of a later version.
    #[error("block uses codec {codec} of a later version; read it with a newer release")]
    UnknownCodec {
        /// The block's codec.
        codec: u8,
    },
}
