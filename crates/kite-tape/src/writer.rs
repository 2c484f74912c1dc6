//! The recorder's thread: takes what waits, collects blocks, writes them, and begins files anew.

mod block;
pub(crate) mod disk;

use std::io;
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kite_wire::tape::{Gap, GapReason, Received, Source};

use self::block::Collector;
use self::disk::{Current, Disk, Opened};
use crate::config::{Fsync, RecorderConfig};
use crate::day::Day;
use crate::queue::{Item, Loss, Queue, note_loss};

/// How often the writer comes while frames come.
const NAP: Duration = Duration::from_millis(20);
/// How often it looks whether it missed something.
const SLEEP: Duration = Duration::from_secs(1);
/// Records taken from the queue at once.
const TAKEN: usize = 1_024;
/// Failures are logged so often at most.
const LOG_EVERY: Duration = Duration::from_secs(10);

/// What the writer tells. Each number has this one writer.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) records: AtomicU64,
    pub(crate) frames: AtomicU64,
    pub(crate) blocks: AtomicU64,
    pub(crate) bytes_raw: AtomicU64,
    pub(crate) bytes_on_disk: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) lost: AtomicU64,
    pub(crate) failures: AtomicU64,
    pub(crate) slow: Mutex<Slow>,
}

/// What changes seldom.
#[derive(Debug, Default, Clone)]
pub(crate) struct Slow {
    pub(crate) files: Vec<PathBuf>,
    pub(crate) last_error: Option<String>,
}

impl Told {
    pub(crate) fn slow(&self) -> Slow {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Slow> {
        // Each change to it is one assignment.
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(counter: &AtomicU64, more: u64) {
    counter.fetch_add(more, Relaxed);
}

/// Writes what a queue brings.
pub(crate) struct Writer {
    queue: Arc<Queue>,
    told: Arc<Told>,
    disk: Disk,
    block_bytes: usize,
    block_age: Duration,
    by_day: bool,
    fsync: Fsync,
    collector: Collector,
    /// When the block's first record was taken.
    begun: Option<Instant>,
    current: Option<Current>,
    /// Whether this run has written to no file yet: what is missing from before it is told then.
    is_first: bool,
    /// Frames that could not be written, not told yet.
    losses: Vec<Loss>,
    synced: Instant,
    /// Written since then.
    is_unsynced: bool,
    logged: Option<Instant>,
    failed: Option<io::Error>,
}

impl Writer {
    pub(crate) fn new(
        config: &RecorderConfig,
        disk: Disk,
        queue: Arc<Queue>,
        told: Arc<Told>,
    ) -> io::Result<Self> {
        Ok(Self {
            queue,
            told,
            disk,
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
        })
    }

    /// Works until the queue is closed and empty, and gives the failure because of which the end
    /// could not be written, if there is one.
    pub(crate) fn run(mut self) -> Option<io::Error> {
        let mut taken = Vec::with_capacity(TAKEN);
        loop {
            let closed = self.queue.is_closed();
            let any = self.queue.take(&mut taken, TAKEN);
            let now = Instant::now();
            for item in taken.drain(..) {
                self.add(&item, now);
            }
            if !self.collector.is_empty() && self.age(now) >= self.block_age {
                self.write_block();
            }
            self.sync_if_due(now);
            match (any, closed) {
                (true, _) => {
                    // A full load is followed by the next at once.
                    if !self.queue.is_closed() {
                        self.queue.rest(true, NAP);
                    }
                }
                (false, true) => break,
                (false, false) => {
                    let has_work = !self.collector.is_empty() || self.is_unsynced;
                    self.queue.rest(has_work, if has_work { NAP } else { SLEEP });
                }
            }
        }
        if !self.collector.is_empty() || !self.losses.is_empty() {
            self.write_block();
        }
        self.close();
        self.failed
    }

    fn age(&self, now: Instant) -> Duration {
        self.begun.map_or(Duration::ZERO, |begun| now.duration_since(begun))
    }

    /// Adds a record to the block, after the block before it was written where it is full or of
    /// another day.
    fn add(&mut self, item: &Item, now: Instant) {
        let unix_ns = item.received.recv_unix_ns;
        let day = Day::of_unix_ns(unix_ns);
        // Where the clock stepped back over midnight, the day that has begun goes on.
        if self.by_day && self.current.as_ref().is_some_and(|it| it.day < day) {
            self.write_block();
            self.close();
        }
        // Once a block: where no file can be opened, the next block is the next try.
        if self.current.is_none()
            && self.collector.is_empty()
            && let Err(error) = self.open(unix_ns)
        {
            self.fail(error);
        }
        if self.collector.push(item).is_err() {
            self.write_block();
            if let Err(error) = self.collector.push(item) {
                // Longer than any record may be.
                note_loss(&mut self.losses, item.received, GapReason::WriteFailed);
                add(&self.told.lost, 1);
                self.fail(io::Error::other(error));
                return;
            }
        }
        self.begun.get_or_insert(now);
        if self.collector.body_len() >= self.block_bytes {
            self.write_block();
        }
    }

    /// Opens the file for a record received then. The first file of a run gets a gap since its last
    /// record.
    fn open(&mut self, unix_ns: u64) -> io::Result<()> {
        let Opened { current, last_unix_ns } = self.disk.open(Day::of_unix_ns(unix_ns), unix_ns)?;
        self.begin(current);
        if std::mem::take(&mut self.is_first)
            && let Some(last) = last_unix_ns
        {
            let received = Received { recv_unix_ns: unix_ns, source: Source::RECORDER };
            let reason = GapReason::RecorderStopped;
            let gap = Gap { reason, from_unix_ns: last, to_unix_ns: unix_ns, frames: None };
            if self.collector.push(&Item::gap(received, &gap)).is_err() {
                // The block is full: with the next file then.
                self.is_first = true;
            }
        }
        Ok(())
    }

    fn begin(&mut self, current: Current) {
        self.told.lock().files.push(current.path.clone());
        self.current = Some(current);
    }

    /// Writes the block, or notes its frames as lost.
    fn write_block(&mut self) {
        let losses = std::mem::take(&mut self.losses);
        let mut untold = Vec::new();
        for loss in losses {
            // Behind the frames that were not written, and before those that come.
            if self.collector.push(&loss.item()).is_err() {
                untold.push(loss);
            }
        }
        self.losses = untold;
        match self.try_write() {
            Ok(()) => {
                self.failed = None;
                let (records, frames) = self.collector.counts();
                add(&self.told.records, records);
                add(&self.told.frames, frames);
                add(&self.told.bytes_raw, self.collector.body_len() as u64);
                add(&self.told.gaps, self.collector.gaps());
                add(&self.told.blocks, 1);
                self.is_unsynced = true;
                if self.fsync == Fsync::EveryBlock {
                    self.sync();
                }
            }
            Err(error) => {
                let lost = self.collector.note_lost(&mut self.losses);
                add(&self.told.lost, lost);
                self.fail(error);
            }
        }
        self.collector.clear();
        self.begun = None;
    }

    fn try_write(&mut self) -> io::Result<()> {
        let first = self.collector.first_unix_ns();
        if self.current.is_none() {
            self.open(first)?;
        }
        let Some(current) = &mut self.current else { return Ok(()) };
        let (header, body) = self.collector.seal(current.tape_id, current.sequence);
        let more = (header.len() + body.len()) as u64;
        let is_full = |current: &Current| {
            current.sequence > 0 && self.disk.max_bytes.is_some_and(|max| current.len + more > max)
        };
        let (header, body) = if is_full(current) || current.sequence == u32::MAX {
            if self.disk.syncs {
                current.output.sync()?;
            }
            let next = self.disk.open_next(current.day, first)?;
            self.told.lock().files.push(next.path.clone());
            *current = next;
            self.collector.seal(current.tape_id, current.sequence)
        } else {
            (header, body)
        };
        let appended = current.output.append(&header).and_then(|()| current.output.append(body));
        if let Err(error) = appended {
            // What got there is taken back; if not even that works, the file is repaired when it
            // is opened again.
            let _ = current.output.cut(current.len);
            self.current = None;
            return Err(error);
        }
        current.len += more;
        current.sequence += 1;
        add(&self.told.bytes_on_disk, more);
        Ok(())
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

    /// Ends the file.
    fn close(&mut self) {
        if self.fsync != Fsync::Never && self.is_unsynced {
            self.sync();
        }
        self.current = None;
    }

    fn fail(&mut self, error: io::Error) {
        add(&self.told.failures, 1);
        let directory = self.disk.directory.display();
        let text = format!("cannot write to {directory}: {error}");
        if self.logged.is_none_or(|logged| logged.elapsed() >= LOG_EVERY) {
            self.logged = Some(Instant::now());
            tracing::error!(%error, %directory, "recording failed, the feed goes on");
        }
        self.told.lock().last_error = Some(text);
        self.failed = Some(error);
    }
}
