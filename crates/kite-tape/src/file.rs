//! One tape, mapped into memory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kite_wire::tape::{
    BLOCK_HEADER_LEN, Block, CODEC_COLUMNS, Ending, Skipped, Tape, TapeError, Tear,
};
use mmap_io::{MemoryMappedFile, MmapIoError};

use crate::error::OpenError;
use crate::live::is_being_recorded;

/// A tape file, mapped into memory. Its block headers are read when it is opened, so records added
/// later are not seen. Cheap to clone.
///
/// The file must not be truncated or overwritten while it is open, because reading a truncated page
/// of a mapped file kills the process. A recorder only appends, except that it truncates a file
/// when it repairs it at start and when it undoes a failed write.
#[derive(Clone)]
pub struct TapeFile {
    inner: Arc<Inner>,
}

struct Inner {
    path: Arc<Path>,
    bytes: Bytes,
    /// The part before the first intact block, if the header is damaged.
    header_damage: Option<Skipped>,
    parts: Vec<Part>,
    records: u64,
    ending: Ending,
    span: Option<(u64, u64)>,
    is_being_recorded: bool,
    is_packed: bool,
}

/// A part of a tape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// A block.
    Block {
        /// Offset of its header.
        offset: usize,
        /// Offset of the end of its body.
        end: usize,
        /// The latest time of its records in Unix nanoseconds, if its header has it.
        latest_unix_ns: Option<u64>,
        /// The number of its records, by its header.
        records: u32,
        /// The times between which its records were received.
        bounds: Bounds,
    },
    /// Bytes that had to be skipped, and the times between which their records were received.
    Skipped(Skipped, Bounds),
}

/// The times of the records before and after a part, in Unix nanoseconds, as far as known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) from_unix_ns: Option<u64>,
    pub(crate) to_unix_ns: Option<u64>,
}

impl TapeFile {
    /// Maps a file and reads the headers of its blocks.
    ///
    /// If the header of the file is damaged, the tape is read by its blocks; see
    /// [`TapeFile::header_damage`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be read, is of another version, or has neither an intact
    /// header nor an intact block. Damage after the header is not an error here.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let file = Self::read(path)?;
        if !matches!(file.ending(), Ending::Torn { .. }) || file.is_being_recorded() {
            return Ok(file);
        }
        // If a recorder has finished the file since it was mapped, it is complete now.
        Self::read(path)
    }

    fn read(path: &Path) -> Result<Self, OpenError> {
        let bytes = map(path).map_err(|source| OpenError::Io { path: path.into(), source })?;
        Self::from_bytes(path, bytes)
            .map_err(|source| OpenError::Tape { path: path.into(), source })
    }

    fn from_bytes(path: &Path, bytes: Bytes) -> Result<Self, TapeError> {
        let tape = Tape::recover(&bytes)?;
        let header_damage = tape.header_damage();
        let (mut parts, mut records) = (Vec::new(), 0);
        let mut span: Option<(u64, u64)> = None;
        let mut latest = None;
        // Skipped parts since the last block, which end with the next one.
        let mut open = 0;
        // The blocks of a short tape can all be too small for columns.
        let mut is_packed = header_damage.is_none() && tape.version() >= (1, 1);
        let mut blocks = tape.blocks();
        for block in blocks.by_ref() {
            let block = match block {
                Ok(block) => block,
                Err(skipped) => {
                    parts.push(Part::Skipped(
                        skipped,
                        Bounds { from_unix_ns: latest, to_unix_ns: None },
                    ));
                    continue;
                }
            };
            records += u64::from(block.records_len());
            is_packed |= block.codec() == CODEC_COLUMNS;
            if block.records_len() > 0 {
                let (from, to) = (block.earliest_unix_ns(), block.latest_unix_ns());
                span = Some(span.map_or((from, to), |it| (it.0.min(from), it.1.max(to))));
                parts[open..].iter_mut().for_each(|part| part.end_at(from));
                open = parts.len();
                latest = Some(to);
            }
            parts.push(Part::of(&block));
        }
        let ending = blocks.ending().unwrap_or(Ending::Clean { at: bytes.len() });
        let is_being_recorded = matches!(ending, Ending::Torn { .. }) && is_being_recorded(path);
        let path = Arc::from(path);
        let inner = Inner {
            path,
            parts,
            records,
            ending,
            span,
            is_being_recorded,
            is_packed,
            header_damage,
            bytes,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// Returns the path of the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Returns the file's bytes as a tape of a header, metadata and blocks.
    ///
    /// # Panics
    /// Panics only if the header, or the first intact block if the header is damaged, has been
    /// overwritten since the file was opened.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the same bytes were opened before")]
    pub fn tape(&self) -> Tape<'_> {
        let bytes = &self.inner.bytes;
        match self.inner.header_damage {
            None => Tape::open(bytes).expect("the header was checked when the file was opened"),
            Some(damage) => Tape::at_block(bytes, damage.to)
                .expect("the block was checked when the file was opened"),
        }
    }

    /// Returns the part that could not be read because the file's header is damaged; `None` if the
    /// header is intact. Reading reports it as [`Damage`](crate::Damage) too.
    #[must_use]
    pub fn header_damage(&self) -> Option<Skipped> {
        self.inner.header_damage
    }

    /// Returns the number of records by the headers of the blocks that can be found.
    pub(crate) fn records(&self) -> u64 {
        self.inner.records
    }

    /// Returns the length of the file when it was opened, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.inner.bytes.len() as u64
    }

    /// Returns how the tape ends. A crash leaves a torn end, and a recording in progress has one
    /// too.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.inner.ending
    }

    /// Returns whether the file has an incomplete end because a recorder was writing to it when it
    /// was opened. What is missing is not lost.
    #[must_use]
    pub fn is_being_recorded(&self) -> bool {
        self.inner.is_being_recorded
    }

    /// Returns whether the tape was packed: [`pack`](crate::pack) has written it.
    #[must_use]
    pub fn is_packed(&self) -> bool {
        self.inner.is_packed
    }

    /// Returns whether the end of the file is lost: it is torn and no recorder is writing to it, or
    /// it is damaged.
    #[must_use]
    pub fn is_cut_off(&self) -> bool {
        match self.ending() {
            Ending::Clean { .. } => false,
            Ending::Torn { .. } => !self.is_being_recorded(),
            _ => true,
        }
    }

    /// Returns the number of records lost with the end of the file; `None` if some are and their
    /// number is unknown. 0 for a file that is not cut off, and for one that ends with damage, which
    /// reading reports.
    #[must_use]
    pub fn records_lost_at_end(&self) -> Option<u32> {
        match self.ending() {
            Ending::Torn { records_lost, tear, .. } if !self.is_being_recorded() => match tear {
                Tear::CompressedBlock => records_lost,
                // Without a number, no record was complete.
                _ => Some(records_lost.unwrap_or(0)),
            },
            _ => Some(0),
        }
    }

    /// Returns the earliest and the latest receive time of its records, in nanoseconds since the
    /// Unix epoch; `None` if it has no records.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        self.inner.span
    }

    pub(crate) fn shared_path(&self) -> Arc<Path> {
        Arc::clone(&self.inner.path)
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.inner.bytes
    }

    pub(crate) fn parts(&self) -> &[Part] {
        &self.inner.parts
    }
}

impl Part {
    fn of(block: &Block<'_>) -> Self {
        let (from, to) = (block.earliest_unix_ns(), block.latest_unix_ns());
        let is_known = block.records_len() > 0;
        Self::Block {
            offset: block.offset(),
            end: block.offset() + BLOCK_HEADER_LEN + block.stored().len(),
            latest_unix_ns: block.is_sealed().then_some(to),
            records: block.records_len(),
            bounds: Bounds {
                from_unix_ns: is_known.then_some(from),
                // The lost rest of a block without a seal came after its readable records.
                to_unix_ns: (is_known && block.is_sealed()).then_some(to),
            },
        }
    }

    /// Notes the time of the first record after the part, unless it is known.
    fn end_at(&mut self, unix_ns: u64) {
        let (Self::Block { bounds, .. } | Self::Skipped(_, bounds)) = self;
        bounds.to_unix_ns.get_or_insert(unix_ns);
    }
}

impl fmt::Debug for TapeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapeFile")
            .field("path", &self.path())
            .field("len_bytes", &self.len_bytes())
            .field("span", &self.span())
            .field("ending", &self.ending())
            .finish_non_exhaustive()
    }
}

/// A mapped file that `Bytes` can own.
struct Map {
    file: MemoryMappedFile,
    len: u64,
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        // Fails only for writable mappings, and this one is read-only.
        self.file.as_slice_bytes(0, self.len).unwrap_or_default()
    }
}

/// Maps a file. An empty file cannot be mapped and yields empty bytes.
fn map(path: &Path) -> io::Result<Bytes> {
    if std::fs::metadata(path)?.len() == 0 {
        return Ok(Bytes::new());
    }
    let file = MemoryMappedFile::open_ro(path).map_err(|error| match error {
        MmapIoError::Io(error) => error,
        other => io::Error::other(other),
    })?;
    let len = file.len();
    Ok(Bytes::from_owner(Map { file, len }))
}
