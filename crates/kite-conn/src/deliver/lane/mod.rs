//! Bounded lanes, each from a connection to one consumer on its own task.
//!
//! What happens if the consumer is slower than the market is configured ([`Overflow`]), counted,
//! and reported in the lane itself. Nothing here locks; a lane is a queue, a slot for one table,
//! and two wakers.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::coop;

pub use self::sink::LaneSink;
use self::state::{Entry, LaneState, Pending};
use self::table::Table;
use super::batch::Batch;
use crate::error::ConfigError;
use crate::error::{MAX_QUEUE, check_range};

mod sink;
mod state;
mod table;
#[cfg(test)]
mod tests;

/// What a lane does when its consumer lags.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// Loses nothing. The socket is not read until there is room, so TCP holds the server back.
    /// Data that waits in TCP ages before [`Batch::received`], which is the time of the read. Once
    /// a lane is full, reading resumes when half of it has been consumed.
    #[default]
    Block,
    /// Drops the oldest frames, and reports it ([`LaneItem::Dropped`]). Needs larger bounds than
    /// [`LaneConfig::default`]: see [`LaneConfig::drop_oldest`].
    DropOldest,
    /// Keeps the newest packet of each instrument. The consumer receives one frame made of them
    /// ([`LaneItem::Conflated`]) instead of all that waited. The last packet of every instrument
    /// always arrives, up to 65,535 instruments; while the consumer keeps up, frames pass
    /// unchanged. Folding a packet in costs the connection's task some tens of nanoseconds. Needs
    /// larger bounds than [`LaneConfig::default`]: see [`LaneConfig::conflate`].
    Conflate,
}

/// Bounds of a lane. All have defaults: change the fields that matter.
///
/// Lanes are best kept short. The memory of a waiting frame cannot be reused, which is the cost of
/// a deep queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneConfig {
    /// Maximum number of queued frames, from 1 to 1,048,576. Default 64.
    pub frames: usize,
    /// Maximum number of bytes of queued frames. Default 128 KiB, which stays in the processor's
    /// caches: with [`Overflow::Block`] the rest waits in TCP and nothing is lost. For the other
    /// policies use more: [`LaneConfig::drop_oldest`], [`LaneConfig::conflate`]. Frames are
    /// adjacent in blocks of 128 KiB, so waiting frames retain little more than their own bytes.
    ///
    /// A larger frame passes if nothing else waits. With [`Overflow::Block`] the frame that exceeds
    /// the bound is still accepted, since it has already been read. A table of conflated packets is
    /// not counted against the bound; it holds one packet per instrument, 558 kB for 3,000
    /// instruments in full mode (12 MB for its maximum of 65,535), and briefly twice that while it
    /// is consumed.
    pub bytes: usize,
    /// What happens when a bound is reached. Default [`Overflow::Block`].
    pub overflow: Overflow,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self { frames: 64, bytes: 128 * 1024, overflow: Overflow::default() }
    }
}

impl LaneConfig {
    /// Bounds for [`Overflow::DropOldest`]: 1,024 frames and 1 MiB, so that a consumer that stops
    /// briefly loses nothing.
    #[must_use]
    pub fn drop_oldest() -> Self {
        Self { frames: 1_024, bytes: 1024 * 1024, overflow: Overflow::DropOldest }
    }

    /// Bounds for [`Overflow::Conflate`]: 1,024 frames and 1 MiB, beyond which the newest packet of
    /// each instrument is kept.
    #[must_use]
    pub fn conflate() -> Self {
        Self { overflow: Overflow::Conflate, ..Self::drop_oldest() }
    }

    /// Checks every setting; [`lane`] does so too.
    ///
    /// # Errors
    /// Returns a [`ConfigError`] that names the first setting outside its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_range("frames", self.frames, 1..=MAX_QUEUE, "from 1 to 1,048,576")?;
        check_range("bytes", self.bytes, 1..=usize::MAX, "above 0")
    }
}

/// What a lane delivers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LaneItem {
    /// A frame as received, sharing the socket's read buffer. Heartbeats are left out, so
    /// [`Batch::sequence`] skips their numbers.
    Batch(Batch),
    /// All frames that waited, folded into one: the newest packet of each instrument, with the
    /// stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The frame made of them.
        batch: Batch,
        /// Number of packets that are not in it because newer ones of the same instrument replaced
        /// them.
        replaced: u64,
    },
    /// Frames are missing here, because they were dropped between the previous item and the next
    /// one.
    Dropped {
        /// Number of frames dropped; 0 if a table of conflated packets had no room for more
        /// instruments.
        frames: u64,
        /// Number of ticks dropped.
        ticks: u64,
    },
}

/// Counts of a lane since its creation.
///
/// Once everything was consumed, the ticks put into the lane equal the sum of those delivered,
/// dropped and conflated, which also equals the sum of the items received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LaneStats {
    /// Frames waiting; a table of conflated packets counts as one.
    pub queued_frames: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// The bytes at which the lane is full. With [`Overflow::Block`] one frame, with
    /// [`Overflow::Conflate`] a table of conflated packets may exceed them.
    pub bytes_limit: u64,
    /// Frames delivered; conflated ones count as one.
    pub delivered_frames: u64,
    /// Ticks in them.
    pub delivered_ticks: u64,
    /// Frames dropped, reported by [`LaneItem::Dropped`].
    pub dropped_frames: u64,
    /// Ticks dropped, reported by [`LaneItem::Dropped`].
    pub dropped_ticks: u64,
    /// Ticks replaced by newer ones, reported by [`LaneItem::Conflated`].
    pub conflated_ticks: u64,
}

/// Why no item is available.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing is queued now.
    #[error("nothing is queued")]
    Empty,
    /// Everything was consumed, and nothing more will come.
    #[error("the stream has ended")]
    Ended,
}

/// Creates a lane: a sink for a connection, and the consuming end.
///
/// ```no_run
/// use kite_conn::{Connection, ConnectionConfig, Credentials, EventLane};
/// use kite_conn::{LaneConfig, LaneItem, lane};
/// use kite_wire::Mode;
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (sink, mut lane) = lane(LaneConfig::conflate())?;
/// let credentials = Credentials::new("api_key", "access_token");
/// let events = EventLane::default();
/// let connection =
///     Connection::spawn(ConnectionConfig::default(), credentials, sink, &events, 1)?;
/// connection.subscribe(&[256_265, 408_065], Mode::Quote)?;
/// while let Some(item) = lane.recv().await {
///     match item {
///         LaneItem::Batch(batch) | LaneItem::Conflated { batch, .. } => {
///             for packet in batch.ticks.packets() {
///                 println!("{} {}", packet.instrument_token(), packet.last_price());
///             }
///         }
///         LaneItem::Dropped { ticks, .. } => println!("{ticks} ticks are missing here"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Returns a [`ConfigError`] for a bound outside its range.
pub fn lane(config: LaneConfig) -> Result<(LaneSink, Lane), ConfigError> {
    config.validate()?;
    let shared = Arc::new(LaneState::new(&config));
    let lane = Lane { shared: Arc::clone(&shared), frames_seen: 0, ticks_seen: 0, held: None };
    Ok((LaneSink::new(shared), lane))
}

/// The consuming end of a lane, a stream; created by [`lane`].
///
/// Lag never ends it. It ends when everything was consumed after its sink was dropped, which a
/// connection does when it ends.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<LaneState>,
    /// Number of queued frames, and of their ticks, that are accounted for.
    frames_seen: u64,
    ticks_seen: u64,
    /// The item to return after a drop was reported.
    held: Option<LaneItem>,
}

impl Lane {
    /// Waits for the next item; `None` once the lane has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: no item is lost if the future is dropped.
    pub async fn recv(&mut self) -> Option<LaneItem> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Returns the next item, if one is available.
    ///
    /// # Errors
    /// Returns [`TryRecvError::Empty`] if nothing waits, and [`TryRecvError::Ended`] if the lane
    /// has ended.
    pub fn try_recv(&mut self) -> Result<LaneItem, TryRecvError> {
        // Loaded first, so that items added before the sink was dropped are found.
        let ended = self.shared.sink_gone.load(Ordering::Acquire);
        self.take().ok_or(if ended { TryRecvError::Ended } else { TryRecvError::Empty })
    }

    /// Polls for the next item; `None` once the lane has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<LaneItem>> {
        // A lane that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        let mut received = self.try_recv();
        if matches!(received, Err(TryRecvError::Empty)) {
            self.shared.consumer.register(cx.waker());
            // An item added before the waker was registered woke no task.
            received = self.try_recv();
        }
        if matches!(received, Err(TryRecvError::Empty)) {
            return Poll::Pending;
        }
        coop.made_progress();
        Poll::Ready(received.ok())
    }

    /// Returns the lane's counts.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        self.shared.stats()
    }

    fn take(&mut self) -> Option<LaneItem> {
        if let Some(held) = self.held.take() {
            return Some(self.give(held));
        }
        if self.shared.overflow == Overflow::Conflate
            && let Some(pending) = self.shared.table.pop()
        {
            return Some(self.take_table(*pending));
        }
        let Entry { batch, frames_before, ticks_before } = self.shared.queue.pop()?;
        let frames = frames_before - self.frames_seen;
        let ticks = ticks_before - self.ticks_seen;
        self.frames_seen = frames_before + 1;
        self.ticks_seen = ticks_before + batch.ticks.len() as u64;
        let item = LaneItem::Batch(batch);
        if frames == 0 {
            return Some(self.give(item));
        }
        self.held = Some(item);
        Some(LaneItem::Dropped { frames, ticks })
    }

    /// Folds the frames queued before the table was started, which are older, into the table.
    /// Frames queued since the table was taken are newer and stay.
    fn take_table(&mut self, Pending { mut table, frames_before }: Pending) -> LaneItem {
        let counted = table.sums();
        let mut bytes = counted.bytes;
        let mut older: Option<Table> = None;
        while self.frames_seen < frames_before {
            // Only this end removes from the queue of a conflating lane, so none is missing.
            let Some(Entry { batch, frames_before, ticks_before }) = self.shared.queue.pop() else {
                break;
            };
            self.frames_seen = frames_before + 1;
            self.ticks_seen = ticks_before + batch.ticks.len() as u64;
            bytes += batch.frame().len();
            match &mut older {
                Some(older) => older.fold(&batch),
                None => older = Some(Table::new(&batch)),
            }
        }
        if let Some(mut older) = older {
            older.fold_table(&table);
            table = older;
        }
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
        let (sums, taken) = (table.sums(), &self.shared.taken);
        taken.frames.set(self.frames_seen);
        taken.replaced.add(sums.replaced - counted.replaced);
        taken.dropped_ticks.add(sums.lost - counted.lost);
        let item = LaneItem::Conflated { batch: table.to_batch(), replaced: sums.replaced };
        if sums.lost == 0 {
            return self.give(item);
        }
        self.held = Some(item);
        LaneItem::Dropped { frames: 0, ticks: sums.lost }
    }

    /// Counts an item that leaves the lane.
    fn give(&mut self, item: LaneItem) -> LaneItem {
        let batch = match &item {
            LaneItem::Batch(batch) => {
                // Sequentially consistent with the sink, which sets its flag and then checks for
                // room: at least one side sees the other's store.
                self.shared.queued_bytes.fetch_sub(batch.frame().len(), Ordering::SeqCst);
                self.shared.taken.frames.add(1);
                batch
            }
            LaneItem::Conflated { batch, .. } => batch,
            LaneItem::Dropped { .. } => return item,
        };
        self.shared.taken.delivered_frames.add(1);
        self.shared.taken.delivered_ticks.add(batch.ticks.len() as u64);
        self.shared.wake_producer();
        item
    }
}

impl Stream for Lane {
    type Item = LaneItem;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<LaneItem>> {
        self.poll_recv(cx)
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        self.shared.lane_gone.store(true, Ordering::Release);
        self.shared.clear();
        self.shared.producer.wake();
    }
}
