//! Errors of tape files. Offsets are in bytes from the start of the file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kite_wire::tape::{ColumnsError, MAX_BODY_LEN, MAX_COLUMNS_BODY_LEN, Skipped, TapeError};

/// An error opening tapes.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The file or directory cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// The file is not a readable tape.
    #[error("cannot open {} as a tape: {source}", path.display())]
    Tape {
        /// The path.
        path: PathBuf,
        /// The error in its header.
        r#source: TapeError,
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

/// A file that is not read although it was named or is in a directory that was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PassedOver {
    /// The file has the same tape as another file, which is read.
    #[error("{}", copy_text(path, other))]
    Copy {
        /// The file that is not read.
        path: PathBuf,
        /// The file that is read.
        other: PathBuf,
    },
    /// The file, in a directory, ends within its header and has no records: a recorder was killed
    /// while it started the file.
    #[error("skipped: {0}")]
    Unfinished(OpenError),
    /// The file, in a directory, is not a tape, or cannot be read.
    #[error("skipped: {0}")]
    Unreadable(OpenError),
}

fn copy_text(path: &Path, other: &Path) -> String {
    if path == other {
        return format!("{} is named twice; read once", path.display());
    }
    format!("{} is the same tape as {}; read once", path.display(), other.display())
}

impl PassedOver {
    /// Returns whether records may be missing from what is read.
    #[must_use]
    pub fn is_loss(&self) -> bool {
        matches!(self, Self::Unreadable(_))
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Copy { path, .. } => path,
            Self::Unfinished(error) | Self::Unreadable(error) => error.path(),
        }
    }
}

impl OpenError {
    /// Returns the path that the error is about; empty if none was given.
    fn path(&self) -> &Path {
        match self {
            Self::Io { path, .. } | Self::Tape { path, .. } | Self::NoTapes { path } => path,
            Self::Nothing => Path::new(""),
        }
    }
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
    #[error("cannot write {}: {source}", path.display())]
    Io {
        /// The path.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// The recorder's thread cannot be started.
    #[error("cannot start the recorder's thread: {0}")]
    Thread(io::Error),
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
    /// Receive time of the record before it, or the earliest that its block declares, in
    /// nanoseconds since the Unix epoch, if known. What was lost was received at or after this time,
    /// unless the clock was set.
    pub from_unix_ns: Option<u64>,
    /// Receive time of the record after it, or the latest that its block declares, if known.
    pub to_unix_ns: Option<u64>,
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
    /// The columns of a block do not describe its records although their checksum matches.
    #[error("block by columns cannot be read: {0}")]
    Columns(ColumnsError),
    /// A block declares more bytes than a block may have.
    #[error(
        "block declares {declared} bytes; at most {MAX_BODY_LEN} are allowed, {MAX_COLUMNS_BODY_LEN} by columns"
    )]
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let io = || io::Error::other("the system's words");
        let path = || PathBuf::from("day.ktape");
        for error in [
            OpenError::Io { path: path(), source: io() },
            OpenError::Tape { path: path(), source: TapeError::Empty },
            OpenError::NoTapes { path: path() },
            OpenError::Nothing,
        ] {
            let cause: Option<&dyn Error> = match &error {
                OpenError::Io { source, .. } => Some(source),
                OpenError::Tape { source, .. } => Some(source),
                OpenError::NoTapes { .. } | OpenError::Nothing => None,
            };
            assert_chain(&error, cause);
        }
        for error in [
            RecordError::Config { field: "field", value: "5".into(), range: "1 to 3" },
            RecordError::Locked { path: path() },
            RecordError::Io { path: path(), source: io() },
            RecordError::Thread(io()),
            RecordError::Failed,
        ] {
            let cause: Option<&dyn Error> = match &error {
                RecordError::Io { source, .. } | RecordError::Thread(source) => Some(source),
                RecordError::Config { .. } | RecordError::Locked { .. } | RecordError::Failed => {
                    None
                }
            };
            assert_chain(&error, cause);
        }
        let cause = DamageCause::BlockChecksum;
        let damage = Damage {
            path: Path::new("a").into(),
            offset: 9,
            records: None,
            from_unix_ns: None,
            to_unix_ns: None,
            cause: cause.clone(),
        };
        assert_chain(&damage, Some(&cause));
    }
}
