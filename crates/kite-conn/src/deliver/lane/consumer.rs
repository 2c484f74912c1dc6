//! The consuming end of a lane.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::task::coop;

use super::notice::{Notice, OfTable};
use super::state::{Entry, LaneState, Pending};
use super::table::Table;
use super::{LaneItem, LaneStats, Overflow, TryRecvError};
use crate::deliver::Batch;

/// The consuming end of a lane, a stream; created by
/// [`lane`](super::lane()).
///
/// Lag never ends it. It ends when everything was consumed after its sink was dropped, which a
/// connection does when it ends.
#[derive(Debug)]
pub struct Lane {
    shared: Arc<LaneState>,
    /// Number of queued frames, and of their ticks, that are accounted for.
    frames_seen: u64,
    ticks_seen: u64,
    /// Number of notices that are accounted for.
    notices_seen: u64,
    /// Removed from the queue, but not returned yet.
    held: Option<Next>,
    notice: Option<Notice>,
}

/// Frames removed from the queue.
#[derive(Debug)]
enum Next {
    Frame(Entry),
    Table(Box<Conflated>),
}

/// A table removed from its slot.
#[derive(Debug)]
struct Conflated {
    /// The frame made of it, and the number of packets replaced; `None` once it was returned.
    batch: Option<(Batch, u64)>,
    /// Bytes of what it was made of, which count as queued until it is returned.
    bytes: usize,
    /// Number of ticks for which it had no room, or that were lost before the sink.
    lost: u64,
    /// Number of notices given before the table was started.
    notices_before: u64,
    notices: OfTable,
}

impl Lane {
    pub(super) fn new(shared: Arc<LaneState>) -> Self {
        let (frames_seen, ticks_seen, notices_seen) = (0, 0, 0);
        Self { shared, frames_seen, ticks_seen, notices_seen, held: None, notice: None }
    }

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
    #[inline]
    pub fn try_recv(&mut self) -> Result<LaneItem, TryRecvError> {
        // Loaded first, so that items added before the sink was dropped are found.
        let ended = self.shared.sink_gone.load(Ordering::Acquire);
        match self.take() {
            Some(item) => Ok(item),
            None if ended => self.take_end().ok_or(TryRecvError::Ended),
            None => Err(TryRecvError::Empty),
        }
    }

    /// Polls for the next item; `None` once the lane has ended.
    pub fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<LaneItem>> {
        // A lane that is never empty must not keep its consumer's task from yielding.
        let coop = ready!(coop::poll_proceed(cx));
        let mut item = self.take();
        if item.is_none() {
            item = ready!(self.poll_empty(cx));
        }
        coop.made_progress();
        Poll::Ready(item)
    }

    /// Polls after nothing was found.
    #[inline(never)]
    fn poll_empty(&mut self, cx: &mut Context<'_>) -> Poll<Option<LaneItem>> {
        self.shared.consumer.register(cx.waker());
        // An item added before the waker was registered woke no task.
        match self.try_recv() {
            Err(TryRecvError::Empty) => Poll::Pending,
            received => Poll::Ready(received.ok()),
        }
    }

    /// Returns the lane's counts.
    #[must_use]
    pub fn stats(&self) -> LaneStats {
        self.shared.stats()
    }

    /// Returns the next item. Most are frames with nothing waiting or missing before them.
    #[inline]
    fn take(&mut self) -> Option<LaneItem> {
        let may_be_held = self.held.is_some() || self.notice.is_some();
        if may_be_held || self.shared.overflow == Overflow::Conflate {
            return self.take_in_order();
        }
        let entry = self.shared.queue.pop();
        // Looked at after the queue: what was given before a frame is counted by then.
        if self.shared.notices.given() == self.notices_seen {
            match entry {
                None => return None,
                Some(entry) if entry.frames_before == self.frames_seen => {
                    return Some(self.take_next_frame(entry));
                }
                Some(entry) => self.held = Some(Next::Frame(entry)),
            }
        } else {
            self.held = entry.map(Next::Frame);
        }
        self.take_in_order()
    }

    /// Returns the next item: a notice, what is missing, a frame or a table.
    #[inline(never)]
    fn take_in_order(&mut self) -> Option<LaneItem> {
        let mut next = self.held.take().or_else(|| self.pull());
        if self.has_notice() {
            // Frames queued between the two looks come before the notice.
            next = next.or_else(|| self.pull());
            if let Some(item) = self.take_notice_before(next.as_ref()) {
                self.held = next;
                return Some(item);
            }
        }
        match next? {
            Next::Frame(entry) => Some(self.take_frame(entry)),
            Next::Table(conflated) => self.take_conflated(conflated),
        }
    }

    /// Returns what was discarded after the last item.
    fn take_end(&mut self) -> Option<LaneItem> {
        let given = &self.shared.given;
        let (frames, ticks) = (given.queued_frames.get(), given.ticks_at_end.get());
        self.pass(frames, ticks, self.notices_seen)
    }

    /// Removes the next frame from the queue, or the table.
    fn pull(&mut self) -> Option<Next> {
        if self.shared.overflow == Overflow::Conflate
            && let Some(pending) = self.shared.table.pop()
        {
            return Some(Next::Table(Box::new(self.fold_all(*pending))));
        }
        self.shared.queue.pop().map(Next::Frame)
    }

    /// Returns whether a notice waits, and removes it from its queue.
    fn has_notice(&mut self) -> bool {
        if self.notice.is_none() && self.shared.notices.given() != self.notices_seen {
            self.notice = self.shared.notices.pop();
        }
        self.notice.is_some()
    }

    /// Returns the waiting notice, if it comes before `next`, or what was dropped before it.
    fn take_notice_before(&mut self, next: Option<&Next>) -> Option<LaneItem> {
        let notice = self.notice.take_if(|notice| match next {
            None => true,
            Some(Next::Frame(entry)) => notice.frames_before <= entry.frames_before,
            Some(Next::Table(conflated)) => notice.number < conflated.notices_before,
        })?;
        let dropped = self.pass(notice.frames_before, notice.ticks_before, notice.number);
        if dropped.is_some() {
            self.notice = Some(notice);
            return dropped;
        }
        self.notices_seen += 1;
        Some(notice.item)
    }

    fn take_frame(&mut self, entry: Entry) -> LaneItem {
        let (frames, ticks) = (entry.frames_before, entry.ticks_before);
        if let Some(dropped) = self.pass(frames, ticks, self.notices_seen) {
            self.held = Some(Next::Frame(entry));
            return dropped;
        }
        self.take_next_frame(entry)
    }

    /// Returns a frame before which nothing is missing.
    #[inline]
    fn take_next_frame(&mut self, Entry { batch, frames_before, ticks_before }: Entry) -> LaneItem {
        let ticks = batch.ticks.len() as u64;
        self.frames_seen = frames_before + 1;
        self.ticks_seen = ticks_before + ticks;
        self.count_delivery(ticks, batch.frame().len());
        LaneItem::Batch(batch)
    }

    /// Returns the next item of a table that was taken: what came between its frames, the frame
    /// made of them, and what came after them.
    fn take_conflated(&mut self, mut conflated: Box<Conflated>) -> Option<LaneItem> {
        let is_before = conflated.batch.is_some();
        let notices = &mut conflated.notices;
        let notice = if is_before { notices.next_before() } else { notices.next() };
        let item = match notice {
            Some(notice) => match self.pass(0, 0, notice.number) {
                Some(dropped) => {
                    conflated.notices.put_back(notice, is_before);
                    dropped
                }
                None => {
                    self.notices_seen += 1;
                    notice.item
                }
            },
            None if conflated.lost > 0 => {
                let ticks = std::mem::take(&mut conflated.lost);
                LaneItem::Dropped { frames: 0, ticks, notices: 0 }
            }
            None => match conflated.batch.take() {
                Some((batch, replaced)) => {
                    self.count_delivery(batch.ticks.len() as u64, conflated.bytes);
                    LaneItem::Conflated { batch, replaced }
                }
                // Nothing is left of it.
                None => return self.take(),
            },
        };
        self.held = Some(Next::Table(conflated));
        Some(item)
    }

    /// Moves on to a frame or notice with that many frames, ticks and notices before it; returns
    /// what was dropped before it.
    fn pass(&mut self, frames: u64, ticks: u64, notices: u64) -> Option<LaneItem> {
        if frames <= self.frames_seen && notices == self.notices_seen {
            return None;
        }
        let dropped = LaneItem::Dropped {
            frames: frames.saturating_sub(self.frames_seen),
            ticks: ticks.saturating_sub(self.ticks_seen),
            notices: notices - self.notices_seen,
        };
        self.frames_seen = frames.max(self.frames_seen);
        self.ticks_seen = ticks.max(self.ticks_seen);
        self.notices_seen = notices;
        Some(dropped)
    }

    /// Folds the frames queued before the table was started, which are older, into the table.
    /// Frames queued since the table was taken are newer and stay.
    fn fold_all(&mut self, pending: Pending) -> Conflated {
        let Pending { mut table, frames_before, notices_before, notices } = pending;
        let counted = table.sums();
        let mut bytes = counted.bytes;
        let mut older: Option<Table> = None;
        let mut lost = 0;
        while self.frames_seen < frames_before {
            // Only this end removes from the queue of a conflating lane, so none is missing but those
            // that were lost before the sink. If they are the last ones, the next item reports them.
            let Some(Entry { batch, frames_before, ticks_before }) = self.shared.queue.pop() else {
                break;
            };
            lost += ticks_before.saturating_sub(self.ticks_seen);
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
        let (sums, taken) = (table.sums(), &self.shared.taken);
        // One of them counts as waiting until the conflated frame is returned.
        taken.frames.set(self.frames_seen.saturating_sub(1));
        taken.replaced.add(sums.replaced - counted.replaced);
        taken.dropped_ticks.add(sums.lost - counted.lost);
        let batch = Some((table.to_batch(), sums.replaced));
        Conflated { batch, bytes, lost: sums.lost + lost, notices_before, notices }
    }

    /// Counts a frame that leaves the lane, with its ticks and the queued bytes it was made of.
    #[inline]
    fn count_delivery(&self, ticks: u64, bytes: usize) {
        let taken = &self.shared.taken;
        taken.frames.add(1);
        taken.delivered_frames.add(1);
        taken.delivered_ticks.add(ticks);
        // Last, so that a sink that finds the lane drained finds everything counted. Sequentially
        // consistent with the sink, which sets its flag and then checks for room: at least one side
        // sees the other's store.
        self.shared.queued_bytes.fetch_sub(bytes, Ordering::SeqCst);
        self.shared.wake_producer();
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
