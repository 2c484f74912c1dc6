//! The producing end of a lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::state::{Entry, LaneState, Pending};
use super::table::{Sums, Table};
use super::{LaneStats, Overflow};
use crate::deliver::{Batch, Sink};
use crate::observe::Event;

/// The end of a lane that a connection delivers to; made by [`lane`](super::lane()).
///
/// It takes ticks; events go to the [`EventLane`](crate::EventLane). Once the [`Lane`](super::Lane)
/// is dropped it is always ready and what comes is discarded.
#[derive(Debug)]
pub struct LaneSink {
    shared: Arc<LaneState>,
    /// How many frames, and ticks in them, have been queued.
    frames: u64,
    ticks: u64,
    /// Whether a table has been made that the consumer has not been seen to have taken.
    folding: bool,
}

impl LaneSink {
    pub(super) fn new(shared: Arc<LaneState>) -> Self {
        Self { shared, frames: 0, ticks: 0, folding: false }
    }

    /// Reads the counts of the lane.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        self.shared.stats()
    }

    /// Says whether the lane's other end is gone: what is given to it from now on is discarded.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lane_gone.load(Ordering::Acquire)
    }

    /// Queues a frame; gives it back if there is no room.
    fn try_queue(&mut self, batch: Batch) -> Result<(), Batch> {
        let bytes = batch.frame().len();
        if !self.shared.has_room_for(bytes) {
            return Err(batch);
        }
        let ticks = batch.ticks.len() as u64;
        let entry = Entry { batch, frames_before: self.frames, ticks_before: self.ticks };
        // First: what the consumer takes off must have been added.
        self.shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        if let Err(entry) = self.shared.queue.push(entry) {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return Err(entry.batch);
        }
        self.frames += 1;
        self.ticks += ticks;
        self.shared.given.queued_frames.set(self.frames);
        Ok(())
    }

    /// Queues a frame in the place of the oldest ones, where there is no other.
    fn queue(&mut self, mut batch: Batch) {
        while let Err(refused) = self.try_queue(batch) {
            batch = refused;
            // Nothing to drop means that the consumer has taken all, and so there is room.
            if let Some(oldest) = self.shared.queue.pop() {
                self.shared.queued_bytes.fetch_sub(oldest.batch.frame().len(), Ordering::AcqRel);
                self.shared.given.dropped_frames.add(1);
                self.shared.given.dropped_ticks.add(oldest.batch.ticks.len() as u64);
            }
        }
    }

    /// Queues a frame, or folds it into the table where there is one or no room.
    fn queue_or_fold(&mut self, batch: &Batch) {
        if self.folding {
            if let Some(mut pending) = self.shared.table.pop() {
                let counted = pending.table.sums();
                pending.table.fold(batch);
                self.hand_over(pending, counted);
                return;
            }
            // The consumer has taken it, and with it all that was queued before.
            self.folding = false;
        }
        if let Err(batch) = self.try_queue(batch.clone()) {
            let pending = Pending { table: Table::new(&batch), frames_before: self.frames };
            self.folding = true;
            self.hand_over(Box::new(pending), Sums::default());
        }
    }

    /// Puts the table to where the consumer finds it, and counts what has been added to it.
    fn hand_over(&mut self, pending: Box<Pending>, counted: Sums) {
        let (sums, given) = (pending.table.sums(), &self.shared.given);
        given.replaced.add(sums.replaced - counted.replaced);
        given.dropped_ticks.add(sums.lost - counted.lost);
        self.shared.queued_bytes.fetch_add(sums.bytes - counted.bytes, Ordering::AcqRel);
        // Nothing is pushed out: only this end puts a table there, and it has looked.
        let _ = self.shared.table.force_push(pending);
    }
}

impl Sink for LaneSink {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let ready = |shared: &LaneState| {
            shared.overflow != Overflow::Block
                || shared.has_room_for(0)
                || shared.lane_gone.load(Ordering::Acquire)
        };
        if ready(&self.shared) {
            return Poll::Ready(());
        }
        self.shared.producer.register(cx.waker());
        self.shared.producer_waits.store(true, Ordering::SeqCst);
        // What was taken before the waker stood there has woken nobody.
        if ready(&self.shared) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        if batch.ticks.frame().is_heartbeat() {
            return;
        }
        if self.is_closed() {
            // Also what was queued while it went.
            self.shared.clear();
            return;
        }
        match self.shared.overflow {
            Overflow::Block | Overflow::DropOldest => self.queue(batch.clone()),
            Overflow::Conflate => self.queue_or_fold(batch),
        }
        self.shared.consumer.wake();
    }

    fn on_event(&mut self, _: &Event) {}
}

impl Drop for LaneSink {
    fn drop(&mut self) {
        self.shared.sink_gone.store(true, Ordering::Release);
        self.shared.consumer.wake();
    }
}
