//! State shared by the two ends of a lane, namely two queues, a slot for a table, two wakers, and
//! counts.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crossbeam_queue::ArrayQueue;
use futures_util::task::AtomicWaker;

use super::notice::{Notices, OfTable};
use super::table::Table;
use super::{LaneConfig, LaneStats, Overflow};
use crate::deliver::Batch;
use crate::observe::Count;

/// State of both ends of a lane.
#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) queue: ArrayQueue<Entry>,
    /// The table of a conflating lane, unless an end has taken it out. While there is one, nothing
    /// is added to the queue, so the queue's frames are older.
    pub(super) table: ArrayQueue<Box<Pending>>,
    pub(super) notices: Notices,
    pub(super) overflow: Overflow,
    pub(super) bytes_limit: usize,
    pub(super) queued_bytes: AtomicUsize,
    pub(super) producer: AtomicWaker,
    /// Whether the sink waits for room.
    pub(super) producer_waits: AtomicBool,
    pub(super) consumer: AtomicWaker,
    pub(super) sink_gone: AtomicBool,
    pub(super) lane_gone: AtomicBool,
    pub(super) given: GivenCounts,
    pub(super) taken: TakenCounts,
}

/// A frame in the queue, with the number of frames and ticks queued before it, from which the
/// consumer computes what was dropped, and where.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) batch: Batch,
    pub(super) frames_before: u64,
    pub(super) ticks_before: u64,
}

/// A table, with the number of frames and notices given before it was started.
#[derive(Debug)]
pub(super) struct Pending {
    pub(super) table: Table,
    pub(super) frames_before: u64,
    pub(super) notices_before: u64,
    pub(super) notices: OfTable,
}

/// Written by the sink. Aligned, so that it shares no cache line with the consumer's counts.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct GivenCounts {
    pub(super) queued_frames: Count,
    pub(super) dropped_frames: Count,
    pub(super) dropped_ticks: Count,
    pub(super) replaced: Count,
    /// Ticks of all frames up to the last one that was lost before the sink, or discarded at the end
    /// because the connection closed without waiting for room; 0 if none was.
    pub(super) ticks_at_end: Count,
}

/// Written by the consumer.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct TakenCounts {
    /// Frames removed from the queue and not held.
    pub(super) frames: Count,
    pub(super) delivered_frames: Count,
    pub(super) delivered_ticks: Count,
    pub(super) dropped_ticks: Count,
    pub(super) replaced: Count,
}

impl LaneState {
    pub(super) fn new(config: &LaneConfig) -> Self {
        Self {
            queue: ArrayQueue::new(config.frames),
            table: ArrayQueue::new(1),
            notices: Notices::default(),
            overflow: config.overflow,
            bytes_limit: config.bytes,
            queued_bytes: AtomicUsize::new(0),
            producer: AtomicWaker::new(),
            producer_waits: AtomicBool::new(false),
            consumer: AtomicWaker::new(),
            sink_gone: AtomicBool::new(false),
            lane_gone: AtomicBool::new(false),
            given: GivenCounts::default(),
            taken: TakenCounts::default(),
        }
    }

    /// Returns whether a frame of `bytes` fits into the queue. When called by the sink, a true
    /// result stays true until it adds a frame.
    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        let queued = self.queued_bytes.load(Ordering::SeqCst);
        let fits = match self.overflow {
            Overflow::Block => queued < self.bytes_limit,
            _ => queued.saturating_add(bytes) <= self.bytes_limit,
        };
        (fits && !self.queue.is_full()) || self.queue.is_empty()
    }

    /// Returns whether a lane that blocks accepts no frame. A frame that the consumer has removed
    /// from the queue but not returned still counts. When called by the sink, a false result stays
    /// false until it adds a frame.
    pub(super) fn is_full(&self) -> bool {
        let queued = self.queued_bytes.load(Ordering::SeqCst);
        // Loaded second: the consumer counts a frame before it subtracts its bytes.
        let frames = self.waiting_frames();
        frames > 0 && (frames >= self.queue.capacity() as u64 || queued >= self.bytes_limit)
    }

    /// Returns the number of frames that wait for the consumer, without a table.
    fn waiting_frames(&self) -> u64 {
        // Parts before their totals: read later, they could exceed them.
        let gone = self.taken.frames.get() + self.given.dropped_frames.get();
        self.given.queued_frames.get().saturating_sub(gone)
    }

    /// Wakes a waiting sink once half of the room is free: waking it for every frame would make it
    /// alternate with the consumer.
    #[inline]
    pub(super) fn wake_producer(&self) {
        if self.producer_waits.load(Ordering::SeqCst) {
            self.wake_waiting_producer();
        }
    }

    #[inline(never)]
    fn wake_waiting_producer(&self) {
        let bytes = self.queued_bytes.load(Ordering::Acquire);
        if bytes <= self.bytes_limit / 2 && self.queue.len() <= self.queue.capacity() / 2 {
            self.producer_waits.store(false, Ordering::SeqCst);
            self.producer.wake();
        }
    }

    /// Discards all waiting items.
    pub(super) fn clear(&self) {
        while let Some(entry) = self.queue.pop() {
            self.queued_bytes.fetch_sub(entry.batch.frame().len(), Ordering::AcqRel);
        }
        while self.notices.pop().is_some() {}
        if let Some(pending) = self.table.pop() {
            self.queued_bytes.fetch_sub(pending.table.sums().bytes, Ordering::AcqRel);
        }
    }

    pub(super) fn stats(&self) -> LaneStats {
        let (given, taken) = (&self.given, &self.taken);
        let frames = self.waiting_frames() + self.table.len() as u64;
        let bytes = self.queued_bytes.load(Ordering::Acquire) as u64;
        // Without a consumer nothing waits: items are discarded.
        let waits = u64::from(!self.lane_gone.load(Ordering::Acquire));
        LaneStats {
            queued_frames: frames * waits,
            queued_bytes: bytes * waits,
            bytes_limit: self.bytes_limit as u64,
            delivered_frames: taken.delivered_frames.get(),
            delivered_ticks: taken.delivered_ticks.get(),
            dropped_frames: given.dropped_frames.get(),
            dropped_ticks: given.dropped_ticks.get() + taken.dropped_ticks.get(),
            conflated_ticks: given.replaced.get() + taken.replaced.get(),
        }
    }
}
