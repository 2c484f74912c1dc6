//! The producing end of a lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use kite_wire::Command;

use super::notice::{Notice, OfTable};
use super::state::{Entry, LaneState, Pending};
use super::table::{Sums, Table};
use super::{LaneItem, LaneStats, Overflow};
use crate::deliver::{Batch, Sink, Unread};
use crate::observe::Event;

/// The end of a lane that a connection delivers to; created by [`lane`](super::lane()).
///
/// Besides ticks, the lane receives the events that belong between them; all events are sent on the
/// [`EventLane`](crate::EventLane). Once the
/// [`Lane`](super::Lane) is dropped, it is always ready and discards everything.
#[derive(Debug)]
pub struct LaneSink {
    shared: Arc<LaneState>,
    /// Number of frames queued so far, and of the ticks in them.
    frames: u64,
    ticks: u64,
    /// Number of notices given so far.
    notices: u64,
    wants_commands: bool,
    /// Whether a table was created and, as far as is known, not consumed yet.
    folding: bool,
    /// Whether the connection no longer waits for room.
    is_closing: bool,
    /// What was discarded for lack of room since then.
    discarded: Unread,
}

impl LaneSink {
    pub(super) fn new(shared: Arc<LaneState>, wants_commands: bool) -> Self {
        Self {
            shared,
            frames: 0,
            ticks: 0,
            notices: 0,
            wants_commands,
            folding: false,
            is_closing: false,
            discarded: Unread::default(),
        }
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

    /// Returns whether the lane delivers commands ([`LaneConfig::commands`](super::LaneConfig)).
    #[must_use]
    pub fn wants_commands(&self) -> bool {
        self.wants_commands
    }

    /// Counts frames that were lost before they reached this sink, at least one. The lane reports
    /// them at their place among its items, as [`LaneItem::Dropped`](super::LaneItem::Dropped).
    pub fn on_lost(&mut self, frames: u64, ticks: u64) {
        if self.is_closed() {
            return;
        }
        let frames = frames.max(1);
        self.frames += frames;
        self.ticks += ticks;
        // Counted as queued and dropped, which is how the consumer learns where they were.
        let given = &self.shared.given;
        given.dropped_frames.add(frames);
        given.dropped_ticks.add(ticks);
        given.ticks_at_end.set(self.ticks);
        given.queued_frames.set(self.frames);
    }

    /// Returns whether the state satisfies a condition; otherwise registers the waker.
    fn poll_shared(&self, cx: &mut Context<'_>, holds: impl Fn(&LaneState) -> bool) -> Poll<()> {
        if holds(&self.shared) { Poll::Ready(()) } else { self.poll_again(cx, holds) }
    }

    #[cold]
    fn poll_again(&self, cx: &mut Context<'_>, holds: impl Fn(&LaneState) -> bool) -> Poll<()> {
        self.shared.producer.register(cx.waker());
        self.shared.producer_waits.store(true, Ordering::SeqCst);
        // What the consumer did before the waker was registered woke no task.
        if holds(&self.shared) { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Queues a frame; returns whether there was room.
    #[inline]
    fn try_queue(&mut self, batch: &Batch) -> bool {
        let bytes = batch.frame().len();
        if !self.shared.has_room_for(bytes) {
            return false;
        }
        let (batch, ticks) = (batch.clone(), batch.ticks.len() as u64);
        let entry = Entry { batch, frames_before: self.frames, ticks_before: self.ticks };
        // Added first, so that the consumer never subtracts bytes before they are added.
        self.shared.queued_bytes.fetch_add(bytes, Ordering::AcqRel);
        if self.shared.queue.push(entry).is_err() {
            self.shared.queued_bytes.fetch_sub(bytes, Ordering::AcqRel);
            return false;
        }
        self.frames += 1;
        self.ticks += ticks;
        self.shared.given.queued_frames.set(self.frames);
        true
    }

    /// Queues a frame, and drops the oldest ones if there is no room.
    #[inline]
    fn queue(&mut self, batch: &Batch) {
        if !self.try_queue(batch) {
            self.queue_after_dropping(batch);
        }
    }

    /// Drops the oldest frames until there is room for this one, and queues it.
    #[inline(never)]
    fn queue_after_dropping(&mut self, batch: &Batch) {
        while !self.try_queue(batch) {
            // If there is nothing to drop, the consumer has emptied the queue and there is room.
            if let Some(oldest) = self.shared.queue.pop() {
                self.shared.queued_bytes.fetch_sub(oldest.batch.frame().len(), Ordering::AcqRel);
                self.shared.given.dropped_frames.add(1);
                self.shared.given.dropped_ticks.add(oldest.batch.ticks.len() as u64);
            }
        }
    }

    /// Queues a frame, or discards it if there is no room. After one was discarded all are, so that
    /// what is missing is at the end.
    #[inline(never)]
    fn queue_or_discard(&mut self, batch: &Batch) {
        let is_full = self.discarded.discarded_frames > 0 || self.shared.is_full();
        if is_full || !self.try_queue(batch) {
            let ticks = batch.ticks.len();
            self.discarded.discard(ticks);
            // Counted as queued and dropped, which is how the consumer learns where it was.
            self.frames += 1;
            self.ticks += ticks as u64;
            let given = &self.shared.given;
            given.queued_frames.set(self.frames);
            given.ticks_at_end.set(self.ticks);
            given.dropped_frames.add(1);
            given.dropped_ticks.add(ticks as u64);
        }
    }

    /// Queues a frame, or folds it into a table if there is one already or no room.
    #[inline(never)]
    fn queue_or_fold(&mut self, batch: &Batch) {
        if self.folding {
            if let Some(mut pending) = self.shared.table.pop() {
                let counted = pending.table.sums();
                pending.table.fold(batch);
                pending.notices.on_frame();
                self.hand_over(pending, counted);
                return;
            }
            // The consumer has taken it, along with everything queued before it.
            self.folding = false;
        }
        if !self.try_queue(batch) {
            let pending = Pending {
                table: Table::new(batch),
                frames_before: self.frames,
                notices_before: self.notices,
                notices: OfTable::default(),
            };
            self.folding = true;
            self.hand_over(Box::new(pending), Sums::default());
        }
    }

    /// Adds an item between the frames. One that arrives while there is a table waits with it.
    #[cold]
    fn notify(&mut self, item: LaneItem) {
        if self.is_closed() {
            return;
        }
        let notice = Notice {
            number: self.notices,
            frames_before: self.frames,
            ticks_before: self.ticks,
            item,
        };
        self.notices += 1;
        let notices = &self.shared.notices;
        match self.folding.then(|| self.shared.table.pop()).flatten() {
            Some(mut pending) => {
                notices.push_to(&mut pending.notices, notice);
                let counted = pending.table.sums();
                self.hand_over(pending, counted);
            }
            None => {
                self.folding = false;
                notices.push(notice);
            }
        }
        self.shared.consumer.wake();
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
                || !shared.is_full()
                || shared.lane_gone.load(Ordering::Acquire)
        };
        if self.is_closing { Poll::Ready(()) } else { self.poll_shared(cx, ready) }
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
            Overflow::Conflate => self.queue_or_fold(batch),
            Overflow::Block if self.is_closing => self.queue_or_discard(batch),
            Overflow::Block | Overflow::DropOldest => self.queue(batch),
        }
        self.shared.consumer.wake();
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            &Event::Up { epoch, instruments } => self.notify(LaneItem::Up { epoch, instruments }),
            Event::Down { epoch, cause, last_heard } => {
                let (epoch, cause, last_heard) = (*epoch, cause.clone(), *last_heard);
                self.notify(LaneItem::Down { epoch, cause, last_heard });
            }
            Event::Gap(gap) => self.notify(LaneItem::Gap(Arc::clone(gap))),
            _ => {}
        }
    }

    fn on_command(&mut self, command: Command<'_>) {
        if !self.wants_commands {
            return;
        }
        let (kind, tokens) = (command.kind(), command.tokens().into());
        self.notify(LaneItem::Command { kind, tokens });
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.poll_shared(cx, |shared| {
            // Frames and tables have bytes, and an item that the consumer holds still counts.
            shared.queued_bytes.load(Ordering::SeqCst) == 0
                || shared.lane_gone.load(Ordering::Acquire)
        })
    }

    fn stop_waiting(&mut self) {
        self.is_closing = true;
    }

    fn unread(&self) -> Unread {
        // A dropped lane has no consumer that could miss anything.
        if self.is_closed() {
            return Unread::default();
        }
        Unread { queued_frames: self.stats().queued_frames, ..self.discarded }
    }
}

impl Drop for LaneSink {
    fn drop(&mut self) {
        self.shared.sink_gone.store(true, Ordering::Release);
        self.shared.consumer.wake();
    }
}
