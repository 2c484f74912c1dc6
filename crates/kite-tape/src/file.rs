//! One tape file in memory.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use filebuffer::FileBuffer;
use kite_wire::tape::{Ending, Tape, TapeError};

use crate::error::OpenError;
use crate::index::Index;

/// A tape file, mapped into memory. A clone is the same map.
///
/// What is appended to the file after it was opened is not seen: open it again. A file must not be
/// cut while it is mapped, since the system kills a process that reads where the file no longer
/// is. A recorder cuts only the torn end of a file that it goes on with after a crash.
#[derive(Clone)]
pub struct TapeFile {
    shared: Arc<Shared>,
}

struct Shared {
    path: Arc<PathBuf>,
    bytes: Bytes,
    index: OnceLock<Index>,
}

impl TapeFile {
    /// Maps the file and reads its header.
    ///
    /// # Errors
    /// The file cannot be read or has no header of a supported version: [`OpenError::Io`],
    /// [`OpenError::Tape`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        let path = path.as_ref();
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if fs::metadata(path).map_err(io)?.is_dir() {
            return Err(io(std::io::ErrorKind::IsADirectory.into()));
        }
        let bytes = Bytes::from_owner(FileBuffer::open(path).map_err(io)?);
        Tape::open(&bytes).map_err(|source| OpenError::Tape { path: path.to_owned(), source })?;
        let path = Arc::new(path.to_owned());
        Ok(Self { shared: Arc::new(Shared { path, bytes, index: OnceLock::new() }) })
    }

    /// The path by which the file was opened.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.shared.path
    }

    /// The file's length when it was opened.
    #[must_use]
    pub fn len_bytes(&self) -> u64 {
        self.shared.bytes.len() as u64
    }

    /// The tape in the format's own terms: header, metadata, blocks.
    ///
    /// # Errors
    /// The header was overwritten since the file was opened; it was right then.
    pub fn tape(&self) -> Result<Tape<'_>, TapeError> {
        Tape::open(&self.shared.bytes)
    }

    /// Earliest and latest receive time of the records, in nanoseconds since the Unix epoch; `None`
    /// if there are none.
    ///
    /// The first call steps over the file's block headers, as does the start of reading.
    #[must_use]
    pub fn span(&self) -> Option<(u64, u64)> {
        self.index().span
    }

    /// How the tape ends.
    ///
    /// The first call steps over the file's block headers, as does the start of reading.
    #[must_use]
    pub fn ending(&self) -> Ending {
        self.index().ending
    }

    pub(crate) fn shared_path(&self) -> &Arc<PathBuf> {
        &self.shared.path
    }

    pub(crate) fn bytes(&self) -> &Bytes {
        &self.shared.bytes
    }

    pub(crate) fn index(&self) -> &Index {
        self.shared.index.get_or_init(|| Index::of(&self.shared.bytes))
    }
}

impl fmt::Debug for TapeFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TapeFile")
            .field("path", &self.path())
            .field("len_bytes", &self.len_bytes())
            .finish()
    }
}
