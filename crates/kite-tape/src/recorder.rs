//! The recorder's handle.

#[cfg(feature = "conn")]
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::SystemTime;

use bytes::Bytes;
use kite_wire::ist::Day;
#[cfg(feature = "conn")]
use kite_wire::tape::Source;
use kite_wire::tape::{Gap, Received, RecordKind};
use parking_lot::Mutex;
#[cfg(feature = "conn")]
use parking_lot::MutexGuard;

use crate::config::{Fsync, RecorderConfig};
use crate::error::RecordError;
use crate::instruments::InstrumentRow;
use crate::queue::{Item, Queue};
use crate::roster::Roster;
use crate::silence::Silences;
use crate::writer::disk::{Disk, Wrap};
use crate::writer::hold::Hold;
use crate::writer::{Counters, Writer};

/// Records a feed to files on its own thread. Cheap to clone; dropping the last clone ends the
/// recording and blocks until everything queued is written.
///
/// Records wait in a bounded queue. Recording never blocks. If the queue is full the frame is
/// dropped and counted, and a gap on the tape states when, from which connection and how many
/// frames were dropped.
///
/// `Recorder::sink`, which records a connection of `kite-conn` or `kite-manager`, exists only with
/// the feature `conn`: `kite-tape = { version = "0.5", features = ["conn"] }`. Without it, pass
/// what you received to [`Recorder::record`]; the crate then needs no async runtime.
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

/// Statistics of a recorder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderStats {
    /// Binary frames on the tapes, other than heartbeats.
    pub frames: u64,
    /// Packets in these frames.
    pub ticks: u64,
    /// Heartbeats on the tapes.
    pub heartbeats: u64,
    /// Text frames on the tapes.
    pub texts: u64,
    /// Frames of all kinds, gaps and notes on the tapes. These counts fall if another program
    /// removes or truncates the file being written; `lost` rises then.
    pub records: u64,
    /// Gaps on the tapes; `records` includes them.
    pub gaps: u64,
    /// Blocks written. Their content survives the process.
    pub blocks: u64,
    /// Bytes of the records on the tapes, before compression.
    pub bytes_raw: u64,
    /// Bytes of the blocks on the tapes, as they were written: packing does not change it. Like the
    /// counts of records, it falls if a file is lost.
    pub bytes_on_disk: u64,
    /// Records dropped because the queue was full or the recording had ended.
    pub dropped: u64,
    /// Frames of all kinds lost because writing failed, or because another program removed, moved,
    /// replaced or truncated the file that they were in.
    pub lost: u64,
    /// Number of failed writes and of files lost.
    pub failures: u64,
    /// Number of files lost because another program removed, moved, replaced or truncated them while
    /// they were written.
    pub files_lost: u64,
    /// Whether there is no file to write to, or the last block could not be written. Every block
    /// tries again.
    pub is_failing: bool,
    /// The last failure.
    pub last_error: Option<String>,
    /// Records waiting for the writer now.
    pub queued: usize,
    /// Bytes of the payloads waiting for the writer now.
    pub queued_bytes: usize,
    /// The files written to, in order.
    pub files: Vec<PathBuf>,
}

/// The result of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecorderSummary {
    /// The final statistics.
    pub stats: RecorderStats,
    /// The silences of the connections, and the steps of the clock; empty without
    /// [`RecorderConfig::quiet_after`].
    pub silences: Silences,
}

/// Ends the recording when the last clone is dropped.
struct Owner {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    roster: Arc<Roster>,
    directory: PathBuf,
    /// Locked until the thread has ended by every caller that waits for it.
    work: Mutex<Work>,
    /// When each connection was closed, in Unix nanoseconds, in case it comes up again.
    #[cfg(feature = "conn")]
    closed: Mutex<BTreeMap<Source, u64>>,
}

/// The state of a recorder's thread.
enum Work {
    /// Running. The thread holds the lock on the directory.
    Running(JoinHandle<Option<io::Error>>),
    /// Ended, possibly with an error of the last write.
    Ended(Option<(io::ErrorKind, String)>),
    /// Panicked.
    Failed,
}

impl Recorder {
    /// Starts a recorder that writes into a directory, which is created if needed. Files are named
    /// `kite-2026-01-31.ktape`, `kite-2026-01-31.1.ktape` and so on, by their records' day in
    /// India. The newest file of a day is continued. An incomplete end left by a crash is cut off,
    /// and a gap states the time during which nothing was recorded.
    ///
    /// # Errors
    /// Returns an error if a setting is out of range, another recorder with the same prefix writes
    /// there, or the directory cannot be written to.
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
        let hold = Hold::acquire(directory, &config.prefix)?;
        let queue = Arc::new(Queue::new(config.queue_frames, config.queue_bytes));
        let counters = Arc::new(Counters::default());
        let disk = Disk {
            directory: directory.to_owned(),
            prefix: config.prefix.clone(),
            metadata: config.metadata.clone(),
            max_bytes: config.rotation.max_bytes,
            syncs: config.fsync != Fsync::Never,
            hold,
            wrap,
        };
        let roster = Arc::new(Roster::default());
        let shared = (Arc::clone(&queue), Arc::clone(&counters), Arc::clone(&roster));
        let writer = Writer::new(&config, disk, shared).map_err(failed(directory))?;
        let thread = Builder::new()
            .name("tape-recorder".into())
            .spawn(move || writer.run())
            .map_err(RecordError::Thread)?;
        queue.set_writer(thread.thread().clone());
        let owner = Owner {
            queue,
            counters,
            roster,
            directory: directory.to_owned(),
            work: Mutex::new(Work::Running(thread)),
            #[cfg(feature = "conn")]
            closed: Mutex::default(),
        };
        Ok(Self { owner: Arc::new(owner) })
    }

    /// Queues a record for the writer, without blocking. Records from one thread are written in
    /// their order. If the queue is full or the recording has ended, the record is dropped and
    /// counted.
    pub fn record(&self, received: Received, kind: RecordKind, payload: Bytes) {
        self.owner.queue.push(Item { received, kind, payload });
    }

    /// Queues a gap for the writer, like [`Recorder::record`].
    pub fn gap(&self, received: Received, gap: Gap) {
        self.owner.queue.push(Item::gap(received, &gap));
    }

    /// Notes instruments that are subscribed, with their names of today in India. Call it before the
    /// first subscription and at each further one; a row replaces an earlier one of the same token.
    ///
    /// The notes precede the next records, and are repeated at the start of each new file, so that
    /// every tape has the names of its instruments. They are written only with records: before the
    /// first record arrives, there is no file.
    ///
    /// ```
    /// # use kite_tape::{InstrumentRow, Recorder, RecorderConfig};
    /// # use kite_wire::Mode;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let directory = tempfile::tempdir()?;
    /// let recorder = Recorder::start(directory.path(), RecorderConfig::default())?;
    /// let mut row = InstrumentRow::new(408_065);
    /// row.mode = Some(Mode::Full);
    /// recorder.instruments([row]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn instruments(&self, rows: impl IntoIterator<Item = InstrumentRow>) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.owner.roster.add(Day::at_unix_s(now.as_secs()), rows);
    }

    /// Notes when a connection was closed.
    #[cfg(feature = "conn")]
    pub(crate) fn note_closed(&self, source: Source, unix_ns: u64) {
        self.closed().insert(source, unix_ns);
    }

    /// Returns when a connection that comes up again was closed.
    #[cfg(feature = "conn")]
    pub(crate) fn take_closed(&self, source: Source) -> Option<u64> {
        self.closed().remove(&source)
    }

    #[cfg(feature = "conn")]
    fn closed(&self) -> MutexGuard<'_, BTreeMap<Source, u64>> {
        self.owner.closed.lock()
    }

    /// Returns the statistics so far.
    #[must_use]
    pub fn stats(&self) -> RecorderStats {
        self.owner.stats()
    }

    /// Returns the directory of the files.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.owner.directory
    }

    /// Returns the summary so far, or after [`finish`](Self::finish) of another clone the whole one,
    /// also if the end of the recording could not be written.
    #[must_use]
    pub fn summary(&self) -> RecorderSummary {
        let silences = self.owner.counters.silences.lock().clone();
        RecorderSummary { stats: self.stats(), silences }
    }

    /// Ends the recording for all clones. Writes the queued records, closes the file and releases
    /// the directory. Blocks until this is done, for every caller. Records from other clones are
    /// then dropped and counted.
    ///
    /// # Errors
    /// Returns an error if the end could not be written or synced, or the recorder's thread
    /// panicked. Earlier failures that were recovered from are counted in [`RecorderStats::lost`].
    pub fn finish(self) -> Result<RecorderSummary, RecordError> {
        match self.owner.end() {
            Ok(None) => Ok(self.summary()),
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
        let totals = self.counters.totals();
        let (queued, queued_bytes) = self.queue.depth();
        RecorderStats {
            frames: totals.counts.frames,
            ticks: totals.counts.ticks,
            heartbeats: totals.counts.heartbeats,
            texts: totals.counts.texts,
            records: totals.counts.records,
            gaps: totals.counts.gaps,
            blocks: totals.blocks,
            bytes_raw: totals.counts.bytes_raw,
            bytes_on_disk: totals.bytes_on_disk,
            dropped: self.queue.dropped(),
            lost: totals.lost,
            failures: totals.failures,
            files_lost: totals.files_lost,
            is_failing: totals.is_failing,
            last_error: totals.last_error,
            queued,
            queued_bytes,
            files: totals.files,
        }
    }

    /// Ends the thread, waits for it and releases the directory. Returns the thread's last failure,
    /// or an error if it panicked.
    fn end(&self) -> Result<Option<io::Error>, ()> {
        self.queue.close();
        let mut work = self.work.lock();
        *work = match std::mem::replace(&mut *work, Work::Failed) {
            Work::Running(thread) => match thread.join() {
                Ok(failed) => Work::Ended(failed.map(|it| (it.kind(), it.to_string()))),
                Err(_) => Work::Failed,
            },
            ended => ended,
        };
        match &*work {
            Work::Ended(failed) => {
                Ok(failed.as_ref().map(|(kind, text)| io::Error::new(*kind, text.clone())))
            }
            Work::Running(_) | Work::Failed => Err(()),
        }
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        if self.end().is_err() {
            tracing::error!(directory = %self.directory.display(), "recorder thread panicked");
        }
    }
}
