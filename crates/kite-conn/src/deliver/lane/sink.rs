//! The producing end of a lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use super::state::{Entry, LaneState, Pending};
use super::table::{Sums, Table};
use super::{LaneStats, Overflow};
use crate::deliver::{Batch, Sink};
use crate::observe::Event;

/// The end of a lane that a connection delivers to; created by [`lane`](super::lane()).
///
/// It receives ticks; events are sent on the [`EventLane`](crate::EventLane). Once the
/// [`Lane`](super::Lane) is dropped, it is always ready and discards everything.
#[derive(Debug)]
pub struct LaneSink {
    shared: Arc<LaneState>,
    /// Number of frames queued so far, and of the ticks in them.
    frames: u64,
    ticks: u64,
    /// Whether a table was created and, as far as is known, not consumed yet.
    folding: bool,
}

impl LaneSink {
    pub(super) fn new(shared: Arc<LaneState>) -> Self {
        Self { shared, frames: 0, ticks: 0, folding: false }
    }

    /// Returns the lane's counts.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        self.shared.stats()
    }

    /// Returns whether the consuming end was dropped, so that everything is discarded.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.lane_gone.load(Ordering::Acquire)
    }

    /// Queues a frame; returns it if there is no room.
    fn try_queue(&mut self, batch: Batch) -> Result<(), Batch> {
        let bytes = batch.frame().len();
        if !self.shared.has_room_for(bytes) {
            return Err(batch);
        }
        let ticks = batch.ticks.len() as u64;
        let entry = Entry { batch, frames_before: self.frames, ticks_before: self.ticks };
        // Added first, so that the consumer never subtracts bytes before they are added.
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

    /// Queues a frame, and drops the oldest ones if there is no room.
    fn queue(&mut self, mut batch: Batch) {
        while let Err(rejected) = self.try_queue(batch) {
            batch = rejected;
            // If there is nothing to drop, the consumer has emptied the queue and there is room.
            if let Some(oldest) = self.shared.queue.pop() {
                self.shared.queued_bytes.fetch_sub(oldest.batch.frame().len(), Ordering::AcqRel);
                self.shared.given.dropped_frames.add(1);
                self.shared.given.dropped_ticks.add(oldest.batch.ticks.len() as u64);
            }
        }
    }

    /// Queues a frame, or folds it into a table if there is one already or no room.
    fn queue_or_fold(&mut self, batch: &Batch) {
        if self.folding {
            if let Some(mut pending) = self.shared.table.pop() {
                let counted = pending.table.sums();
                pending.table.fold(batch);
                self.hand_over(pending, counted);
                return;
            }
            // The consumer has taken it, along with everything queued before it.
            self.folding = false;
        }
        if let Err(batch) = self.try_queue(batch.clone()) {
            let pending = Pending { table: Table::new(&batch), frames_before: self.frames };
            self.folding = true;
            self.hand_over(Box::new(pending), Sums::default());
        }
    }

    /// Puts the table into its slot for the consumer, and counts what was added to it.
    fn hand_over(&mut self, pending: Box<Pending>, counted: Sums) {
        let (sums, given) = (pending.table.sums(), &self.shared.given);
        given.replaced.add(sums.replaced - counted.replaced);
        given.dropped_ticks.add(sums.lost - counted.lost);
        self.shared.queued_bytes.fetch_add(sums.bytes - counted.bytes, Ordering::AcqRel);
        // Replaces nothing, because only this end stores a table, and it has found the slot empty.
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
        // Room made before the waker was registered woke no task.
        if ready(&self.shared) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        if batch.ticks.frame().is_heartbeat() {
            return;
        }
        if self.is_closed() {
            // Frames queued while it was being dropped, too.
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
