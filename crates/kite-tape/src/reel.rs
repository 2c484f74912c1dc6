//! Several tape files as one.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::EXTENSION;
use crate::entries::Entries;
use crate::error::OpenError;
use crate::file::TapeFile;

/// One or more tape files, read as one stream of records ordered by time. A clone shares the maps.
///
/// ```no_run
/// # fn main() -> Result<(), kite_tape::OpenError> {
/// let reel = kite_tape::Reel::open(["recordings"])?;
/// let mut entries = reel.entries();
/// for item in &mut entries {
///     match item {
///         Ok(entry) => println!("{} {:?}", entry.recv_unix_ns(), entry.kind),
///         Err(damage) => eprintln!("{damage}"),
///     }
/// }
/// println!("{:?}", entries.tally());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Reel {
    /// By their earliest records.
    files: Vec<TapeFile>,
}

/// From when on and how a [`Reel`] is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReadConfig {
    /// Begin with the first record of each file that was received at this time or later, in
    /// nanoseconds since the Unix epoch.
    pub from_unix_ns: u64,
    /// How many threads unpack blocks ahead of the reader; none with 0 and 1.
    pub threads: usize,
}

impl ReadConfig {
    /// Begins with the first record of each file that was received at this time or later, in
    /// nanoseconds since the Unix epoch.
    #[must_use]
    pub fn from_unix_ns(mut self, unix_ns: u64) -> Self {
        self.from_unix_ns = unix_ns;
        self
    }

    /// Sets how many threads unpack blocks ahead of the reader.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = threads;
        self
    }
}

impl Reel {
    /// Opens files, and of directories all files with the extension `ktape`; directories within
    /// them are not looked into.
    ///
    /// # Errors
    /// A file cannot be opened as a tape, a directory has none, or no path was given. One file that
    /// cannot be opened keeps all from being opened: name the others to do without it.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_ref();
            let io = |source| OpenError::Io { path: path.to_owned(), source };
            if fs::metadata(path).map_err(io)?.is_dir() {
                for path in tapes_in(path)? {
                    files.push(TapeFile::open(path)?);
                }
            } else {
                files.push(TapeFile::open(path)?);
            }
        }
        if files.is_empty() {
            return Err(OpenError::NoPaths);
        }
        Ok(Self::of(files))
    }

    /// Takes files that are open already.
    #[must_use]
    pub fn of(mut files: Vec<TapeFile>) -> Self {
        // Files without records come first: nothing of theirs has to wait for its time.
        files.sort_by_cached_key(|file| file.span().map(|(earliest, _)| earliest));
        Self { files }
    }

    /// The files, in the order of their earliest records.
    #[must_use]
    pub fn files(&self) -> &[TapeFile] {
        &self.files
    }

    /// Earliest and latest receive time of the records, in nanoseconds since the Unix epoch; `None`
    /// if there are none.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let spans = self.files.iter().filter_map(TapeFile::span);
        spans.reduce(|all, file| (all.0.min(file.0), all.1.max(file.1)))
    }

    /// The length of all files together, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.files.iter().map(TapeFile::len_bytes).sum()
    }

    /// All records, in order of time.
    #[must_use]
    pub fn entries(&self) -> Entries {
        self.entries_with(ReadConfig::default())
    }

    /// Of each file the first record that was received at or after the time, in nanoseconds since
    /// the Unix epoch, and all that follow it, in order of time.
    ///
    /// Where the recorder's clock stepped back, earlier records can be among those that follow.
    /// Blocks that end before the time are stepped over; what is damaged in them is not told.
    #[must_use]
    pub fn seek(&self, unix_ns: u64) -> Entries {
        self.entries_with(ReadConfig::default().from_unix_ns(unix_ns))
    }

    /// The records as [`Reel::seek`] gives them, with blocks unpacked ahead by threads.
    #[must_use]
    pub fn entries_with(&self, config: ReadConfig) -> Entries {
        Entries::new(&self.files, config.from_unix_ns)
    }
}

/// Gives the tape files of a directory by name.
fn tapes_in(directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let io = |source| OpenError::Io { path: directory.to_owned(), source };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension() == Some(OsStr::new(EXTENSION)) && !path.is_dir() {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(OpenError::NoTapes { path: directory.to_owned() });
    }
    paths.sort_unstable();
    Ok(paths)
}
