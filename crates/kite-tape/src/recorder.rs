//! The recorder, as its user holds it.

#[cfg(feature = "conn")]
use std::collections::BTreeMap;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::thread::{Builder, JoinHandle};

use bytes::Bytes;
use fs4::{FileExt, TryLockError};
#[cfg(feature = "conn")]
use kite_wire::tape::Source;
use kite_wire::tape::{Gap, Received, RecordKind};
use parking_lot::Mutex;
#[cfg(feature = "conn")]
use parking_lot::MutexGuard;

use crate::config::{Fsync, RecorderConfig, lock_name};
use crate::error::RecordError;
use crate::queue::{Item, Queue};
use crate::writer::disk::{Disk, Wrap};
use crate::writer::{Told, Writer};

/// Records a feed to files, on a thread of its own. Cheap to clone; the end of the last clone ends
/// the recording, and waits until what was given to it is written.
///
/// What is given to it waits in a queue with bounds. Giving never waits: where the queue is full the
/// frame is dropped and counted, and a gap in the tape tells when, from whom and how many.
///
/// ```
/// use bytes::Bytes;
/// use kite_tape::{Received, Recorder, RecorderConfig, RecordKind, Reel, Source};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let directory = tempfile::tempdir()?;
/// # let directory = directory.path();
/// let recorder = Recorder::start(directory, RecorderConfig::default())?;
/// let source = Source { account: 0, connection: 1 };
/// let received = Received { recv_unix_ns: 1_767_585_600_000_000_000, source };
/// let frame = Bytes::from_static(&[0, 1, 0, 8, 0x00, 0x06, 0x3a, 0x01, 0x00, 0x02, 0x66, 0xba]);
/// recorder.record(received, RecordKind::Binary, frame.clone());
/// let summary = recorder.finish()?;
/// assert_eq!((summary.stats.frames, summary.stats.dropped), (1, 0));
///
/// let entry = Reel::open([directory])?.entries().next().unwrap()?;
/// assert_eq!((entry.received, entry.payload), (received, frame));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Recorder {
    owner: Arc<Owner>,
}

/// What a recorder has done so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderStats {
    /// Frames written, binary ones (heartbeats too) and texts.
    pub frames: u64,
    /// Records written: frames, gaps and notes.
    pub records: u64,
    /// Gaps among them.
    pub gaps: u64,
    /// Blocks written. What is in them outlives the process.
    pub blocks: u64,
    /// Bytes of the records written, before compression.
    pub bytes_raw: u64,
    /// Bytes that they take in the files.
    pub bytes_on_disk: u64,
    /// Records dropped because the queue was full, or because the recording had ended.
    pub dropped: u64,
    /// Frames and notes lost because writing failed.
    pub lost: u64,
    /// How often writing failed.
    pub failures: u64,
    /// What the last failure was.
    pub last_error: Option<String>,
    /// Records that wait for the writer now, and their bytes.
    pub queued: usize,
    /// Bytes of the payloads that wait for the writer now.
    pub queued_bytes: usize,
    /// The files written to, in order.
    pub files: Vec<PathBuf>,
}

/// What a recording came to.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderSummary {
    /// All that was done.
    pub stats: RecorderStats,
}

/// Ends the recording with the last clone.
struct Owner {
    queue: Arc<Queue>,
    told: Arc<Told>,
    directory: PathBuf,
    /// Held until the thread has ended, by all who wait for that.
    work: Mutex<Work>,
    /// When each connection was closed that a sink may come for again, in Unix nanoseconds.
    #[cfg(feature = "conn")]
    closed: Mutex<BTreeMap<Source, u64>>,
}

/// The thread of a recorder, and what became of it.
enum Work {
    /// It works, under this lock of the directory.
    Goes { thread: JoinHandle<Option<io::Error>>, _lock: File },
    /// It has ended, perhaps with something that could not be written.
    Ended(Option<(io::ErrorKind, String)>),
    /// It panicked.
    Failed,
}

impl Recorder {
    /// Starts a recorder that writes into a directory, which is made if need be. Files are named
    /// `kite-2026-01-31.ktape`, `kite-2026-01-31.1.ktape` and so on, by the day in India of their
    /// records. The newest of a day is gone on with: what a crash left torn in it is cut off, and a
    /// gap tells from when to when nothing was recorded.
    ///
    /// # Errors
    /// A setting is outside of its range, another recorder of the same prefix writes there, or the
    /// directory cannot be written to.
    pub fn start(directory: impl AsRef<Path>, config: RecorderConfig) -> Result<Self, RecordError> {
        Self::start_with(directory.as_ref(), config, Box::new(|file| Box::new(file)))
    }

    pub(crate) fn start_with(
        directory: &Path,
        config: RecorderConfig,
        wrap: Wrap,
    ) -> Result<Self, RecordError> {
        config.validate()?;
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| RecordError::Io { path, source }
        };
        std::fs::create_dir_all(directory).map_err(failed(directory))?;
        let lock = lock(&directory.join(lock_name(&config.prefix)))?;
        let queue = Arc::new(Queue::new(config.queue_frames, config.queue_bytes));
        let told = Arc::new(Told::default());
        let disk = Disk {
            directory: directory.to_owned(),
            prefix: config.prefix.clone(),
            metadata: config.metadata.clone(),
            max_bytes: config.rotation.max_bytes,
            syncs: config.fsync != Fsync::Never,
            wrap,
        };
        let writer = Writer::new(&config, disk, Arc::clone(&queue), Arc::clone(&told))
            .map_err(failed(directory))?;
        let thread = Builder::new()
            .name("tape-recorder".into())
            .spawn(move || writer.run())
            .map_err(RecordError::Thread)?;
        queue.set_writer(thread.thread().clone());
        let owner = Owner {
            queue,
            told,
            directory: directory.to_owned(),
            work: Mutex::new(Work::Goes { thread, _lock: lock }),
            #[cfg(feature = "conn")]
            closed: Mutex::default(),
        };
        Ok(Self { owner: Arc::new(owner) })
    }

    /// Gives a record to the writer, and never waits. What is given from one thread is written in
    /// this order. After the end of the recording, and where the queue is full, it is dropped and
    /// counted.
    pub fn record(&self, received: Received, kind: RecordKind, payload: Bytes) {
        self.owner.queue.push(Item { received, kind, payload });
    }

    /// Gives a gap to the writer, as [`Recorder::record`] does a frame.
    pub fn gap(&self, received: Received, gap: Gap) {
        self.owner.queue.push(Item::gap(received, &gap));
    }

    /// Notes when a connection was closed.
    #[cfg(feature = "conn")]
    pub(crate) fn note_closed(&self, source: Source, unix_ns: u64) {
        self.closed().insert(source, unix_ns);
    }

    /// Gives when a connection was closed that comes up again.
    #[cfg(feature = "conn")]
    pub(crate) fn take_closed(&self, source: Source) -> Option<u64> {
        self.closed().remove(&source)
    }

    #[cfg(feature = "conn")]
    fn closed(&self) -> MutexGuard<'_, BTreeMap<Source, u64>> {
        self.owner.closed.lock()
    }

    /// Says what has been done so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        self.owner.stats()
    }

    /// Where the files are.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.owner.directory
    }

    /// Ends the recording for all clones and frees the directory for another: what was given is
    /// written, the file ended. Blocks until then, whoever else has called it. What others still give
    /// is dropped and counted.
    ///
    /// # Errors
    /// The end could not be written or put onto the disk, or the recorder's thread panicked. What
    /// failed before, and did not any more in the end, is told by [`RecorderStats::lost`].
    pub fn finish(self) -> Result<RecorderSummary, RecordError> {
        let ended = self.owner.end();
        let stats = self.owner.stats();
        match ended {
            Ok(None) => Ok(RecorderSummary { stats }),
            Ok(Some(source)) => Err(RecordError::Io { path: self.owner.directory.clone(), source }),
            Err(()) => Err(RecordError::Failed),
        }
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorder")
            .field("directory", &self.owner.directory)
            .field("stats", &self.stats())
            .finish()
    }
}

impl Owner {
    fn stats(&self) -> RecorderStats {
        let told = &self.told;
        let slow = told.slow();
        let (queued, queued_bytes) = self.queue.depth();
        RecorderStats {
            frames: told.frames.load(Relaxed),
            records: told.records.load(Relaxed),
            gaps: told.gaps.load(Relaxed),
            blocks: told.blocks.load(Relaxed),
            bytes_raw: told.bytes_raw.load(Relaxed),
            bytes_on_disk: told.bytes_on_disk.load(Relaxed),
            dropped: self.queue.dropped(),
            lost: told.lost.load(Relaxed),
            failures: told.failures.load(Relaxed),
            last_error: slow.last_error,
            queued,
            queued_bytes,
            files: slow.files,
        }
    }

    /// Ends the thread, waits for it, frees the directory, and gives the thread's last failure; an
    /// error if it panicked.
    fn end(&self) -> Result<Option<io::Error>, ()> {
        self.queue.close();
        let mut work = self.work.lock();
        *work = match std::mem::replace(&mut *work, Work::Failed) {
            Work::Goes { thread, _lock } => match thread.join() {
                Ok(failed) => Work::Ended(failed.map(|it| (it.kind(), it.to_string()))),
                Err(_) => Work::Failed,
            },
            ended => ended,
        };
        match &*work {
            Work::Ended(failed) => {
                Ok(failed.as_ref().map(|(kind, text)| io::Error::new(*kind, text.clone())))
            }
            Work::Goes { .. } | Work::Failed => Err(()),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.end().is_err() {
            tracing::error!(directory = %self.directory.display(), "the recorder panicked");
        }
    }
}

/// Takes the lock of a recorder.
fn lock(path: &Path) -> Result<File, RecordError> {
    let failed = |source| RecordError::Io { path: path.to_owned(), source };
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).open(path).map_err(failed)?;
    match FileExt::try_lock(&file) {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RecordError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
