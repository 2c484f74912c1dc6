//! Why an export ends without its file.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// Why an export failed. Nothing is left under the final name then, and no temporary file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// Something stands where the table is to go.
    #[error("{} exists already; choose another name, or allow to overwrite it", path.display())]
    Exists {
        /// Where the table was to go.
        path: PathBuf,
    },
    /// Something that is no regular file stands where the table is to go: it is never replaced.
    #[error("{} is no regular file and is not replaced; choose another name", path.display())]
    NoRegularFile {
        /// Where the table was to go.
        path: PathBuf,
    },
    /// The path cannot be a file's.
    #[error("{} does not name a file; give a path that ends with a file name", path.display())]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
    /// Ticks and events were to go to one file.
    #[error("{} is to hold both ticks and events; give the events another name", path.display())]
    OneFileForTwo {
        /// The path of both.
        path: PathBuf,
    },
    /// The file could not be made.
    #[error("cannot create {}; {}", path.display(), advice(source))]
    Create {
        /// The file, under its temporary name.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Bytes could not be written.
    #[error("cannot write to {target}; {}", advice(source))]
    Write {
        /// Where they were to go.
        target: Target,
        /// What the system says.
        source: io::Error,
    },
    /// The complete file could not be given its name.
    #[error("cannot rename {} to {}; {}", from.display(), to.display(), advice(source))]
    Rename {
        /// The temporary name.
        from: PathBuf,
        /// The final one.
        to: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The rows could not be made into Parquet.
    #[error("cannot encode rows for {target}; write CSV or JSON lines instead, and report it")]
    Encode {
        /// Where they were to go.
        target: Target,
        /// Why.
        source: EncodeFailure,
    },
    /// A thread could not be started.
    #[error("cannot start one of {threads} threads; ask for fewer")]
    Thread {
        /// How many were to run.
        threads: usize,
        /// What the system says.
        source: io::Error,
    },
    /// A thread that encodes ended before its work did.
    #[error("a thread that encodes rows for {target} has ended early; report it")]
    ThreadLost {
        /// Where the rows were to go.
        target: Target,
    },
    /// The caller cancelled.
    #[error("cancelled after {rows} rows")]
    Cancelled {
        /// Rows read until then.
        rows: u64,
    },
    /// The time asked for ends before it begins.
    #[error("time range from {from_unix_ns} to {to_unix_ns} is empty; its end must lie behind it")]
    EmptyTimeRange {
        /// Its beginning, in nanoseconds since the Unix epoch.
        from_unix_ns: u64,
        /// Its end.
        to_unix_ns: u64,
    },
    /// A setting is out of its limits.
    #[error("{name} is {value}, from {least} to {most} are allowed")]
    Setting {
        /// Which.
        name: &'static str,
        /// The value given.
        value: i64,
        /// The least allowed.
        least: i64,
        /// The most allowed.
        most: i64,
    },
}

/// Where a table goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A file, by its final name.
    File(PathBuf),
    /// A writer of the caller's.
    Writer,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Writer => f.write_str("the output"),
        }
    }
}

/// Why rows could not be encoded, in the encoder's words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeFailure(Box<dyn std::error::Error + Send + Sync>);

impl EncodeFailure {
    pub(crate) fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// What to do about an error of the system's.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space or choose another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a directory that you may write to"
        }
        io::ErrorKind::NotFound => "make the directory first",
        io::ErrorKind::BrokenPipe => "the reader of the output has gone",
        _ => "see the cause",
    }
}
