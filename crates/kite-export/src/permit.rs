//! Which files an export may create or replace.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use kite_tape::EXTENSION;
use kite_wire::tape::{Tape, TapeError};

use crate::error::ExportError;
use crate::scratch::Scratch;

/// What an export may write.
#[derive(Debug, Clone, Default)]
pub(crate) struct Permit {
    pub(crate) overwrite: bool,
    /// The files that the export reads.
    pub(crate) inputs: Vec<FileId>,
    pub(crate) scratch: Scratch,
}

impl Permit {
    /// Adds files that are never replaced; those that do not exist are ignored.
    pub(crate) fn keep(&mut self, paths: impl IntoIterator<Item = impl AsRef<Path>>) {
        self.inputs.extend(paths.into_iter().filter_map(|path| FileId::of(path.as_ref()).ok()));
    }

    /// Checks that nothing at the path must be kept. Only a regular file is ever replaced, not a
    /// directory, a device, a pipe or a link; and neither an input nor a tape.
    pub(crate) fn check(&self, path: &Path) -> Result<(), ExportError> {
        let Ok(found) = path.symlink_metadata() else { return Ok(()) };
        let path = || path.to_path_buf();
        if FileId::of(&path()).is_ok_and(|id| self.inputs.contains(&id)) {
            return Err(ExportError::Input { path: path() });
        }
        if !found.is_file() {
            return Err(ExportError::NoRegularFile { path: path() });
        }
        if is_tape(&path()) {
            return Err(ExportError::Tape { path: path() });
        }
        if self.overwrite { Ok(()) } else { Err(ExportError::Exists { path: path() }) }
    }
}

/// Returns whether a file is a tape by its name or its first bytes. A tape with a damaged header is
/// one too, because its records can be read.
fn is_tape(path: &Path) -> bool {
    let is_named = path.extension().is_some_and(|extension| extension == EXTENSION);
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(8).read_to_end(&mut head));
    let is_foreign =
        matches!(Tape::open(&head), Err(TapeError::Empty | TapeError::ForeignMagic { .. }));
    is_named || (read.is_ok() && !is_foreign)
}

/// A file, whatever its name: two links to one file are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    #[cfg(unix)]
    fn of(path: &Path) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt as _;
        fs::metadata(path).map(|found| Self((found.dev(), found.ino())))
    }

    #[cfg(not(unix))]
    fn of(path: &Path) -> io::Result<Self> {
        fs::canonicalize(path).map(Self)
    }
}

/// Returns the path under which two names of one new file are equal.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    match (parent.unwrap_or(Path::new(".")).canonicalize(), path.file_name()) {
        (Ok(parent), Some(name)) => parent.join(name),
        _ => path.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_is_not_replaced_under_any_of_its_names() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        fs::write(path("list.csv"), "mine").unwrap();
        fs::hard_link(path("list.csv"), path("hard.csv")).unwrap();
        let mut permit = Permit { overwrite: true, ..Permit::default() };
        permit.keep([path("list.csv"), path("missing.csv")]);
        let mut names = vec!["list.csv", "hard.csv"];
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(path("list.csv"), path("soft.csv")).unwrap();
            names.push("soft.csv");
        }
        for name in names {
            let refused = permit.check(&path(name));
            assert!(matches!(refused, Err(ExportError::Input { .. })), "{name}: {refused:?}");
        }
        assert!(permit.check(&path("missing.csv")).is_ok());
    }

    #[test]
    fn a_tape_is_not_replaced_whatever_its_name_and_state() {
        let directory = tempfile::tempdir().unwrap();
        let permit = Permit { overwrite: true, ..Permit::default() };
        for (name, bytes, is_kept) in [
            ("day.csv", &b"\x89KTAPE\r\n and a damaged header"[..], true),
            ("day.ktape", b"", true),
            ("text.csv", b"not a tape", false),
            ("empty.csv", b"", false),
        ] {
            let path = directory.path().join(name);
            fs::write(&path, bytes).unwrap();
            let checked = permit.check(&path);
            assert_eq!(matches!(checked, Err(ExportError::Tape { .. })), is_kept, "{name}");
        }
    }
}
