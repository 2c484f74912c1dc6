//! Bounded lanes: from a connection to one consumer on a task of its own.
//!
//! What happens where the consumer is slower than the market is chosen ([`Overflow`]), counted and
//! told in the lane itself. Nothing here locks: a queue, a place for one table, two wakers.

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
    /// Loses nothing: the socket is not read until there is room, and TCP holds the server back.
    /// What waits there ages before [`Batch::received`], which is taken as the socket is read. A full
    /// lane is read into again once half of it has been taken.
    #[default]
    Block,
    /// Loses the oldest frames, and says so ([`LaneItem::Dropped`]). Wants larger bounds than
    /// [`LaneConfig::default`]: [`LaneConfig::drop_oldest`].
    DropOldest,
    /// Keeps the newest packet of each instrument: the consumer gets one frame made of them
    /// ([`LaneItem::Conflated`]) instead of all that waited. The last packet of every instrument
    /// always arrives, up to 65,535 instruments; while the consumer keeps up, frames pass as they
    /// came. Folding a packet in costs the connection's task some tens of nanoseconds. Wants larger
    /// bounds than [`LaneConfig::default`]: [`LaneConfig::conflate`].
    Conflate,
}

/// Bounds of a lane. All have defaults: change the fields that matter.
///
/// Lanes are best kept short. A frame that waits keeps the memory that it was read into from
/// being used again, and that is what a deep queue costs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaneConfig {
    /// How many frames may wait, 1 to 1,048,576. Default 64.
    pub frames: usize,
    /// How many bytes of frames may wait. Default 128 KiB, which stays in the processor's caches:
    /// what waits in TCP instead is lost to nobody. Where frames are lost instead, take more:
    /// [`LaneConfig::drop_oldest`], [`LaneConfig::conflate`]. Frames lie side by side in blocks of
    /// 128 KiB: what waits keeps a hold of the blocks it lies in, little more than its bytes.
    ///
    /// A larger frame passes when nothing else waits. With [`Overflow::Block`] the frame that
    /// exceeds the bound is still taken: it has been read already. A table of conflated packets is
    /// not counted against the bound: it holds one packet an instrument, 558 kB for 3,000
    /// instruments in full mode (12 MB for the 65,535 that it takes at most), and twice that for a
    /// moment when it is taken.
    pub bytes: usize,
    /// What happens where neither is enough. Default [`Overflow::Block`].
    pub overflow: Overflow,
}

impl Default for LaneConfig {
    fn default() -> Self {
        Self { frames: 64, bytes: 128 * 1024, overflow: Overflow::default() }
    }
}

impl LaneConfig {
    /// Bounds for [`Overflow::DropOldest`]: 1,024 frames and 1 MiB, so that a consumer which stops
    /// for a moment loses nothing.
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
    /// [`ConfigError`] names the first setting outside of its range.
    pub fn validate(&self) -> Result<(), ConfigError> {
        check_range("frames", self.frames, 1..=MAX_QUEUE, "from 1 to 1048576")?;
        check_range("bytes", self.bytes, 1..=usize::MAX, "above 0")
    }
}

/// What a lane delivers.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LaneItem {
    /// A frame as it came, in the socket's own memory. Heartbeats are left out, so that
    /// [`Batch::sequence`] has gaps where they were.
    Batch(Batch),
    /// All frames that waited, folded into one: the newest packet of each instrument, with the
    /// stamp, epoch and sequence of the newest frame.
    Conflated {
        /// The frame made of them.
        batch: Batch,
        /// How many packets were replaced by newer ones of their instruments, and are not in it.
        replaced: u64,
    },
    /// Here frames are missing: they were dropped between the item before and the next one.
    Dropped {
        /// How many frames. None, where a table of conflated packets had no room for further
        /// instruments.
        frames: u64,
        /// How many ticks.
        ticks: u64,
    },
}

/// A reading of a lane's counts, since it was made.
///
/// Once all was taken, the ticks given to the lane are those delivered, dropped and conflated, and
/// the items that the consumer got say the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LaneStats {
    /// Frames that wait; a table of conflated packets counts as one.
    pub queued_frames: u64,
    /// Their bytes.
    pub queued_bytes: u64,
    /// The bytes at which the lane is full. A frame that exceeds them may be on top with
    /// [`Overflow::Block`], a table of conflated packets with [`Overflow::Conflate`].
    pub bytes_limit: u64,
    /// Frames delivered; conflated ones count as one.
    pub delivered_frames: u64,
    /// Ticks in them.
    pub delivered_ticks: u64,
    /// Frames dropped, and told by [`LaneItem::Dropped`].
    pub dropped_frames: u64,
    /// Ticks dropped, and told by [`LaneItem::Dropped`].
    pub dropped_ticks: u64,
    /// Ticks replaced by newer ones, and told by [`LaneItem::Conflated`].
    pub conflated_ticks: u64,
}

/// Why there is no item at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// Nothing waits.
    #[error("the lane is empty, wait for the next frame")]
    Empty,
    /// The sink is gone and all was taken.
    #[error("the lane has ended, its connection is gone")]
    Ended,
}

/// Makes a lane: a sink for a connection, and the end from which its frames are taken.
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
/// [`ConfigError`] for a bound outside of its range.
pub fn lane(config: LaneConfig) -> Result<(LaneSink, Lane), ConfigError> {
    config.validate()?;
    let shared = Arc::new(LaneState::new(&config));
    let lane = Lane { shared: Arc::clone(&shared), frames_seen: 0, ticks_seen: 0, held: None };
    Ok((LaneSink::new(shared), lane))
}

/// The consuming end of a lane, a stream; made by [`lane`].
///
/// Lag never ends it. It ends when its sink is dropped, as a connection does when it ends, and all
/// that waited was taken.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<LaneState>,
    /// Up to where the frames queued, and the ticks in them, are accounted for.
    frames_seen: u64,
    ticks_seen: u64,
    /// The item before which a drop had to be told.
    held: Option<LaneItem>,
}

impl Lane {
    /// Takes the next item, once there is one; `None` once the lane has ended.
    ///
    /// # Cancel safety
    /// Cancel safe: an item is taken when the future completes, or not at all.
    pub async fn recv(&mut self) -> Option<LaneItem> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Takes the next item, if there is one now.
    ///
    /// # Errors
    /// [`TryRecvError`] tells a lane that is empty from one that has ended.
    pub fn try_recv(&mut self) -> Result<LaneItem, TryRecvError> {
        // First: what was given before the sink went must be found.
        let ended = self.shared.sink_gone.load(Ordering::Acquire);
        self.take().ok_or(if ended { TryRecvError::Ended } else { TryRecvError::Empty })
    }

    /// Takes the next item; `None` once the lane has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<LaneItem>> {
        // A lane that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        let mut received = self.try_recv();
        if matches!(received, Err(TryRecvError::Empty)) {
            self.shared.consumer.register(cx.waker());
            // What was given before the waker stood there has woken nobody.
            received = self.try_recv();
        }
        if matches!(received, Err(TryRecvError::Empty)) {
            return Poll::Pending;
        }
        coop.made_progress();
        Poll::Ready(received.ok())
    }

    /// Reads the counts of the lane.
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

    /// Folds what was queued before the table was begun, which is older, under the table. What the
    /// sink has queued since the table was taken is newer and stays.
    fn take_table(&mut self, Pending { mut table, frames_before }: Pending) -> LaneItem {
        let counted = table.sums();
        let mut bytes = counted.bytes;
        let mut older: Option<Table> = None;
        while self.frames_seen < frames_before {
            // Only this end takes from the queue of a conflating lane: it is all there.
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
                // In one order with the sink's look and its wish to be woken: one sees the other.
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
