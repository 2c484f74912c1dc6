//! The recorder's thread, which takes records from the queue, collects blocks, writes them and
//! rotates files.

pub(crate) mod block;
pub(crate) mod disk;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::thread;
use std::time::{Duration, Instant};

use kite_wire::ist::Day;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
use parking_lot::{Mutex, MutexGuard};

use self::block::Collector;
use self::disk::{Current, Disk, Opened};
use crate::config::{Compression, Fsync, RecorderConfig};
use crate::queue::{Item, Loss, Queue, note_gap, note_loss};
use crate::roster::Roster;
use crate::silence::{SilenceDetector, Silences};

/// Interval at which the writer polls while frames arrive.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Interval at which a sleeping writer checks for a missed wake-up.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Maximum number of records taken from the queue in one step.
const TAKEN: usize = 1_024;
/// Minimum time between two logged failures.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counters of the writer, which only the writer changes.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) records: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) blocks: AtomicU64,
    pub(crate) bytes_raw: AtomicU64,
    pub(crate) bytes_on_disk: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) details: Mutex<Details>,
    /// Set at the end of the recording.
    pub(crate) silences: Mutex<Silences>,
}

/// Values that change rarely.
#[derive(Debug, Default, Clone)]
pub(crate) struct Details {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) last_error: Option<String>,
}

impl Counters {
    pub(crate) fn details(&self) -> Details {
        self.lock().clone()
    }

    /// Notes the file being written.
    fn note_file(&self, path: &Path) {
        let files = &mut self.lock().files;
        // After a failure it may be the same file again.
        if files.last().is_none_or(|last| last != path) {
            files.push(path.to_owned());
        }
    }

    fn lock(&self) -> MutexGuard<'_, Details> {
        self.details.lock()
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

/// Writes the records from a queue.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    roster: Arc<Roster>,
    /// The version of the roster whose notes are in the current file; 0 if there are none.
    noted: u64,
    disk: Disk,
    compression: Compression,
    block_bytes: usize,
    block_age: Duration,
    by_day: bool,
    fsync: Fsync,
    collector: Collector,
    /// When the block's first record was added.
    begun: Option<Instant>,
    current: Option<Current>,
    /// Whether this run has not opened a file yet; the first one gets a gap for the time before.
    is_first: bool,
    /// Losses for which no gap has been written yet.
    losses: Vec<Loss>,
    synced: Instant,
    /// Whether anything was written since then.
    is_unsynced: bool,
    logged: Option<Instant>,
    failed: Option<io::Error>,
    silences: Option<SilenceDetector>,
}

impl Writer {
    pub(crate) fn new(
        config: &RecorderConfig,
        disk: Disk,
        (queue, counters, roster): (Arc<Queue>, Arc<Counters>, Arc<Roster>),
    ) -> io::Result<Self> {
        Ok(Self {
            queue,
            counters,
            roster,
            noted: 0,
            disk,
            compression: config.compression,
            block_bytes: config.block_bytes,
            block_age: config.block_age,
            by_day: config.rotation.by_day,
            fsync: config.fsync,
            collector: Collector::new(config.compression)?,
            begun: None,
            current: None,
            is_first: true,
            losses: Vec::new(),
            synced: Instant::now(),
            is_unsynced: false,
            logged: None,
            failed: None,
            silences: config.quiet_after.map(SilenceDetector::new),
        })
    }

    /// Runs until the queue is closed and empty. Returns the failure that kept the end from being
    /// written, if any.
    pub(crate) fn run(mut self) -> Option<io::Error> {
        let mut taken = Vec::with_capacity(TAKEN);
        loop {
            let closed = self.queue.is_closed();
            self.queue.take(&mut taken, TAKEN);
            let load = taken.len();
            let now = Instant::now();
            for item in taken.drain(..) {
                self.add(&item, now);
            }
            if !self.collector.is_empty() && self.age(now) >= self.block_age {
                self.write_block();
            }
            self.sync_if_due(now);
            match (load, closed) {
                (0, true) if self.queue.is_drained() => break,
                // A record was being pushed when the queue was closed.
                (0, true) => thread::yield_now(),
                (0, false) => {
                    let has_work = !self.collector.is_empty() || self.is_unsynced;
                    self.queue.rest(has_work, if has_work { POLL_EVERY } else { CHECK_EVERY });
                }
                // After a full load the next one follows immediately.
                (1..TAKEN, false) => self.queue.rest(true, POLL_EVERY),
                (_, _) => {}
            }
        }
        self.write_rest();
        self.close();
        if let Some(silences) = self.silences.take() {
            *self.counters.silences.lock() = silences.finish();
        }
        self.failed
    }

    /// Writes the remaining records, and the gaps for losses that occur while doing so.
    fn write_rest(&mut self) {
        loop {
            self.push_gaps();
            if self.collector.is_empty() {
                return;
            }
            self.write_block();
            if self.failed.is_some() {
                return;
            }
        }
    }

    fn age(&self, now: Instant) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| now.duration_since(begun))
    }

    /// Adds a record to the block, writing the block first if it is full or of another day.
    fn add(&mut self, item: &Item, now: Instant) {
        if let Some(silences) = &mut self.silences {
            silences.take(item.received, item.kind, &item.payload);
        }
        let unix_ns = item.received.recv_unix_ns;
        let day = Day::at_unix_ns(unix_ns);
        // If the clock stepped back over midnight, the new day's file is kept.
        if self.by_day && self.current.as_ref().is_some_and(|it| it.day < day) {
            if !self.collector.is_empty() {
                self.write_block();
            }
            self.close();
        }
        // Tried once per block, which reports failures often enough; scanning the file for each
        // record would take too long.
        if self.current.is_none()
            && self.collector.is_empty()
            && let Err(error) = self.open(unix_ns)
        {
            self.fail(error);
        }
        self.push_gaps();
        if self.collector.push(item).is_err() {
            if !self.collector.is_empty() {
                self.write_block();
                self.push_gaps();
            }
            if let Err(error) = self.collector.push(item) {
                // The record is longer than the limit.
                note_loss(&mut self.losses, item.received, item.kind, GapReason::WriteFailed);
                add(&self.counters.lost, 1);
                self.fail(io::Error::other(error));
                self.push_gaps();
            }
        }
        self.begun.get_or_insert(now);
        if self.collector.body_len() >= self.block_bytes {
            self.write_block();
        }
    }

    /// Opens the file for a record received at this time. The first file of a run gets a gap since
    /// its last record.
    fn open(&mut self, unix_ns: u64) -> io::Result<()> {
        let Opened { current, last_unix_ns } = self.disk.open(Day::at_unix_ns(unix_ns), unix_ns)?;
        self.begin(current);
        let is_first = std::mem::take(&mut self.is_first);
        if let Some(last) = last_unix_ns.filter(|_| is_first) {
            let reason = GapReason::RecorderStopped;
            // The clock may have been set back since.
            let from_unix_ns = last.min(unix_ns);
            let gap = Gap { reason, from_unix_ns, to_unix_ns: unix_ns, frames: None };
            note_gap(&mut self.losses, Source::RECORDER, &gap);
        }
        Ok(())
    }

    /// Adds gaps for the noted losses to the block, after the records before them and before those
    /// that follow.
    fn push_gaps(&mut self) {
        while let Some(loss) = self.losses.first() {
            if self.collector.push(&loss.item()).is_err() {
                // The block is full, so the gaps go into the next one.
                return;
            }
            self.losses.remove(0);
        }
    }

    fn begin(&mut self, current: Current) {
        self.counters.note_file(&current.path);
        self.current = Some(current);
        self.noted = 0;
    }

    /// Writes the block, or notes its frames as lost.
    fn write_block(&mut self) {
        match self.try_write() {
            Ok(()) => {
                self.failed = None;
                self.count(&self.collector);
                self.is_unsynced = true;
                if self.fsync == Fsync::EveryBlock {
                    self.sync();
                }
            }
            Err(error) => {
                let lost = self.collector.note_lost(&mut self.losses);
                add(&self.counters.lost, lost);
                self.fail(error);
            }
        }
        self.collector.clear();
        self.begun = None;
    }

    fn try_write(&mut self) -> io::Result<()> {
        let last = self.collector.last_unix_ns();
        if self.current.is_none() {
            self.open(last)?;
        }
        self.write_notes()?;
        let Some(current) = &mut self.current else { return Ok(()) };
        let (header, body) = self.collector.seal(current.tape_id, current.sequence);
        let more = (header.len() + body.len()) as u64;
        let has_room = |current: &Current| {
            current.sequence == 0 || self.disk.max_bytes.is_none_or(|max| current.len + more <= max)
        };
        if has_room(current) && current.sequence < u32::MAX {
            let appended = current.append(&header, body);
            return self.after_append(appended);
        }
        let unsynced = if self.disk.syncs { current.output.sync().err() } else { None };
        let next = self.disk.open_next(current.day, last)?;
        self.begin(next);
        self.write_notes()?;
        let Some(current) = &mut self.current else { return Ok(()) };
        let (header, body) = self.collector.seal(current.tape_id, current.sequence);
        let appended = current.append(&header, body);
        self.after_append(appended)?;
        if let Some(error) = unsynced {
            self.fail(error);
        }
        Ok(())
    }

    /// Writes notes of the instruments unless the file has them. They are blocks of their own, all
    /// of whose records have one time, so that a reader finds them by the headers of the blocks.
    fn write_notes(&mut self) -> io::Result<()> {
        if self.noted == self.roster.version() {
            return Ok(());
        }
        let (version, notes) = self.roster.notes();
        let recv_unix_ns = self.collector.first_unix_ns();
        let received = Received { recv_unix_ns, source: Source::RECORDER };
        let mut collector = Collector::new(self.compression)?;
        let mut notes = notes.into_iter().peekable();
        while let Some(note) = notes.next() {
            let item = Item { received, kind: RecordKind::Event, payload: note.into() };
            collector.push(&item).map_err(io::Error::other)?;
            if notes.peek().is_some() && collector.body_len() < self.block_bytes {
                continue;
            }
            let Some(current) = &mut self.current else { return Ok(()) };
            let (header, body) = collector.seal(current.tape_id, current.sequence);
            let appended = current.append(&header, body);
            self.after_append(appended)?;
            self.count(&collector);
            collector.clear();
        }
        self.noted = version;
        Ok(())
    }

    /// Counts the bytes of a written block, or closes the file if it could not be written.
    fn after_append(&mut self, appended: io::Result<u64>) -> io::Result<()> {
        match appended {
            Ok(more) => add(&self.counters.bytes_on_disk, more),
            Err(error) => {
                // Earlier blocks must not wait for the next file that can be opened.
                if let Some(mut current) = self.current.take()
                    && self.disk.syncs
                    && current.output.sync().is_ok()
                {
                    self.is_unsynced = false;
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Counts the records of a written block.
    fn count(&self, block: &Collector) {
        let (records, frames) = block.counts();
        add(&self.counters.records, records);
        add(&self.counters.frames, frames);
        add(&self.counters.bytes_raw, block.body_len() as u64);
        add(&self.counters.gaps, block.gaps());
        add(&self.counters.blocks, 1);
    }

    fn sync_if_due(&mut self, now: Instant) {
        if let Fsync::Every(period) = self.fsync
            && self.is_unsynced
            && now.duration_since(self.synced) >= period
        {
            self.sync();
        }
    }

    fn sync(&mut self) {
        self.is_unsynced = false;
        if let Some(current) = &mut self.current
            && let Err(error) = current.output.sync()
        {
            self.fail(error);
        }
        self.synced = Instant::now();
    }

    /// Closes the file.
    fn close(&mut self) {
        if self.fsync != Fsync::Never && self.is_unsynced {
            self.sync();
        }
        self.current = None;
    }

    fn fail(&mut self, error: io::Error) {
        add(&self.counters.failures, 1);
        let directory = self.disk.directory.display();
        let text = format!("cannot write to {directory}: {error}");
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::error!(%error, %directory, "recording failed; the feed continues");
        }
        self.counters.lock().last_error = Some(text);
        self.failed = Some(error);
    }
}
