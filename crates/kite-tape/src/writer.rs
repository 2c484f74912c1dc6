//! The recorder's thread, which takes records from the queue, collects blocks, writes them and
//! rotates files.

pub(crate) mod block;
pub(crate) mod disk;
pub(crate) mod hold;
mod presence;
mod tally;
#[cfg(test)]
mod tests;
mod written;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use kite_wire::ist::Day;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
use parking_lot::{Mutex, MutexGuard};

use self::block::Collector;
use self::disk::{Current, Disk, Opened, into_io};
use self::presence::Change;
use self::tally::{Counts, Tally};
use self::written::Written;
use crate::background::Background;
use crate::config::{Compression, Fsync, RecorderConfig};
use crate::error::RecordError;
use crate::queue::{Item, Loss, Queue, is_frame, note_gap, note_loss};
use crate::roster::Roster;
use crate::silence::{SilenceDetector, Silences};

/// Interval at which the writer polls while frames arrive.
const POLL_EVERY: Duration = Duration::from_millis(20);
/// Interval at which the file and the lock are compared with their paths, and at which a sleeping
/// writer checks for a missed wake-up.
const CHECK_EVERY: Duration = Duration::from_secs(1);
/// Maximum number of records taken from the queue in one step.
const TAKEN: usize = 1_024;
/// Minimum time between two logged failures.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// Counters of the writer. Locked for a moment, once per block and by readers.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    totals: Mutex<Totals>,
    /// Set at the end of the recording.
    pub(crate) silences: Mutex<Silences>,
}

/// What was written and what was not.
#[derive(Debug, Default, Clone)]
pub(crate) struct Totals {
    /// The records on the tapes.
    pub(crate) counts: Counts,
    pub(crate) blocks: u64,
    pub(crate) bytes_on_disk: u64,
    pub(crate) lost: u64,
    pub(crate) failures: u64,
    pub(crate) files_lost: u64,
    pub(crate) is_failing: bool,
    pub(crate) last_error: Option<String>,
    pub(crate) files: Vec<PathBuf>,
}

impl Counters {
    pub(crate) fn totals(&self) -> Totals {
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

    fn lock(&self) -> MutexGuard<'_, Totals> {
        self.totals.lock()
    }
}

/// Counts the records of a written block.
fn count(current: &mut Option<Current>, counters: &Counters, tally: &Tally) {
    if let Some(current) = current {
        current.written.tally.add(tally);
    }
    let mut totals = counters.lock();
    totals.counts.add(&tally.counts);
    totals.blocks += 1;
    totals.is_failing = false;
}

/// Writes the records from a queue.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    counters: Arc<Counters>,
    roster: Arc<Roster>,
    /// The version of the roster whose notes are in the current file; 0 if there are none.
    noted: u64,
    /// Whether only gaps are left to write, for which there may be little space.
    has_only_gaps: bool,
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
    /// The account of the file that failed last, in case it is continued.
    failed_file: Option<Written>,
    /// When the file and the lock were last compared with their paths.
    checked: Instant,
    /// When the next day's file could not be opened.
    day_failed: Option<Instant>,
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
    /// Packs the files before the current one, if that is desired.
    background: Option<Background>,
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
            has_only_gaps: false,
            disk,
            compression: config.compression,
            block_bytes: config.block_bytes,
            block_age: config.block_age,
            by_day: config.rotation.by_day,
            fsync: config.fsync,
            collector: Collector::new(config.compression)?,
            begun: None,
            current: None,
            failed_file: None,
            checked: Instant::now(),
            day_failed: None,
            is_first: true,
            losses: Vec::new(),
            synced: Instant::now(),
            is_unsynced: false,
            logged: None,
            failed: None,
            silences: config.quiet_after.map(SilenceDetector::new),
            background: config.pack.then(Background::start).transpose()?,
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
            self.check_if_due(now);
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
        self.check();
        self.write_rest();
        self.sync_end();
        self.disk.hold.free_reserve();
        if let Some(silences) = self.silences.take() {
            *self.counters.silences.lock() = silences.finish();
        }
        self.failed
    }

    /// Writes the remaining records, and the gaps for losses that occur while doing so, if needed
    /// into the space kept in reserve.
    fn write_rest(&mut self) {
        loop {
            self.push_gaps();
            if self.collector.is_empty() {
                return;
            }
            self.write_block();
            if self.failed.is_some() {
                if std::mem::replace(&mut self.has_only_gaps, true) {
                    return;
                }
                self.disk.hold.free_reserve();
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
            self.change_day(unix_ns, now);
        }
        // Tried once per block, which reports failures often enough; scanning the file for each
        // record would take too long.
        if self.current.is_none()
            && self.collector.is_empty()
            && let Err(error) = self.open(unix_ns)
        {
            self.fail_to_write(error);
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
                self.counters.lock().lost += u64::from(is_frame(item.kind));
                self.fail(io::Error::other(error));
                self.push_gaps();
            }
        }
        self.begun.get_or_insert(now);
        if self.collector.body_len() >= self.block_bytes {
            self.write_block();
        }
    }

    /// Opens the file of the next day. If that fails, the file of the day before takes its records
    /// until it succeeds.
    fn change_day(&mut self, unix_ns: u64, now: Instant) {
        if self.day_failed.is_some_and(|failed| now.duration_since(failed) < CHECK_EVERY) {
            return;
        }
        if !self.collector.is_empty() {
            self.write_block();
        }
        self.sync_end();
        self.day_failed = self.open(unix_ns).err().map(|error| {
            self.fail(error);
            now
        });
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

    fn begin(&mut self, mut current: Current) {
        self.counters.note_file(&current.path);
        if let Some(background) = &self.background {
            background.begun(&current.path);
        }
        if let Some(written) = self.failed_file.take()
            && written.tape_id == current.written.tape_id
        {
            current.written = written;
        }
        self.current = Some(current);
        self.noted = 0;
    }

    /// Writes the block, or notes its frames as lost.
    fn write_block(&mut self) {
        self.check();
        self.write_checked();
    }

    fn write_checked(&mut self) {
        match self.try_write() {
            Ok(()) => {
                self.failed = None;
                count(&mut self.current, &self.counters, self.collector.tally());
                self.is_unsynced = true;
                if self.fsync == Fsync::EveryBlock {
                    self.sync();
                }
            }
            Err(error) => {
                let lost = self.collector.tally().lose(&mut self.losses);
                self.counters.lock().lost += lost;
                self.fail_to_write(error);
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
        self.append_within_limits(last).inspect_err(|_| self.let_go())
    }

    fn append_within_limits(&mut self, last_unix_ns: u64) -> io::Result<()> {
        let sequence = self.current.as_ref().map_or(0, |it| it.sequence);
        let max_bytes = match sequence {
            0 => None,
            u32::MAX => Some(0),
            _ => self.disk.max_bytes,
        };
        match self.write_notes().and_then(|()| self.append(max_bytes)) {
            Ok(true) => return Ok(()),
            Ok(false) => {
                if let Err(error) = self.begin_next(last_unix_ns) {
                    // A file above the limit loses nothing.
                    self.fail(error);
                }
            }
            // The file system's own limit, such as 4 GiB on FAT32, or that of the process.
            Err(error) if sequence > 0 && error.kind() == io::ErrorKind::FileTooLarge => {
                self.begin_next(last_unix_ns)?;
            }
            Err(error) => return Err(error),
        }
        self.write_notes()?;
        self.append(None).map(drop)
    }

    /// Writes notes of the instruments unless the file has them. They are blocks of their own, all
    /// of whose records have one time, so that a reader finds them by the headers of the blocks.
    fn write_notes(&mut self) -> io::Result<()> {
        if self.noted == self.roster.version() || self.has_only_gaps {
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
            let (header, body) = collector.seal(current.written.tape_id, current.sequence);
            self.counters.lock().bytes_on_disk += current.append(&header, body)?;
            count(&mut self.current, &self.counters, &collector.tally().without_losses());
            collector.clear();
        }
        self.noted = version;
        Ok(())
    }

    /// Begins the next file of the same day.
    fn begin_next(&mut self, unix_ns: u64) -> io::Result<()> {
        let Some(current) = &mut self.current else { return Ok(()) };
        let unsynced = if self.disk.syncs { current.output.sync().err() } else { None };
        let next = self.disk.open_next(current.day, unix_ns)?;
        self.begin(next);
        if let Some(error) = unsynced {
            self.fail(error);
        }
        Ok(())
    }

    /// Appends the block. Returns whether the file has room for it, if it may have a limit.
    fn append(&mut self, max_bytes: Option<u64>) -> io::Result<bool> {
        let Some(current) = &mut self.current else { return Ok(true) };
        let (header, body) = self.collector.seal(current.written.tape_id, current.sequence);
        let len = current.len + (header.len() + body.len()) as u64;
        if max_bytes.is_some_and(|max| len > max) {
            return Ok(false);
        }
        let more = current.append(&header, body)?;
        self.counters.lock().bytes_on_disk += more;
        Ok(true)
    }

    /// Closes a file that could not be written, to open it again for the next block.
    fn let_go(&mut self) {
        let Some(mut current) = self.current.take() else { return };
        // Earlier blocks must not wait for the next file that can be opened.
        if self.disk.syncs && current.output.sync().is_ok() {
            self.is_unsynced = false;
        }
        self.failed_file = Some(current.written);
    }

    fn check_if_due(&mut self, now: Instant) {
        if now.duration_since(self.checked) >= CHECK_EVERY {
            self.check();
            self.disk.hold.keep_reserve();
            // Gaps are written even if no record follows.
            if !self.losses.is_empty() && self.collector.is_empty() {
                self.push_gaps();
                self.begun = Some(now);
            }
        }
    }

    /// Compares the file and the lock with their paths.
    fn check(&mut self) {
        self.checked = Instant::now();
        if let Some(change) = self.current.as_ref().and_then(Current::change) {
            self.lose_file(change);
        }
        // Other failures concern only the next file, and are reported when it is opened.
        if let Err(error @ RecordError::Locked { .. }) = self.disk.hold()
            && self.current.is_some()
        {
            self.sync_end();
            self.current = None;
            self.fail_to_write(into_io(error));
        }
    }

    /// Notes what a file held as lost, and begins the next one.
    fn lose_file(&mut self, change: Change) {
        let Some(current) = self.current.take() else { return };
        let missing = current.written.missing(&current.path);
        let lost = missing.tally.lose(&mut self.losses);
        if let Some(loss) = missing.earlier {
            note_gap(&mut self.losses, loss.source, &loss.gap());
        }
        {
            let mut totals = self.counters.lock();
            totals.counts.subtract(&missing.tally.counts);
            totals.bytes_on_disk = totals.bytes_on_disk.saturating_sub(missing.bytes);
            totals.lost += lost;
            totals.files_lost += 1;
        }
        let frames = if lost == 1 { "frame" } else { "frames" };
        let path = current.path.display();
        self.report(format!("{path} {change} while it was recorded: {lost} {frames} lost"));
        let latest = current.written.tally.latest_unix_ns();
        match self.disk.open_next(current.day, latest) {
            Ok(next) => {
                self.begin(next);
                self.write_gaps_first();
            }
            Err(error) => self.fail_to_write(error),
        }
    }

    /// Writes the gaps in a block of their own, before the records that are already collected.
    fn write_gaps_first(&mut self) {
        let Ok(collector) = Collector::new(self.compression) else { return };
        let (begun, held) = (self.begun, std::mem::replace(&mut self.collector, collector));
        self.push_gaps();
        if !self.collector.is_empty() {
            self.write_checked();
        }
        (self.begun, self.collector) = (begun, held);
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

    /// Syncs the end of a file.
    fn sync_end(&mut self) {
        if self.fsync != Fsync::Never && self.is_unsynced {
            self.sync();
        }
    }

    /// Reports a failure because of which the next block has no file.
    fn fail_to_write(&mut self, error: io::Error) {
        self.counters.lock().is_failing = true;
        self.fail(error);
    }

    fn fail(&mut self, error: io::Error) {
        self.report(format!("cannot write to {}: {error}", self.disk.directory.display()));
        self.failed = Some(error);
    }

    fn report(&mut self, text: String) {
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::error!(error = %text, "recording failed; the feed continues");
        }
        let mut totals = self.counters.lock();
        totals.failures += 1;
        totals.last_error = Some(text);
    }
}
