//! The new tape, which gets its name when it is complete and compared.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use fs4::{FileExt, TryLockError};
use kite_wire::tape::{BLOCK_HEADER_LEN, TapeHeader};

use super::PackSummary;
use super::blocks::NewBlock;
use super::error::PackError;
use crate::body::Form;
use crate::config::lock_name;
use crate::file::TapeFile;
use crate::live::is_newest_of_recorder;
use crate::name::Name;
use crate::writer::hold::try_lock;

/// Distinguishes the temporary files of one process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The end of the temporary names.
const PART: &str = ".part";

/// A tape under a temporary name. The file is removed if this is dropped before it is persisted.
pub(super) struct Output {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    tape_id: u64,
    /// The length and the time of the last change of the tape that is read.
    before: (u64, Option<SystemTime>),
    /// Whether the new tape replaces the one that is read.
    replaces: bool,
    summary: PackSummary,
}

impl Output {
    pub(super) fn create(tape: &TapeFile, to: &Path, form: Form) -> Result<Self, PackError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| PackError::Io { path, source }
        };
        let from = fs::metadata(tape.path()).map_err(failed(tape.path()))?;
        // Something was added since the tape was opened.
        if from.len() != tape.len_bytes() {
            return Err(PackError::Changed { path: tape.path().to_owned() });
        }
        let replaces = is_same(tape.path(), to);
        // A link stays a link: the file that it names is replaced.
        let path = if replaces { to.canonicalize().map_err(failed(to))? } else { to.to_owned() };
        if !replaces && path.symlink_metadata().is_ok() {
            return Err(PackError::Exists { path });
        }
        remove_leftovers(&path);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let temporary = path.with_file_name(format!(
            "{}{}-{number}{PART}",
            beginning_of_temporary(&path),
            std::process::id()
        ));
        let file = File::create_new(&temporary).map_err(failed(&temporary))?;
        // Shows other processes that it is in use. Not every file system has locks.
        let _ = FileExt::try_lock(&file);
        let tape_header = tape.tape();
        let (tape_id, bytes_before) = (tape_header.tape_id(), tape.len_bytes());
        let summary = PackSummary { bytes_before, ..PackSummary::default() };
        let before = stamp(&from);
        let mut output = Self { path, temporary, file, tape_id, before, replaces, summary };
        if replaces {
            // A recording is often readable by others only as its directory says.
            let _ = output.file.set_permissions(from.permissions());
        }
        let metadata = tape_header.metadata().unwrap_or_default();
        let created_unix_ns = tape_header.created_unix_ns();
        let header = TapeHeader { created_unix_ns, tape_id, metadata };
        let head = match form {
            Form::Columns => header.head_with_columns(),
            Form::Records => header.head(),
        };
        let head = head.map_err(|error| output.failed(io::Error::other(error)))?;
        output.write(&head)?;
        output.write(metadata)?;
        Ok(output)
    }

    /// Adds a block.
    pub(super) fn push(&mut self, block: &NewBlock) -> Result<(), PackError> {
        let encoder = block.encoder.moved_to(self.tape_id, self.summary.blocks);
        let header = match block.codec {
            Some(codec) => encoder.seal_compressed(codec, &block.bytes),
            None => Ok(encoder.seal()),
        };
        let header: [u8; BLOCK_HEADER_LEN] =
            header.map_err(|error| self.failed(io::Error::other(error)))?;
        self.write(&header)?;
        self.write(&block.bytes)?;
        self.summary.blocks += 1;
        self.summary.records += u64::from(encoder.records());
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), PackError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.summary.bytes_after += bytes.len() as u64;
        Ok(())
    }

    /// Writes everything to the disk and returns the tape to compare it.
    pub(super) fn finish(&mut self) -> Result<TapeFile, PackError> {
        self.file.sync_all().map_err(|error| self.failed(error))?;
        TapeFile::open(&self.temporary).map_err(PackError::Open)
    }

    /// Moves the tape to its name.
    pub(super) fn persist(self, tape: &TapeFile) -> Result<PackSummary, PackError> {
        if !self.replaces {
            // Fails if a file has the name meanwhile. Not every file system has links.
            return match fs::hard_link(&self.temporary, &self.path) {
                Ok(()) => Ok(self.persisted()),
                Err(_) if self.path.symlink_metadata().is_ok() => {
                    Err(PackError::Exists { path: self.path.clone() })
                }
                Err(_) => self.rename(),
            };
        }
        // A recorder that starts now waits a moment for the lock, then finds the packed tape.
        let lock = Lock::of_recorder(tape.path())?;
        let now = fs::metadata(&self.path).map_err(|error| self.failed(error))?;
        if stamp(&now) != self.before {
            return Err(PackError::Changed { path: self.path.clone() });
        }
        let summary = self.rename();
        drop(lock);
        summary
    }

    fn rename(self) -> Result<PackSummary, PackError> {
        fs::rename(&self.temporary, &self.path).map_err(|error| self.failed(error))?;
        Ok(self.persisted())
    }

    /// Syncs the new name, if the operating system supports that.
    fn persisted(&self) -> PackSummary {
        let directory = directory_of(self.path.parent().unwrap_or(Path::new("")));
        let _ = File::open(directory).and_then(|it| it.sync_all());
        self.summary
    }

    pub(super) fn failed(&self, source: io::Error) -> PackError {
        PackError::Io { path: self.path.clone(), source }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        // It is gone already if it was renamed; a failure cannot be reported here.
        let _ = fs::remove_file(&self.temporary);
    }
}

/// The lock of the recorder that would go on with a tape, if one may.
struct Lock {
    /// Released when it is closed.
    _file: Option<File>,
    /// The lock file, if it was created for this.
    created: Option<PathBuf>,
}

impl Lock {
    fn of_recorder(tape: &Path) -> Result<Self, PackError> {
        let busy = || PackError::BeingRecorded { path: tape.to_owned() };
        let none = Self { _file: None, created: None };
        // No recorder goes on with a file that is not its newest.
        let Ok(path) = tape.canonicalize() else { return Ok(none) };
        let (Some(name), Some(directory)) = (Name::of(&path), path.parent()) else {
            return Ok(none);
        };
        if !is_newest_of_recorder(&name, directory) {
            return Ok(none);
        }
        let path = directory.join(lock_name(name.prefix));
        let failed = |source| PackError::Io { path: path.clone(), source };
        let created = (!path.exists()).then(|| path.clone());
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match try_lock(&file) {
            Ok(()) => Ok(Self { _file: Some(file), created }),
            Err(TryLockError::WouldBlock) => Err(busy()),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is locked, so that it is not that of a recorder.
        if let Some(path) = self.created.take() {
            let _ = fs::remove_file(path);
        }
    }
}

fn beginning_of_temporary(path: &Path) -> String {
    format!(".{}.", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what killed processes left of this tape.
fn remove_leftovers(path: &Path) {
    let beginning = beginning_of_temporary(path);
    let files = path.parent().and_then(|it| directory_of(it).read_dir().ok());
    for file in files.into_iter().flatten().flatten() {
        let name = file.file_name();
        let is_part =
            name.to_str().is_some_and(|name| name.starts_with(&beginning) && name.ends_with(PART));
        // Locked while its process runs.
        if is_part && File::open(file.path()).is_ok_and(|it| FileExt::try_lock(&it).is_ok()) {
            let _ = fs::remove_file(file.path());
        }
    }
}

/// Returns a directory under a name that can be opened.
fn directory_of(path: &Path) -> &Path {
    if path.as_os_str().is_empty() { Path::new(".") } else { path }
}

/// Returns whether two paths name one file.
fn is_same(a: &Path, b: &Path) -> bool {
    a.canonicalize().is_ok_and(|a| b.canonicalize().is_ok_and(|b| a == b))
}

fn stamp(metadata: &Metadata) -> (u64, Option<SystemTime>) {
    (metadata.len(), metadata.modified().ok())
}
