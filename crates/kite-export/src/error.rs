//! Why an export failed.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::arrow::ColumnError;
use crate::partition::Partition;
use crate::settings::Format;

/// Why an export failed. Nothing is left under the final name, and no temporary file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The path of the table exists.
    #[error("{} already exists; choose another name or set `overwrite`", path.display())]
    Exists {
        /// The path of the table.
        path: PathBuf,
    },
    /// The path of the table exists and is not a regular file, so it is never replaced.
    #[error("{} is not a regular file and is not replaced; choose another name", path.display())]
    NoRegularFile {
        /// The path of the table.
        path: PathBuf,
    },
    /// The path is that of a file which the export reads.
    #[error("{} is an input of the export and is not replaced; choose another name", path.display())]
    Input {
        /// The path of the table.
        path: PathBuf,
    },
    /// The path is that of a tape.
    #[error("{} is a tape and is not replaced; choose another name", path.display())]
    Tape {
        /// The path of the table.
        path: PathBuf,
    },
    /// The path does not name a file.
    #[error("{} does not name a file; give a path that ends with a file name", path.display())]
    NoFileName {
        /// The path.
        path: PathBuf,
    },
    /// Ticks and events have the same path.
    #[error("{} is the path of both ticks and events; give the events another name", path.display())]
    OneFileForTwo {
        /// The path.
        path: PathBuf,
    },
    /// The path of a partitioned table exists and is not a directory.
    #[error("{} is not a directory; choose another name for the partitions", path.display())]
    NoDirectory {
        /// The path of the table.
        path: PathBuf,
    },
    /// The directory of a partitioned table has files that are partitioned by other keys. Readers
    /// take all files of a directory for one table, and would count rows twice.
    #[error("{} is partitioned by other keys; choose another directory", path.display())]
    OtherLayout {
        /// One of these files.
        path: PathBuf,
    },
    /// A key of the partitions is given twice.
    #[error("the table is partitioned by {} twice; name each key once", key.key())]
    RepeatedPartition {
        /// The key.
        key: Partition,
    },
    /// A partitioned table reads the tapes several times, and a later reading found fewer rows.
    #[error("the tapes changed while they were read; export them again")]
    TapesChanged,
    /// The file could not be created.
    #[error("cannot create {}: {source}; {}", path.display(), advice(source))]
    Create {
        /// The file, under its temporary name.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// Bytes could not be written.
    #[error("cannot write to {target}: {source}; {}", advice(source))]
    Write {
        /// The destination.
        target: Target,
        /// The system's error.
        r#source: io::Error,
    },
    /// The complete file could not be renamed to its final name.
    #[error("cannot rename {} to {}: {source}; {}", from.display(), to.display(), advice(source))]
    Rename {
        /// The temporary name.
        from: PathBuf,
        /// The final one.
        to: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// The rows could not be encoded as Parquet.
    #[error(
        "cannot encode rows for {target}: {source}; write CSV or JSON lines instead, and report it"
    )]
    Encode {
        /// The destination.
        target: Target,
        /// The cause.
        r#source: EncodeFailure,
    },
    /// A thread could not be started.
    #[error("cannot start one of {threads} threads: {source}; use fewer")]
    Thread {
        /// The number of threads.
        threads: usize,
        /// The system's error.
        r#source: io::Error,
    },
    /// An encoding thread ended before its work was done.
    #[error("an encoding thread for {target} ended early; report it")]
    ThreadLost {
        /// The destination.
        target: Target,
    },
    /// The caller cancelled.
    #[error("cancelled after {rows} rows")]
    Cancelled {
        /// Rows read so far.
        rows: u64,
    },
    /// The time range ends before it starts.
    #[error(
        "time range from {from_unix_ns} to {to_unix_ns} is empty; its end must be after its start"
    )]
    EmptyTimeRange {
        /// Its start, in nanoseconds since the Unix epoch.
        from_unix_ns: u64,
        /// Its end.
        to_unix_ns: u64,
    },
    /// The choice of columns is no table.
    #[error(transparent)]
    Columns(#[from] ColumnError),
    /// Columns were chosen for CSV or JSON lines, which have all of them.
    #[error("{} has all columns; choose columns for Parquet", format.extension())]
    ColumnsOfText {
        /// The format.
        format: Format,
    },
    /// A setting of the bars is out of range.
    #[error(transparent)]
    Bars(#[from] kite_candles::ConfigError),
    /// A setting is out of range.
    #[error("{name} is {value}; it must be from {least} to {most}")]
    Setting {
        /// The setting.
        name: &'static str,
        /// The value given.
        value: i64,
        /// The least allowed.
        least: i64,
        /// The most allowed.
        most: i64,
    },
}

/// The destination of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// A file, by its final name.
    File(PathBuf),
    /// The caller's writer.
    Writer,
    /// Record batches in memory.
    Memory,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Writer => f.write_str("the output"),
            Self::Memory => f.write_str("memory"),
        }
    }
}

/// Why rows could not be encoded, as reported by the encoder.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct EncodeFailure(Box<dyn std::error::Error + Send + Sync>);

impl EncodeFailure {
    pub(crate) fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

/// Returns advice on a system error.
fn advice(source: &io::Error) -> &'static str {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full: free some space or choose another disk"
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "choose a directory that you may write to"
        }
        io::ErrorKind::NotFound => "create the directory first",
        io::ErrorKind::BrokenPipe => "the reader of the output has closed it",
        _ => "see the cause",
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error;
    use std::time::Duration;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let io = || io::Error::other("the system's words");
        let path = || PathBuf::from("ticks.csv");
        let target = || Target::File(path());
        for error in [
            ExportError::Exists { path: path() },
            ExportError::NoRegularFile { path: path() },
            ExportError::Input { path: path() },
            ExportError::Tape { path: path() },
            ExportError::NoFileName { path: path() },
            ExportError::OneFileForTwo { path: path() },
            ExportError::NoDirectory { path: path() },
            ExportError::OtherLayout { path: path() },
            ExportError::RepeatedPartition { key: Partition::Date },
            ExportError::TapesChanged,
            ExportError::Create { path: path(), source: io() },
            ExportError::Write { target: target(), source: io() },
            ExportError::Rename { from: path(), to: path(), source: io() },
            ExportError::Encode { target: target(), source: EncodeFailure::new("bad column") },
            ExportError::Thread { threads: 5, source: io() },
            ExportError::ThreadLost { target: target() },
            ExportError::Cancelled { rows: 5 },
            ExportError::EmptyTimeRange { from_unix_ns: 5, to_unix_ns: 4 },
            ExportError::Columns(ColumnError::Empty),
            ExportError::ColumnsOfText { format: Format::Csv },
            ExportError::Setting { name: "level", value: 5, least: 1, most: 3 },
            ExportError::Bars(kite_candles::ConfigError::Grace {
                asked: Duration::from_secs(90),
                most: Duration::from_secs(60),
            }),
        ] {
            let cause: Option<&dyn Error> = match &error {
                ExportError::Create { source, .. }
                | ExportError::Write { source, .. }
                | ExportError::Rename { source, .. }
                | ExportError::Thread { source, .. } => Some(source),
                ExportError::Encode { source, .. } => Some(source),
                ExportError::Exists { .. }
                | ExportError::NoRegularFile { .. }
                | ExportError::Input { .. }
                | ExportError::Tape { .. }
                | ExportError::NoFileName { .. }
                | ExportError::NoDirectory { .. }
                | ExportError::OtherLayout { .. }
                | ExportError::RepeatedPartition { .. }
                | ExportError::TapesChanged
                | ExportError::OneFileForTwo { .. }
                | ExportError::ThreadLost { .. }
                | ExportError::Cancelled { .. }
                | ExportError::EmptyTimeRange { .. }
                | ExportError::Columns(_)
                | ExportError::ColumnsOfText { .. }
                | ExportError::Bars(_)
                | ExportError::Setting { .. } => None,
            };
            assert_chain(&error, cause);
        }
    }
}
