//! New tapes, which appear under their names only when all of them are complete.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use kite_wire::tape::{BLOCK_HEADER_LEN, TapeHeader};

use super::copy::Progress;
use super::{EditError, EditSummary};
use crate::config::Compression;
use crate::instruments::is_instruments;
use crate::queue::Item;
use crate::writer::block::Collector;

/// Size at which a block is written, in bytes of records.
const BLOCK_BYTES: usize = 1 << 20;

/// Distinguishes the temporary files of one process.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// The new tapes of an edit.
pub(super) struct NewTapes {
    directory: PathBuf,
    complete: Vec<NewTape>,
    current: Option<NewTape>,
    /// Last, because the temporary files in them are removed first.
    made: MadeDirectories,
}

/// Directories that were created for the tapes. Those that are empty are removed if this is dropped
/// before [`keep`](Self::keep).
struct MadeDirectories(Vec<PathBuf>);

impl MadeDirectories {
    fn create(directory: &Path) -> io::Result<Self> {
        let missing = directory.ancestors().take_while(|it| !it.as_os_str().is_empty());
        let missing = missing.take_while(|it| !it.exists()).map(Path::to_owned).collect();
        // Before they are created, because only some of them may be.
        let made = Self(missing);
        fs::create_dir_all(directory)?;
        Ok(made)
    }

    fn keep(&mut self) {
        self.0.clear();
    }
}

impl Drop for MadeDirectories {
    fn drop(&mut self) {
        // The innermost is the first. One that holds something, as of another program, stays.
        let _ = self.0.iter().try_for_each(fs::remove_dir);
    }
}

impl NewTapes {
    pub(super) fn in_directory(directory: &Path) -> Result<Self, EditError> {
        let made = MadeDirectories::create(directory).map_err(failed(directory))?;
        Ok(Self { directory: directory.to_owned(), complete: Vec::new(), current: None, made })
    }

    /// Starts the next tape.
    pub(super) fn begin(
        &mut self,
        name: &str,
        created_unix_ns: u64,
        metadata: &[u8],
    ) -> Result<(), EditError> {
        self.end()?;
        let path = self.directory.join(name);
        self.current = Some(NewTape::create(path, created_unix_ns, metadata)?);
        Ok(())
    }

    /// Returns whether a tape has been started and not ended.
    pub(super) fn has_begun(&self) -> bool {
        self.current.is_some()
    }

    /// Adds a record to the tape that was started last.
    pub(super) fn push(&mut self, item: &Item) -> Result<(), EditError> {
        match &mut self.current {
            Some(tape) => tape.push(item),
            None => Ok(()),
        }
    }

    /// Ends the tape that was started last, if any.
    pub(super) fn end(&mut self) -> Result<(), EditError> {
        if let Some(mut tape) = self.current.take() {
            tape.finish()?;
            self.complete.push(tape);
        }
        Ok(())
    }

    /// Renames the tapes from their temporary names, all or none. The caller may cancel until the
    /// last one is renamed.
    pub(super) fn persist(
        mut self,
        summary: &mut EditSummary,
        progress: &mut Progress<'_>,
    ) -> Result<(), EditError> {
        self.end()?;
        progress.report(0)?;
        for tape in self.complete {
            let (path, len) = (tape.path.clone(), tape.len);
            let persisted = tape.persist();
            if persisted.is_ok() {
                summary.files.push(path);
                summary.bytes += len;
            }
            if let Err(error) = persisted.and_then(|()| progress.report(0)) {
                for path in summary.files.drain(..) {
                    // The first error matters more than one of the cleanup.
                    let _ = fs::remove_file(path);
                }
                return Err(error);
            }
        }
        if !summary.files.is_empty() {
            self.made.keep();
        }
        Ok(())
    }
}

/// A tape under a temporary name. Removed if it is dropped before it is persisted.
struct NewTape {
    path: PathBuf,
    temporary: PathBuf,
    file: File,
    tape_id: u64,
    /// The number of the next block.
    sequence: u32,
    len: u64,
    collector: Collector,
    /// The time of the notes of instruments that the block has, if it has any.
    note: Option<u64>,
}

impl NewTape {
    fn create(path: PathBuf, created_unix_ns: u64, metadata: &[u8]) -> Result<Self, EditError> {
        if path.symlink_metadata().is_ok() {
            return Err(EditError::Exists { path });
        }
        let collector = Collector::new(Compression::Zstd { level: 1 }).map_err(failed(&path))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let temporary =
            path.with_file_name(format!(".{name}.{}-{number}.part", std::process::id()));
        let file = File::create_new(&temporary).map_err(failed(&temporary))?;
        let tape_id = fastrand::u64(..);
        let mut tape =
            Self { path, temporary, file, tape_id, sequence: 0, len: 0, collector, note: None };
        let header = TapeHeader { created_unix_ns, tape_id, metadata };
        let head = header.head().map_err(|error| tape.failed(io::Error::other(error)))?;
        tape.write(&head)?;
        tape.write(metadata)?;
        Ok(tape)
    }

    fn push(&mut self, item: &Item) -> Result<(), EditError> {
        // Readers search for the instruments in blocks that have nothing else, and one time.
        let note = is_instruments(item.kind, &item.payload).then_some(item.received.recv_unix_ns);
        if note != self.note && !self.collector.is_empty() {
            self.write_block()?;
        }
        self.note = note;
        if self.collector.push(item).is_err() {
            self.write_block()?;
            let pushed = self.collector.push(item);
            pushed.map_err(|error| self.failed(io::Error::other(error)))?;
        }
        if self.collector.body_len() >= BLOCK_BYTES { self.write_block() } else { Ok(()) }
    }

    fn write_block(&mut self) -> Result<(), EditError> {
        let (header, body) = self.collector.seal(self.tape_id, self.sequence);
        let written = self.file.write_all(&header).and_then(|()| self.file.write_all(body));
        let len = BLOCK_HEADER_LEN + body.len();
        written.map_err(|error| self.failed(error))?;
        self.len += len as u64;
        self.sequence += 1;
        self.collector.clear();
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        self.file.write_all(bytes).map_err(|error| self.failed(error))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn finish(&mut self) -> Result<(), EditError> {
        if !self.collector.is_empty() {
            self.write_block()?;
        }
        self.file.sync_all().map_err(|error| self.failed(error))
    }

    /// Renames the tape from its temporary name, unless a file has the final one.
    fn persist(self) -> Result<(), EditError> {
        match fs::hard_link(&self.temporary, &self.path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(EditError::Exists { path: self.path.clone() })
            }
            // Not every file system has links.
            Err(_) if self.path.symlink_metadata().is_ok() => {
                Err(EditError::Exists { path: self.path.clone() })
            }
            Err(_) => fs::rename(&self.temporary, &self.path).map_err(|error| self.failed(error)),
        }
    }

    fn failed(&self, error: io::Error) -> EditError {
        failed(&self.path)(error)
    }
}

impl Drop for NewTape {
    fn drop(&mut self) {
        // It is gone already if it was renamed; a failure cannot be reported here.
        let _ = fs::remove_file(&self.temporary);
    }
}

pub(super) fn failed(path: &Path) -> impl FnOnce(io::Error) -> EditError + use<> {
    let path = path.to_owned();
    move |source| EditError::Io { path, source }
}
