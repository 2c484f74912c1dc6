//! Whether an open file is still the one at its path.

use std::fmt;
use std::fs::{self, Metadata};
use std::io;
use std::path::Path;

/// What identifies a file, where the operating system has that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Identity {
    #[cfg(unix)]
    device: u64,
    #[cfg(unix)]
    inode: u64,
}

impl Identity {
    #[cfg(unix)]
    pub(crate) fn of(metadata: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self { device: metadata.dev(), inode: metadata.ino() }
    }

    #[cfg(not(unix))]
    pub(crate) fn of(_metadata: &Metadata) -> Self {
        Self {}
    }
}

/// Returns whether the file has no name left, if the operating system shows that.
#[cfg(unix)]
fn is_unlinked(metadata: &Metadata) -> bool {
    std::os::unix::fs::MetadataExt::nlink(metadata) == 0
}

#[cfg(not(unix))]
fn is_unlinked(_metadata: &Metadata) -> bool {
    true
}

/// What another program did to a file that is being written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Removed,
    /// Renamed, or its directory was.
    Moved,
    /// Another file is at the path.
    Replaced,
    /// Truncated, or written to.
    Resized,
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Removed => "was removed",
            Self::Moved => "was moved away",
            Self::Replaced => "was replaced",
            Self::Resized => "was truncated or changed",
        })
    }
}

/// Compares an open file, which should have this length, with what is at its path. `None` if it is
/// unchanged, or if that cannot be determined.
pub(crate) fn change(open: &Metadata, len: u64, path: &Path) -> Option<Change> {
    match fs::metadata(path) {
        Ok(found) if Identity::of(&found) != Identity::of(open) => Some(Change::Replaced),
        Ok(_) => (open.len() != len).then_some(Change::Resized),
        Err(error) if is_missing(&error) => {
            Some(if is_unlinked(open) { Change::Removed } else { Change::Moved })
        }
        Err(_) => None,
    }
}

/// Returns whether the path, or a directory in it, does not exist.
fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;

    use super::*;

    /// Writes a file, does something to it, and returns what is noticed.
    fn after(act: impl FnOnce(&Path)) -> Option<Change> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tapes").join("day.ktape");
        fs::create_dir(path.parent().unwrap()).unwrap();
        let mut file = File::create(&path).unwrap();
        file.write_all(b"four").unwrap();
        act(&path);
        change(&file.metadata().unwrap(), 4, &path)
    }

    #[test]
    fn every_way_to_lose_a_file_is_noticed() {
        assert_eq!(after(|_| {}), None);
        assert_eq!(after(|path| fs::remove_file(path).unwrap()), Some(Change::Removed));
        let directory_removed = after(|path| fs::remove_dir_all(path.parent().unwrap()).unwrap());
        assert_eq!(directory_removed, Some(Change::Removed));
        let moved = after(|path| fs::rename(path, path.with_extension("old")).unwrap());
        assert_eq!(moved, Some(Change::Moved));
        let directory_moved = after(|path| {
            let parent = path.parent().unwrap();
            fs::rename(parent, parent.with_extension("old")).unwrap();
        });
        assert_eq!(directory_moved, Some(Change::Moved));
        let file_for_directory = after(|path| {
            let parent = path.parent().unwrap();
            fs::remove_dir_all(parent).unwrap();
            fs::write(parent, "").unwrap();
        });
        assert_eq!(file_for_directory, Some(Change::Removed));
        let replaced = after(|path| {
            let copy = path.with_extension("copy");
            fs::copy(path, &copy).unwrap();
            fs::rename(copy, path).unwrap();
        });
        assert_eq!(replaced, Some(Change::Replaced));
        let truncated = after(|path| {
            OpenOptions::new().write(true).open(path).unwrap().set_len(1).unwrap();
        });
        assert_eq!(truncated, Some(Change::Resized));
    }
}
