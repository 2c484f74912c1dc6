//! What can be wrong with tape files. Offsets are bytes from the start of the file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kite_wire::tape::{MAX_BODY_LEN, Skipped, TapeError};

/// Why tapes cannot be opened.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or directory cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The file is not a tape that can be read.
    #[error("cannot open {} as a tape", path.display())]
    Tape {
        /// Its path.
        path: PathBuf,
        /// What is wrong with its header, and where.
        source: TapeError,
    },
    /// There is no tape in the directory.
    #[error("no tape in {}: tapes are files that end in .ktape", path.display())]
    NoTapes {
        /// The directory.
        path: PathBuf,
    },
    /// No path was given.
    #[error("no tape given: name a file or a directory of .ktape files")]
    Nothing,
}

/// Why nothing can be recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A setting is outside of its range.
    #[error("{field} is {value}, it must be {range}")]
    Config {
        /// Its name.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        range: &'static str,
    },
    /// Another recorder writes there.
    #[error(
        "{} is locked by another recorder: end it, or choose another directory or prefix",
        path.display()
    )]
    Locked {
        /// The lock.
        path: PathBuf,
    },
    /// The directory or a file in it cannot be written to.
    #[error("cannot write {}", path.display())]
    Io {
        /// Its path.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// There is no room for another thread.
    #[error("cannot start the recorder's thread")]
    Thread(#[source] io::Error),
    /// The recorder's thread panicked. What it had written is on the disk.
    #[error("the recorder failed; what it had written can be read")]
    Failed,
}

/// A part of a tape that cannot be read. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Damage {
    /// The file.
    pub path: Arc<Path>,
    /// Where the damaged part begins, in bytes from the start of the file. Within a compressed
    /// block, where the block begins.
    pub offset: usize,
    /// How many records are lost with it, if that is known.
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
    /// Bytes had to be passed over.
    #[error("{0}")]
    Skipped(Skipped),
    /// The compressed bytes of a block are not those that were written.
    #[error("compressed block damaged: its checksum does not fit")]
    BlockChecksum,
    /// A block cannot be unpacked, though its checksum fits.
    #[error("compressed block cannot be unpacked: {0}")]
    Unpack(String),
    /// A block declares more than any block may hold.
    #[error("block declares {declared} bytes, at most {MAX_BODY_LEN} are allowed")]
    BlockTooLong {
        /// What its header says.
        declared: u32,
    },
    /// A block is compressed in a way of a later version.
    #[error("block with codec {codec} of a later version; read it with a newer release")]
    UnknownCodec {
        /// The block's codec.
        codec: u8,
    },
}
