//! What happened between the frames of a lane, in a queue of its own, so that a full lane neither
//! drops it nor waits with it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_queue::SegQueue;

use super::LaneItem;

/// Number of notices kept for a slow consumer; beyond it the oldest are dropped and reported.
pub(super) const MOST_NOTICES: usize = 256;

/// An item that is not a frame, and its place among the frames.
#[derive(Debug)]
pub(super) struct Notice {
    /// Number of notices before it.
    pub(super) number: u64,
    /// Number of frames queued before it, and of the ticks in them.
    pub(super) frames_before: u64,
    pub(super) ticks_before: u64,
    pub(super) item: LaneItem,
}

/// Notices given since a table was started.
#[derive(Debug, Default)]
pub(super) struct OfTable {
    notices: VecDeque<Notice>,
    /// How many of them come before the last frame folded in.
    before: usize,
}

impl OfTable {
    fn push(&mut self, notice: Notice) {
        if self.notices.len() >= MOST_NOTICES {
            self.notices.pop_front();
            self.before = self.before.saturating_sub(1);
        }
        self.notices.push_back(notice);
    }

    /// Handles a frame folded into the table.
    pub(super) fn on_frame(&mut self) {
        self.before = self.notices.len();
    }

    /// Returns the next notice that comes before the folded frame.
    pub(super) fn next_before(&mut self) -> Option<Notice> {
        self.before = self.before.checked_sub(1)?;
        self.notices.pop_front()
    }

    /// Returns the next notice.
    pub(super) fn next(&mut self) -> Option<Notice> {
        self.notices.pop_front()
    }

    /// Puts the next notice back.
    pub(super) fn put_back(&mut self, notice: Notice, is_before: bool) {
        self.notices.push_front(notice);
        self.before += usize::from(is_before);
    }
}

/// The notices that wait for the consumer, except those that wait with a table.
#[derive(Debug, Default)]
pub(super) struct Notices {
    queue: SegQueue<Notice>,
    given: AtomicU64,
}

impl Notices {
    /// Adds a notice for the consumer.
    pub(super) fn push(&self, notice: Notice) {
        while self.queue.len() >= MOST_NOTICES && self.queue.pop().is_some() {}
        let given = notice.number + 1;
        self.queue.push(notice);
        self.given.store(given, Ordering::Release);
    }

    /// Adds a notice to those of a table that an end has taken out of its slot.
    pub(super) fn push_to(&self, of_table: &mut OfTable, notice: Notice) {
        let given = notice.number + 1;
        of_table.push(notice);
        self.given.store(given, Ordering::Release);
    }

    /// Returns the number of notices given so far. A consumer that has taken a frame finds those
    /// given before it counted.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Acquire)
    }

    pub(super) fn pop(&self) -> Option<Notice> {
        self.queue.pop()
    }
}
