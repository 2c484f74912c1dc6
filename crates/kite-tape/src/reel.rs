//! Several tapes as one.

use std::path::{Path, PathBuf};

use crate::entries::{Entries, ReadConfig};
use crate::error::OpenError;
use crate::file::TapeFile;

/// The ending of a tape's file name.
pub const EXTENSION: &str = "ktape";

/// Several tapes as one stream of records, such as the files of a day. Cheap to clone.
///
/// Records of one file keep the order of that file. Those of several are merged by receive time.
#[derive(Debug, Clone)]
pub struct Reel {
    files: Vec<TapeFile>,
}

impl Reel {
    /// Opens files, and all files of directories whose names end in `.ktape`.
    ///
    /// # Errors
    /// A path cannot be read, a directory has no tape, or a file is none.
    pub fn open<P: AsRef<Path>>(paths: impl IntoIterator<Item = P>) -> Result<Self, OpenError> {
        let mut files = Vec::new();
        for path in paths {
            let path = path.as_ref();
            match path.is_dir() {
                true => {
                    for path in tapes_in(path)? {
                        files.push(TapeFile::open(path)?);
                    }
                }
                false => files.push(TapeFile::open(path)?),
            }
        }
        if files.is_empty() {
            return Err(OpenError::Nothing);
        }
        Ok(Self { files })
    }

    /// The files, in the order in which they were named; those of a directory by name.
    #[must_use]
    pub fn files(&self) -> &[TapeFile] {
        &self.files
    }

    /// The earliest and the latest receive time, in nanoseconds since the Unix epoch; `None` if
    /// there is no record.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        let spans = self.files.iter().filter_map(TapeFile::span);
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// The length of all files in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.files.iter().map(TapeFile::len_bytes).sum()
    }

    /// All records.
    #[must_use]
    pub fn entries(&self) -> Entries {
        self.entries_with(ReadConfig::default())
    }

    /// The records from the first one on that was received at or after the time, in nanoseconds
    /// since the Unix epoch. Blocks that end before it are stepped over unread; what is damaged in
    /// them is not told.
    #[must_use]
    pub fn seek(&self, unix_ns: u64) -> Entries {
        self.entries_with(ReadConfig { from_unix_ns: unix_ns, ..ReadConfig::default() })
    }

    /// The records, read as the settings say.
    #[must_use]
    pub fn entries_with(&self, config: ReadConfig) -> Entries {
        Entries::new(&self.files, config)
    }
}

impl From<TapeFile> for Reel {
    fn from(file: TapeFile) -> Self {
        Self { files: vec![file] }
    }
}

/// Gives the tapes of a directory, by name: the files of one recorder, in the order of writing.
fn tapes_in(directory: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let failed = |source| OpenError::Io { path: directory.into(), source };
    let mut paths = Vec::new();
    for file in std::fs::read_dir(directory).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path.extension().is_some_and(|it| it == EXTENSION) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(OpenError::NoTapes { path: directory.into() });
    }
    paths.sort_by_cached_key(|path| natural_key(path));
    Ok(paths)
}

/// Orders `day.2.ktape` before `day.10.ktape`: digits count by their value.
fn natural_key(path: &Path) -> Vec<(String, u64)> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut key: Vec<(String, u64)> = vec![(String::new(), 0)];
    let mut is_number = false;
    for character in name.chars() {
        let digit = character.to_digit(10);
        if digit.is_none() && is_number {
            key.push((String::new(), 0));
        }
        if let Some((text, number)) = key.last_mut() {
            match digit {
                Some(digit) => *number = number.saturating_mul(10).saturating_add(digit.into()),
                None => text.push(character),
            }
        }
        is_number = digit.is_some();
    }
    key
}
