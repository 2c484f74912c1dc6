//! The files of a recorder: which one is next, how one is gone on with, how bytes get there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use kite_wire::tape::{TapeError, TapeHeader, VERSION_MAJOR};

use crate::day::Day;
use crate::error::OpenError;
use crate::file::TapeFile;
use crate::reel::EXTENSION;

/// Where bytes go: a file, or in tests something that fails on demand.
pub(crate) trait Output: Send {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Has what was appended put onto the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Takes back what was appended behind a length.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Output for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

/// Puts something between the writer and its files.
pub(crate) type Wrap = Box<dyn Fn(File) -> Box<dyn Output> + Send>;

/// A file that is written to.
pub(crate) struct Current {
    pub(crate) path: PathBuf,
    pub(crate) day: Day,
    pub(crate) output: Box<dyn Output>,
    pub(crate) len: u64,
    pub(crate) tape_id: u64,
    /// The number of the next block.
    pub(crate) sequence: u32,
}

/// A file that was opened, and when the last record before it was received, if there is one of
/// the same day.
pub(crate) struct Opened {
    pub(crate) current: Current,
    pub(crate) last_unix_ns: Option<u64>,
}

/// Names the files of a recorder and opens them.
pub(crate) struct Disk {
    pub(crate) directory: PathBuf,
    pub(crate) prefix: String,
    pub(crate) metadata: Vec<u8>,
    pub(crate) max_bytes: Option<u64>,
    pub(crate) syncs: bool,
    pub(crate) wrap: Wrap,
}

impl Disk {
    /// Opens the newest file of a day to go on with it, or begins one where there is none, where it
    /// is full, has other metadata, or where something stands there that is no tape.
    pub(crate) fn open(&self, day: Day, created_unix_ns: u64) -> io::Result<Opened> {
        let newest = (0..).map(|number| self.path(day, number)).take_while(|it| it.exists());
        let (number, last) = newest.fold((0, None), |(number, _), path| (number + 1, Some(path)));
        let Some(path) = last else {
            let current = self.create(self.path(day, 0), day, created_unix_ns)?;
            return Ok(Opened { current, last_unix_ns: None });
        };
        let last_unix_ns = match TapeFile::open(&path) {
            Ok(file) => {
                let last = file.span().map(|(_, latest)| latest);
                // Its metadata says whose its records are.
                let is_ours = file.tape().metadata().is_ok_and(|it| it == self.metadata);
                if is_ours && self.max_bytes.is_none_or(|max| file.len_bytes() < max) {
                    let current = self.go_on(path, day, file)?;
                    return Ok(Opened { current, last_unix_ns: last });
                }
                last
            }
            // Killed before the header was written whole: there is nothing in it.
            Err(OpenError::Tape {
                source: TapeError::Empty | TapeError::HeaderCut { .. }, ..
            }) if is_cut_header(&path)? => {
                std::fs::remove_file(&path)?;
                let current = self.create(path, day, created_unix_ns)?;
                return Ok(Opened { current, last_unix_ns: None });
            }
            Err(OpenError::Io { source, .. }) => return Err(source),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "left alone, another file is begun");
                None
            }
        };
        let current = self.create(self.path(day, number), day, created_unix_ns)?;
        Ok(Opened { current, last_unix_ns })
    }

    /// Begins the next file of a day.
    pub(crate) fn open_next(&self, day: Day, created_unix_ns: u64) -> io::Result<Current> {
        let taken = (0..).map(|number| self.path(day, number)).find(|it| !it.exists());
        let path = taken.unwrap_or_else(|| self.path(day, 0));
        self.create(path, day, created_unix_ns)
    }

    fn path(&self, day: Day, number: u32) -> PathBuf {
        let prefix = &self.prefix;
        self.directory.join(match number {
            0 => format!("{prefix}-{day}.{EXTENSION}"),
            _ => format!("{prefix}-{day}.{number}.{EXTENSION}"),
        })
    }

    fn create(&self, path: PathBuf, day: Day, created_unix_ns: u64) -> io::Result<Current> {
        let file = OpenOptions::new().write(true).create_new(true).open(&path)?;
        let tape_id = fastrand::u64(..);
        let metadata = self.metadata.as_slice();
        let header = TapeHeader { created_unix_ns, tape_id, metadata };
        let mut output = (self.wrap)(file);
        let head = header.head().map_err(io::Error::other)?;
        let written = output.append(&head).and_then(|()| output.append(metadata));
        if let Err(error) = written {
            drop(output);
            // Else it would be found on the next start, with nothing in it.
            let _ = std::fs::remove_file(&path);
            return Err(error);
        }
        if self.syncs {
            output.sync()?;
            sync_directory(&self.directory);
        }
        let len = header.encoded_len() as u64;
        Ok(Current { path, day, output, len, tape_id, sequence: 0 })
    }

    /// Repairs a file as the tape format says, and goes on behind its last complete block.
    fn go_on(&self, path: PathBuf, day: Day, tape_file: TapeFile) -> io::Result<Current> {
        let tape = tape_file.tape();
        let resume = tape.resume();
        let seals: Vec<_> = tape.seals().collect();
        let (tape_id, old_len) = (tape.tape_id(), tape_file.len_bytes());
        let len = resume.append_at as u64;
        // Nothing may be mapped behind the end of a file.
        drop(tape_file);
        let mut file = OpenOptions::new().write(true).open(&path)?;
        for seal in seals {
            file.seek(SeekFrom::Start(seal.offset as u64))?;
            file.write_all(&seal.header)?;
        }
        if len < old_len {
            tracing::info!(path = %path.display(), bytes = old_len - len, "cut what was torn");
            file.set_len(len)?;
        }
        file.seek(SeekFrom::Start(len))?;
        let output = (self.wrap)(file);
        Ok(Current { path, day, output, len, tape_id, sequence: resume.next_sequence })
    }
}

/// Says whether a file that is too short to be a tape is the beginning of one, and not somebody
/// else's.
fn is_cut_header(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(40).read_to_end(&mut head)?;
    let empty = TapeHeader { created_unix_ns: 0, tape_id: 0, metadata: &[] };
    let Ok(ours) = empty.head() else { return Ok(false) };
    // The magic and the major version.
    let known = head.len().min(10);
    debug_assert_eq!(ours[8..10], VERSION_MAJOR.to_le_bytes());
    Ok(head[..known] == ours[..known])
}

/// Has a new file's name put onto the disk, where the operating system can do that.
fn sync_directory(directory: &Path) {
    if let Err(error) = File::open(directory).and_then(|it| it.sync_all()) {
        tracing::debug!(directory = %directory.display(), %error, "directory not synced");
    }
}
