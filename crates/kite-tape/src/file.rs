//! One tape, mapped into memory.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use kite_wire::tape::{BLOCK_HEADER_LEN, Ending, Skipped, Tape, TapeError};
use mmap_io::{MemoryMappedFile, MmapIoError};

use crate::error::OpenError;

/// A tape file, mapped into memory and looked through block by block when it was opened: what a
/// recorder adds later is not seen. Cheap to clone.
///
/// The file must not be cut or overwritten while it is open: reading what is gone ends the process,
/// as with every mapped file. A recorder appends; it cuts a file when it repairs it as it starts, and
/// takes back what a failed write left.
#[derive(Clone)]
pub struct TapeFile {
    inner: Arc<Inner>,
}

struct Inner {
    path: Arc<Path>,
    bytes: Bytes,
    parts: Vec<Part>,
    ending: Ending,
    span: Option<(u64, u64)>,
}

/// What follows in a tape.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    /// A block.
    Block {
        /// Where it begins.
        offset: usize,
        /// Where its body ends.
        end: usize,
        /// The latest time of its records, where its header says that, in Unix nanoseconds.
        latest_unix_ns: Option<u64>,
    },
    /// What had to be passed over.
    Skipped(Skipped),
}

impl TapeFile {
    /// Maps a file and reads the headers of its blocks.
    ///
    /// # Errors
    /// The file cannot be read, or has no header of a supported version. Damage behind the header
    /// is no reason.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let bytes = map(path).map_err(|source| OpenError::Io { path: path.into(), source })?;
        Self::over(path, bytes).map_err(|source| OpenError::Tape { path: path.into(), source })
    }

    fn over(path: &Path, bytes: Bytes) -> Result<Self, TapeError> {
        let tape = Tape::open(&bytes)?;
        let mut parts = Vec::new();
        let mut span: Option<(u64, u64)> = None;
        let mut blocks = tape.blocks();
        for block in blocks.by_ref() {
            let block = match block {
                Ok(block) => block,
                Err(skipped) => {
                    parts.push(Part::Skipped(skipped));
                    continue;
                }
            };
            if block.records_len() > 0 {
                let (from, to) = (block.earliest_unix_ns(), block.latest_unix_ns());
                span = Some(span.map_or((from, to), |it| (it.0.min(from), it.1.max(to))));
            }
            let (offset, stored) = (block.offset(), block.stored().len());
            parts.push(Part::Block {
                offset,
                end: offset + BLOCK_HEADER_LEN + stored,
                latest_unix_ns: block.is_sealed().then_some(block.latest_unix_ns()),
            });
        }
        let ending = blocks.ending().unwrap_or(Ending::Clean { at: bytes.len() });
        let path = Arc::from(path);
        Ok(Self { inner: Arc::new(Inner { path, parts, ending, span, bytes }) })
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// The file's bytes as a tape: its header and metadata, and its blocks as they stand.
    ///
    /// # Panics
    /// Only where somebody has overwritten the header since: it was checked when the file was opened.
    #[must_use]
    pub fn tape(&self) -> Tape<'_> {
        #[expect(clippy::expect_used, reason = "the same bytes were opened before")]
        Tape::open(&self.inner.bytes).expect("a tape stays one")
    }

    /// The length of the file when it was opened, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.inner.bytes.len() as u64
    }

    /// How the tape ends. Torn is what a crash leaves, and what a recording in progress looks like.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.inner.ending
    }

    /// The earliest and the latest receive time of its records, in nanoseconds since the Unix
    /// epoch; `None` if it has none.
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

/// A mapping that `Bytes` can own.
struct Map {
    file: MemoryMappedFile,
    len: u64,
}

impl AsRef<[u8]> for Map {
    fn as_ref(&self) -> &[u8] {
        // Fails for mappings that can be written to, which this is not.
        self.file.as_slice_bytes(0, self.len).unwrap_or_default()
    }
}

/// Maps a file; an empty one, which cannot be mapped, gives no bytes.
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
