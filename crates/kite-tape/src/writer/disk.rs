//! Chooses, continues and writes the files of a recorder.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use kite_wire::ist::Day;
use kite_wire::tape::{BLOCK_HEADER_LEN, Ending, TapeError, TapeHeader, VERSION_MAJOR};

use super::hold::Hold;
use super::presence::{self, Change};
use super::written::Written;
use crate::error::{OpenError, RecordError};
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
    /// Returns the metadata of the open file.
    fn metadata(&self) -> io::Result<Metadata>;
}

impl Output for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)
    }

    fn metadata(&self) -> io::Result<Metadata> {
        Self::metadata(self)
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
    /// The number of the next block.
    pub(crate) sequence: u32,
    /// What this run has written to it.
    pub(crate) written: Written,
    /// Whether the file system identifies the open file and the one at its path alike.
    has_identity: bool,
}

impl Current {
    fn new(path: PathBuf, day: Day, output: Box<dyn Output>, written: Written) -> io::Result<Self> {
        let metadata = output.metadata()?;
        let len = metadata.len();
        let has_identity = presence::change(&metadata, len, &path).is_none();
        Ok(Self { path, day, output, len, sequence: written.first_sequence, written, has_identity })
    }

    /// Appends a block and returns its length. If that fails, undoes a partial write; if that fails
    /// too, the file is repaired when it is opened again.
    pub(crate) fn append(&mut self, header: &[u8], body: &[u8]) -> io::Result<u64> {
        let appended = self.output.append(header).and_then(|()| self.output.append(body));
        if let Err(error) = appended {
            let _ = self.output.cut(self.len);
            return Err(error);
        }
        let more = (header.len() + body.len()) as u64;
        self.len += more;
        self.written.bytes += more;
        self.sequence = self.sequence.saturating_add(1);
        Ok(more)
    }

    /// Returns what another program did to the file, if that can be determined.
    pub(crate) fn change(&self) -> Option<Change> {
        let change = presence::change(&self.output.metadata().ok()?, self.len, &self.path)?;
        (self.has_identity || change != Change::Replaced).then_some(change)
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
    pub(crate) hold: Hold,
    pub(crate) wrap: Wrap,
}

impl Disk {
    /// Makes sure that the directory exists and this recorder holds its lock.
    ///
    /// # Errors
    /// Returns an error if another recorder has locked the directory since it was removed, or if it
    /// cannot be created again.
    pub(crate) fn hold(&mut self) -> Result<(), RecordError> {
        if !self.hold.is_in_place() {
            self.hold = Hold::acquire(&self.directory, &self.prefix)?;
        }
        Ok(())
    }

    /// Opens the newest file of a day to continue it. Creates a new one if none exists, or if the
    /// newest is full or packed, has other metadata or is not a tape.
    pub(crate) fn open(&mut self, day: Day, created_unix_ns: u64) -> io::Result<Opened> {
        self.hold().map_err(into_io)?;
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
                    if next == 0 && is_ours && has_room && !file.is_packed() {
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
            next = next.max(after(number)?);
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
    pub(crate) fn open_next(&mut self, day: Day, created_unix_ns: u64) -> io::Result<Current> {
        self.hold().map_err(into_io)?;
        let next = self.numbers(day)?.last().map_or(Ok(0), |number| after(*number))?;
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
        let file = OpenOptions::new().append(true).create_new(true).open(&path)?;
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
        Current::new(path, day, output, Written::new(tape_id))
    }

    /// Repairs a file as the tape format describes, and continues after its last complete block.
    fn resume(&self, path: PathBuf, day: Day, tape_file: TapeFile) -> io::Result<Current> {
        let tape = tape_file.tape();
        let resume = tape.resume();
        let seals: Vec<_> = tape.seals().collect();
        let (old_len, len) = (tape_file.len_bytes(), resume.append_at as u64);
        let written = Written::after(&tape_file, resume.next_sequence);
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
        drop(file);
        // Appending, so that a file that another program truncates does not grow a hole.
        let mut file = OpenOptions::new().append(true).open(&path)?;
        if matches!(resume.ending, Ending::Damaged { .. }) {
            // The damage may end with the start of a block header, which the following bytes would
            // complete to a block.
            file.write_all(&[0; BLOCK_HEADER_LEN])?;
        }
        Current::new(path, day, (self.wrap)(file), written)
    }
}

/// Returns the number of the next file of a day.
fn after(number: u32) -> io::Result<u32> {
    number.checked_add(1).ok_or_else(|| io::Error::other("the day has a file of the last number"))
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

/// Returns the system's error, or one with the recorder's text.
pub(crate) fn into_io(error: RecordError) -> io::Error {
    match error {
        RecordError::Io { source, .. } => source,
        error => io::Error::new(io::ErrorKind::ResourceBusy, error),
    }
}

/// Syncs the directory, and so a new file's name, if the operating system supports it.
fn sync_directory(directory: &Path) {
    if let Err(error) = File::open(directory).and_then(|it| it.sync_all()) {
        tracing::debug!(directory = %directory.display(), %error, "directory not synced");
    }
}
