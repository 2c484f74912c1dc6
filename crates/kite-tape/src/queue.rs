//! The queue in which frames wait for the writer.
//!
//! Pushing a frame normally takes no lock and wakes no thread, because the writer polls. A lock is
//! taken only while frames of a source are missing and no gap has been queued for them yet.

use std::sync::OnceLock;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, AtomicUsize};
use std::thread::{self, Thread};
use std::time::Duration;

use bytes::Bytes;
use crossbeam_queue::ArrayQueue;
use kite_wire::tape::{Gap, GapReason, Received, RecordKind, Source};
use parking_lot::{Mutex, MutexGuard};

/// The writer is working.
const AWAKE: u8 = 0;
/// The writer polls again shortly.
const POLLING: u8 = 1;
/// The writer sleeps until it is woken.
const SLEEPING: u8 = 2;

/// A record waiting for the writer.
#[derive(Debug)]
pub(crate) struct Item {
    pub(crate) received: Received,
    pub(crate) kind: RecordKind,
    pub(crate) payload: Bytes,
}

impl Item {
    pub(crate) fn gap(received: Received, gap: &Gap) -> Self {
        let payload = Bytes::copy_from_slice(&gap.to_bytes());
        Self { received, kind: RecordKind::Gap, payload }
    }

    pub(crate) fn as_gap(&self) -> Option<Gap> {
        (self.kind == RecordKind::Gap).then(|| Gap::from_bytes(&self.payload)).flatten()
    }

    /// Its size for the byte limit, at least 1, so that only an empty queue counts 0.
    fn weight(&self) -> usize {
        self.payload.len().max(1)
    }
}

/// Missing records of one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loss {
    pub(crate) source: Source,
    pub(crate) reason: GapReason,
    /// When the first and the last of them were received, in Unix nanoseconds.
    pub(crate) from_unix_ns: u64,
    pub(crate) to_unix_ns: u64,
    /// Number of frames, if known.
    pub(crate) frames: Option<u64>,
}

impl Loss {
    /// Returns the gap record for it. Its time is that of the last missing frame, so that a reader
    /// that seeks to a time within the gap finds it.
    pub(crate) fn item(&self) -> Item {
        let received = Received { recv_unix_ns: self.to_unix_ns, source: self.source };
        Item::gap(received, &self.gap())
    }

    pub(crate) fn gap(&self) -> Gap {
        let Self { source: _, reason, from_unix_ns, to_unix_ns, frames } = *self;
        Gap { reason, from_unix_ns, to_unix_ns, frames }
    }
}

/// Notes a missing record. The gap grows by one frame if the record is a frame.
pub(crate) fn note_loss(
    losses: &mut Vec<Loss>,
    received: Received,
    kind: RecordKind,
    reason: GapReason,
) {
    let time = received.recv_unix_ns;
    let frames = Some(u64::from(is_frame(kind)));
    note_gap(
        losses,
        received.source,
        &Gap { reason, from_unix_ns: time, to_unix_ns: time, frames },
    );
}

/// Notes a gap, merging it with an existing loss of the same source and reason.
pub(crate) fn note_gap(losses: &mut Vec<Loss>, source: Source, gap: &Gap) {
    let Gap { reason, from_unix_ns, to_unix_ns, frames } = *gap;
    match losses.iter_mut().find(|it| it.source == source && it.reason == reason) {
        Some(loss) => {
            loss.from_unix_ns = loss.from_unix_ns.min(from_unix_ns);
            loss.to_unix_ns = loss.to_unix_ns.max(to_unix_ns);
            loss.frames = loss.frames.zip(frames).map(|(a, b)| a.saturating_add(b));
        }
        None => losses.push(Loss { source, reason, from_unix_ns, to_unix_ns, frames }),
    }
}

/// Returns whether records of this kind come from the server.
pub(crate) fn is_frame(kind: RecordKind) -> bool {
    matches!(kind, RecordKind::Binary | RecordKind::Text)
}

/// A queue bounded in frames and in bytes.
#[derive(Debug)]
pub(crate) struct Queue {
    items: ArrayQueue<Item>,
    bytes: AtomicUsize,
    most_bytes: usize,
    /// Whether there may be losses; checked for each frame.
    has_losses: AtomicBool,
    losses: Mutex<Vec<Loss>>,
    dropped: AtomicU64,
    is_closed: AtomicBool,
    /// The writer's state: [`AWAKE`], [`POLLING`] or [`SLEEPING`].
    rest: AtomicU8,
    writer: OnceLock<Thread>,
}

impl Queue {
    pub(crate) fn new(frames: usize, most_bytes: usize) -> Self {
        Self {
            items: ArrayQueue::new(frames),
            bytes: AtomicUsize::new(0),
            most_bytes,
            has_losses: AtomicBool::new(false),
            losses: Mutex::new(Vec::new()),
            dropped: AtomicU64::new(0),
            is_closed: AtomicBool::new(false),
            rest: AtomicU8::new(AWAKE),
            writer: OnceLock::new(),
        }
    }

    /// Sets the thread to wake.
    pub(crate) fn set_writer(&self, writer: Thread) {
        // There is only one writer, so this cannot have been set before.
        let _ = self.writer.set(writer);
    }

    /// Queues a record, or counts it as lost.
    pub(crate) fn push(&self, item: Item) {
        if self.has_losses.load(Acquire) && !self.queue_gaps(&item) {
            return;
        }
        if let Err(item) = self.try_push(item) {
            self.lose(&item);
        }
        self.wake();
    }

    /// Queues the gaps of the item's source, if any, before the item. Returns whether the item may
    /// be queued now.
    #[cold]
    fn queue_gaps(&self, item: &Item) -> bool {
        let mut losses = self.lock();
        let source = item.received.source;
        while let Some(index) = losses.iter().position(|it| it.source == source) {
            // Otherwise a gap that fits without its frame would be queued again and again.
            let gap = losses[index].item();
            if !self.has_room(gap.weight() + item.weight()) || self.try_push(gap).is_err() {
                self.count(&mut losses, item);
                return false;
            }
            losses.remove(index);
        }
        self.has_losses.store(!losses.is_empty(), Release);
        true
    }

    #[cold]
    fn lose(&self, item: &Item) {
        let mut losses = self.lock();
        self.count(&mut losses, item);
        self.has_losses.store(true, Release);
    }

    fn count(&self, losses: &mut Vec<Loss>, item: &Item) {
        self.dropped.fetch_add(1, Relaxed);
        match item.as_gap() {
            // A gap that does not fit is still recorded later, with its own reason.
            Some(gap) => note_gap(losses, item.received.source, &gap),
            None => note_loss(losses, item.received, item.kind, GapReason::QueueFull),
        }
    }

    /// Returns whether a gap and the record after it fit now.
    fn has_room(&self, weight: usize) -> bool {
        let bytes = self.bytes.load(Acquire);
        (bytes == 0 || bytes + weight <= self.most_bytes)
            && self.items.len() + 2 <= self.items.capacity()
    }

    fn try_push(&self, item: Item) -> Result<(), Item> {
        let weight = item.weight();
        // Counted before checking whether the queue is closed, so that a writer that finds a closed
        // queue with a count of 0 knows that no record is being pushed.
        let before = self.bytes.fetch_add(weight, SeqCst);
        // A record larger than the whole limit is accepted if the queue is empty.
        if self.is_closed.load(SeqCst) || (before > 0 && before + weight > self.most_bytes) {
            self.bytes.fetch_sub(weight, AcqRel);
            return Err(item);
        }
        self.items.push(item).inspect_err(|_| {
            self.bytes.fetch_sub(weight, AcqRel);
        })
    }

    /// Wakes the writer if it would not poll soon enough by itself.
    fn wake(&self) {
        let rest = self.rest.load(Relaxed);
        let must_wake = rest == SLEEPING || (rest == POLLING && self.is_filling());
        if must_wake && self.rest.swap(AWAKE, AcqRel) != AWAKE {
            self.unpark();
        }
    }

    fn is_filling(&self) -> bool {
        self.bytes.load(Relaxed) > self.most_bytes / 4
            || self.items.len() > self.items.capacity() / 4
    }

    fn unpark(&self) {
        if let Some(writer) = self.writer.get() {
            writer.unpark();
        }
    }

    /// Takes at most `most` records, plus gaps; returns whether anything was taken.
    pub(crate) fn take(&self, into: &mut Vec<Item>, most: usize) -> bool {
        let before = into.len();
        while into.len() - before < most
            && let Some(item) = self.items.pop()
        {
            self.bytes.fetch_sub(item.weight(), AcqRel);
            into.push(item);
        }
        if self.has_losses.load(Acquire) && self.items.is_empty() {
            self.take_losses(into);
        }
        into.len() > before
    }

    /// Takes the gaps of sources from which no further frame may follow. Records pushed before the
    /// gap are taken first; a push after it waits for the lock.
    #[cold]
    fn take_losses(&self, into: &mut Vec<Item>) {
        let mut losses = self.lock();
        while let Some(item) = self.items.pop() {
            self.bytes.fetch_sub(item.weight(), AcqRel);
            into.push(item);
        }
        into.extend(losses.drain(..).map(|loss| loss.item()));
        self.has_losses.store(false, Release);
    }

    /// Parks the writer for at most `longest`, unless it has work. If `is_polling`, only a queue
    /// that is filling wakes it; otherwise any record does. A missed wake-up costs at most
    /// `longest`.
    pub(crate) fn rest(&self, is_polling: bool, longest: Duration) {
        self.rest.store(if is_polling { POLLING } else { SLEEPING }, Release);
        let must_stay = match is_polling {
            true => self.is_filling(),
            false => !self.items.is_empty() || self.has_losses.load(Acquire),
        };
        if !must_stay && !self.is_closed() {
            thread::park_timeout(longest);
        }
        self.rest.store(AWAKE, Release);
    }

    /// Closes the queue: later records are counted as dropped.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, SeqCst);
        self.unpark();
    }

    /// Returns whether the queue is empty; a closed queue then stays empty.
    pub(crate) fn is_drained(&self) -> bool {
        self.bytes.load(SeqCst) == 0
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed.load(Acquire)
    }

    /// Returns the number of records dropped so far.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Returns the number of records waiting, and their bytes.
    pub(crate) fn depth(&self) -> (usize, usize) {
        (self.items.len(), self.bytes.load(Relaxed))
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Loss>> {
        self.losses.lock()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(number: u64) -> Item {
        let source = Source { account: 0, connection: 0 };
        let received = Received { recv_unix_ns: number, source };
        Item { received, kind: RecordKind::Binary, payload: vec![7; 1_000].into() }
    }

    #[test]
    fn a_stall_is_one_gap_even_if_only_the_gap_would_fit() {
        let queue = Queue::new(1_024, 10_000);
        for number in 0..11 {
            queue.push(frame(number));
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, 1);
        // Room for the gap or for a frame, but not for both.
        for number in 11..1_000 {
            queue.push(frame(number));
        }
        while queue.take(&mut taken, 64) {}
        let gaps: Vec<Gap> = taken.iter().filter_map(Item::as_gap).collect();
        assert_eq!(gaps.len(), 1);
        assert_eq!((taken.len(), gaps[0].frames), (11, Some(990)));
        assert_eq!((gaps[0].from_unix_ns, gaps[0].to_unix_ns), (10, 999));
        assert_eq!(queue.dropped(), 990);
    }

    #[test]
    fn records_after_a_gap_are_queued_after_it() {
        let queue = Queue::new(4, 1 << 20);
        for number in 0..6 {
            queue.push(frame(number));
        }
        let mut taken = Vec::new();
        queue.take(&mut taken, 2);
        queue.push(frame(6));
        queue.take(&mut taken, 64);
        let times: Vec<_> = taken.iter().map(|it| (it.kind, it.received.recv_unix_ns)).collect();
        let (frame, gap) = (RecordKind::Binary, RecordKind::Gap);
        assert_eq!(times, [(frame, 0), (frame, 1), (frame, 2), (frame, 3), (gap, 5), (frame, 6)]);
        assert_eq!(taken[4].as_gap().unwrap().frames, Some(2));
    }
}
