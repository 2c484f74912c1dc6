//! The producing end of a lane.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use kite_wire::{Command, CommandKind};

use super::notice::{Notice, OfTable};
use super::state::{Entry, LaneState, Pending};
use super::table::{Sums, Table};
use super::{LaneItem, LaneStats, Overflow};
use crate::deliver::{Batch, Sink};
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
}

impl LaneSink {
    pub(super) fn new(shared: Arc<LaneState>, wants_commands: bool) -> Self {
        Self { shared, frames: 0, ticks: 0, notices: 0, wants_commands, folding: false }
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
                pending.notices.on_frame();
                self.hand_over(pending, counted);
                return;
            }
            // The consumer has taken it, along with everything queued before it.
            self.folding = false;
        }
        if let Err(batch) = self.try_queue(batch.clone()) {
            let pending = Pending {
                table: Table::new(&batch),
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
        let (kind, tokens) = match command {
            Command::Subscribe(tokens) => (CommandKind::Subscribe, tokens),
            Command::Unsubscribe(tokens) => (CommandKind::Unsubscribe, tokens),
            Command::Mode(mode, tokens) => (CommandKind::Mode(mode), tokens),
        };
        self.notify(LaneItem::Command { kind, tokens: tokens.into() });
    }
}

impl Drop for LaneSink {
    fn drop(&mut self) {
        self.shared.sink_gone.store(true, Ordering::Release);
        self.shared.consumer.wake();
    }
}
