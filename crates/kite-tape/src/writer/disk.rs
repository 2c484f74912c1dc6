//! The files of a recorder: which one is next, how one is gone on with, how bytes get there.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use kite_wire::ist::Day;
use kite_wire::tape::{BLOCK_HEADER_LEN, Ending, TapeError, TapeHeader, VERSION_MAJOR};

use crate::error::OpenError;
use crate::file::TapeFile;
use crate::name::{Name, file_name};

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
        let numbers = self.numbers(day)?;
        let (mut next, mut goes_on, mut last_unix_ns) = (0, None, None);
        for number in numbers.iter().rev().copied() {
            let path = self.path(day, number);
            match TapeFile::open(&path) {
                Ok(file) => {
                    last_unix_ns = file.span().map(|(_, latest)| latest);
                    // Its metadata says whose its records are.
                    let is_ours = file.tape().metadata().is_ok_and(|it| it == self.metadata);
                    let has_room = self.max_bytes.is_none_or(|max| file.len_bytes() < max);
                    if next == 0 && is_ours && has_room {
                        goes_on = Some((path, file));
                    }
                }
                // Killed before the header was written whole: there is nothing in it.
                Err(OpenError::Tape {
                    source: TapeError::Empty | TapeError::HeaderCut { .. },
                    ..
                }) if is_cut_header(&path)? => {
                    if next == 0 {
                        std::fs::remove_file(&path)?;
                        continue;
                    }
                }
                Err(OpenError::Io { source, .. }) => return Err(source),
                Err(error) => {
                    let path = path.display();
                    tracing::warn!(%path, %error, "left alone, another file is begun");
                }
            }
            next = next.max(number + 1);
            // A file without records does not say since when nothing was recorded.
            if last_unix_ns.is_some() {
                break;
            }
        }
        let current = match goes_on {
            Some((path, file)) => self.go_on(path, day, file)?,
            None => self.create(self.path(day, next), day, created_unix_ns)?,
        };
        Ok(Opened { current, last_unix_ns })
    }

    /// Begins the next file of a day.
    pub(crate) fn open_next(&self, day: Day, created_unix_ns: u64) -> io::Result<Current> {
        let next = self.numbers(day)?.last().map_or(0, |number| number + 1);
        self.create(self.path(day, next), day, created_unix_ns)
    }

    /// The numbers of the files of a day, in order. Some may have been moved away.
    fn numbers(&self, day: Day) -> io::Result<Vec<u32>> {
        let day = day.to_string();
        let mut numbers = Vec::new();
        for file in std::fs::read_dir(&self.directory)? {
            let path = file?.path();
            let name = Name::of(&path).filter(|it| it.prefix == self.prefix && it.day == day);
            numbers.extend(name.map(|name| name.number));
        }
        numbers.sort_unstable();
        Ok(numbers)
    }

    fn path(&self, day: Day, number: u32) -> PathBuf {
        self.directory.join(file_name(&self.prefix, day, number))
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
        let mut len = resume.append_at as u64;
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
        if matches!(resume.ending, Ending::Damaged { .. }) {
            // The damage may end in the beginning of a block's header, which what follows would
            // complete to a block of its own.
            file.write_all(&[0; BLOCK_HEADER_LEN])?;
            len += BLOCK_HEADER_LEN as u64;
        }
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
