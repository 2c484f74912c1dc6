//! A file that appears under its name only when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::error::{ExportError, Target};
use crate::permit::Permit;
use crate::scratch::{Scratch, State};

/// Distinguishes the temporary files of one process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A file under a temporary name in the directory of its final one. Removed if it is dropped
/// before [`OutputFile::persist`].
#[derive(Debug)]
pub(crate) struct OutputFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
    permit: Permit,
    persisted: bool,
}

impl OutputFile {
    pub(crate) fn create(path: &Path, permit: &Permit) -> Result<Self, ExportError> {
        let path = path.to_path_buf();
        let Some(name) = path.file_name() else { return Err(ExportError::NoFileName { path }) };
        permit.check(&path)?;
        let temporary = path.with_file_name(temporary_name(name));
        let mut held = permit.scratch.hold()?;
        held.add(&temporary);
        match File::create_new(&temporary) {
            Ok(file) => {
                Ok(Self { file, temporary, path, permit: permit.clone(), persisted: false })
            }
            Err(source) => Err(ExportError::Create { path: temporary, source }),
        }
    }

    /// Syncs the complete file to disk.
    pub(crate) fn sync(&self) -> Result<(), ExportError> {
        let target = || Target::File(self.path.clone());
        self.file.sync_all().map_err(|source| ExportError::Write { target: target(), source })
    }

    /// Renames the synced file to its final name, and returns that name.
    pub(crate) fn persist(mut self, _held: &State) -> Result<PathBuf, ExportError> {
        self.permit.check(&self.path)?;
        fs::rename(&self.temporary, &self.path).map_err(|source| ExportError::Rename {
            from: self.temporary.clone(),
            to: self.path.clone(),
            source,
        })?;
        self.persisted = true;
        Ok(self.path.clone())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// Writes a file that appears under its name only when it is complete. With `overwrite` it replaces a
/// regular file that is no tape.
///
/// # Errors
/// Returns an error if the path must not be written, or the file cannot be. A file that was there
/// stays as it is then.
///
/// # Examples
/// ```
/// # let directory = tempfile::tempdir()?;
/// # let path = directory.path().join("chart.svg");
/// kite_export::write_file(&path, b"<svg/>", false, &kite_export::Scratch::new())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_file(
    path: &Path,
    bytes: &[u8],
    overwrite: bool,
    scratch: &Scratch,
) -> Result<(), ExportError> {
    let permit = Permit { overwrite, scratch: scratch.clone(), ..Permit::default() };
    let mut file = OutputFile::create(path, &permit)?;
    let target = || Target::File(path.to_path_buf());
    file.write_all(bytes).map_err(|source| ExportError::Write { target: target(), source })?;
    file.sync()?;
    file.persist(&*scratch.hold()?).map(drop)
}

/// Returns a hidden name for a file or directory that is not complete.
pub(crate) fn temporary_name(name: &OsStr) -> OsString {
    let mut hidden = OsString::from(".");
    hidden.push(name);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    hidden.push(format!(".{}-{number}.part", std::process::id()));
    hidden
}

impl Write for OutputFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        if !self.persisted {
            // A failure cannot be reported here, and the name shows that the file is temporary.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A writer that counts its bytes.
#[derive(Debug)]
pub(crate) struct Counted<W> {
    pub(crate) out: W,
    pub(crate) bytes: u64,
}

impl<W> Counted<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, bytes: 0 }
    }
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn persisted(file: OutputFile) -> Result<PathBuf, ExportError> {
        file.sync()?;
        let scratch = file.permit.scratch.clone();
        file.persist(&*scratch.hold()?)
    }

    #[test]
    fn a_discarded_file_is_removed_and_neither_renamed_nor_created_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.csv");
        let permit = Permit::default();
        let complete = OutputFile::create(&directory.path().join("first.csv"), &permit).unwrap();
        persisted(complete).unwrap();
        let mut file = OutputFile::create(&path, &permit).unwrap();
        file.write_all(b"a").unwrap();
        permit.scratch.discard();
        assert_eq!(names(directory.path()), ["first.csv"]);
        file.write_all(b"b").unwrap();
        assert!(matches!(persisted(file), Err(ExportError::Cancelled { .. })));
        assert!(matches!(OutputFile::create(&path, &permit), Err(ExportError::Cancelled { .. })));
        assert_eq!(names(directory.path()), ["first.csv"]);
    }

    #[test]
    fn a_file_has_only_its_final_name_once_it_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.csv");
        let mut file = OutputFile::create(&path, &Permit::default()).unwrap();
        file.write_all(b"a").unwrap();
        assert!(!path.exists() && names(directory.path()).len() == 1);
        persisted(file).unwrap();
        assert_eq!(names(directory.path()), ["day.csv"]);
        assert_eq!(fs::read(&path).unwrap(), b"a");
    }

    #[test]
    fn a_file_dropped_before_it_is_complete_leaves_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let mut file =
            OutputFile::create(&directory.path().join("day.csv"), &Permit::default()).unwrap();
        file.write_all(b"a").unwrap();
        drop(file);
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn an_existing_file_is_replaced_only_if_allowed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.csv");
        fs::write(&path, "old").unwrap();
        assert!(matches!(
            OutputFile::create(&path, &Permit::default()),
            Err(ExportError::Exists { .. })
        ));
        let permit = Permit { overwrite: true, ..Permit::default() };
        let mut file = OutputFile::create(&path, &permit).unwrap();
        file.write_all(b"new").unwrap();
        persisted(file).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert!(OutputFile::create(directory.path(), &permit).is_err(), "a directory");
    }

    #[test]
    fn a_file_that_appeared_meanwhile_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("day.csv");
        let file = OutputFile::create(&path, &Permit::default()).unwrap();
        fs::write(&path, "other").unwrap();
        assert!(matches!(persisted(file), Err(ExportError::Exists { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"other");
        assert_eq!(names(directory.path()), ["day.csv"]);
    }
}
