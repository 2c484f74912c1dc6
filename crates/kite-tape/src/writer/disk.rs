//! Chooses, continues and writes the files of a recorder.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use kite_wire::ist::Day;
use kite_wire::tape::{BLOCK_HEADER_LEN, Ending, TapeError, TapeHeader, VERSION_MAJOR};

use crate::error::OpenError;
use crate::file::TapeFile;
use crate::name::{Name, file_name};

/// The output, which is a file, or in tests one that fails on demand.
pub(crate) trait Output: Send {
    /// Appends bytes.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Syncs appended bytes to the disk.
    fn sync(&mut self) -> io::Result<()>;
    /// Truncates the output to a length.
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

/// Wraps the files that the writer opens.
pub(crate) type Wrap = Box<dyn Fn(File) -> Box<dyn Output> + Send>;

/// The file being written.
pub(crate) struct Current {
    pub(crate) path: PathBuf,
    pub(crate) day: Day,
    pub(crate) output: Box<dyn Output>,
    pub(crate) len: u64,
    pub(crate) tape_id: u64,
    /// The number of the next block.
    pub(crate) sequence: u32,
}

impl Current {
    /// Appends a block. If that fails, undoes a partial write; if that fails too, the file is
    /// repaired when it is opened again.
    pub(crate) fn append(&mut self, header: &[u8], body: &[u8]) -> io::Result<u64> {
        let appended = self.output.append(header).and_then(|()| self.output.append(body));
        if let Err(error) = appended {
            let _ = self.output.cut(self.len);
            return Err(error);
        }
        let more = (header.len() + body.len()) as u64;
        self.len += more;
        self.sequence += 1;
        Ok(more)
    }
}

/// An opened file, and the receive time of the last record before it on the same day, if any.
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
    /// Opens the newest file of a day to continue it. Creates a new one if none exists, or if the
    /// newest is full, has other metadata or is not a tape.
    pub(crate) fn open(&self, day: Day, created_unix_ns: u64) -> io::Result<Opened> {
        let numbers = self.numbers(day)?;
        let (mut next, mut resumed, mut last_unix_ns) = (0, None, None);
        for number in numbers.iter().rev().copied() {
            let path = self.path(day, number);
            match TapeFile::open(&path) {
                Ok(file) => {
                    last_unix_ns = file.span().map(|(_, latest)| latest);
                    // The metadata identifies the accounts in its records.
                    let is_ours = file.tape().metadata().is_ok_and(|it| it == self.metadata)
                        && file.header_damage().is_none();
                    let has_room = self.max_bytes.is_none_or(|max| file.len_bytes() < max);
                    if next == 0 && is_ours && has_room {
                        resumed = Some((path, file));
                    }
                }
                // Killed before the header was complete, so the file has no records.
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
                    tracing::warn!(%path, %error, "not a tape; left untouched");
                }
            }
            next = next.max(number + 1);
            // A file without records does not show when recording stopped.
            if last_unix_ns.is_some() {
                break;
            }
        }
        let current = match resumed {
            Some((path, file)) => self.resume(path, day, file)?,
            None => self.create(self.path(day, next), day, created_unix_ns)?,
        };
        Ok(Opened { current, last_unix_ns })
    }

    /// Creates the next file of a day.
    pub(crate) fn open_next(&self, day: Day, created_unix_ns: u64) -> io::Result<Current> {
        let next = self.numbers(day)?.last().map_or(0, |number| number + 1);
        self.create(self.path(day, next), day, created_unix_ns)
    }

    /// Returns the numbers of the files of a day, in order. Some may have been moved away.
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
            // Otherwise the next start would find a file without records.
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

    /// Repairs a file as the tape format describes, and continues after its last complete block.
    fn resume(&self, path: PathBuf, day: Day, tape_file: TapeFile) -> io::Result<Current> {
        let tape = tape_file.tape();
        let resume = tape.resume();
        let seals: Vec<_> = tape.seals().collect();
        let (tape_id, old_len) = (tape.tape_id(), tape_file.len_bytes());
        let mut len = resume.append_at as u64;
        // A file must not be mapped while it is truncated.
        drop(tape_file);
        let mut file = OpenOptions::new().write(true).open(&path)?;
        for seal in seals {
            file.seek(SeekFrom::Start(seal.offset as u64))?;
            file.write_all(&seal.header)?;
        }
        if len < old_len {
            tracing::info!(path = %path.display(), bytes = old_len - len, "incomplete end cut off");
            file.set_len(len)?;
        }
        file.seek(SeekFrom::Start(len))?;
        if matches!(resume.ending, Ending::Damaged { .. }) {
            // The damage may end with the start of a block header, which the following bytes would
            // complete to a block.
            file.write_all(&[0; BLOCK_HEADER_LEN])?;
            len += BLOCK_HEADER_LEN as u64;
        }
        let output = (self.wrap)(file);
        Ok(Current { path, day, output, len, tape_id, sequence: resume.next_sequence })
    }
}

/// Returns whether a file too short to be a tape is the beginning of one, and not a foreign file.
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

/// Syncs the directory, and so a new file's name, if the operating system supports it.
fn sync_directory(directory: &Path) {
    if let Err(error) = File::open(directory).and_then(|it| it.sync_all()) {
        tracing::debug!(directory = %directory.display(), %error, "directory not synced");
    }
}
