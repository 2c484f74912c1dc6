//! Merges streams, polling only those that were woken.
//!
//! Polling a socket without data costs a system call. Therefore each stream has its own waker,
//! which records that it must be polled.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_util::task::AtomicWaker;

/// Streams that take turns, item by item. Allocates nothing after its creation.
#[derive(Debug)]
pub(crate) struct Merge<S> {
    children: Box<[Child<S>]>,
    /// The child whose turn it is.
    turn: usize,
    /// Number of streams that have not ended.
    left: usize,
    parent: Arc<AtomicWaker>,
}

#[derive(Debug)]
struct Child<S> {
    /// `None` once it has ended.
    stream: Option<S>,
    /// Whether the last poll returned an item, so that nothing will wake it.
    is_ready: bool,
    flag: Arc<WakeFlag>,
    /// Sets the flag.
    waker: Waker,
}

/// Records that a stream must be polled.
#[derive(Debug)]
struct WakeFlag {
    is_set: AtomicBool,
    parent: Arc<AtomicWaker>,
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // If the flag was set before, the parent has been woken or is about to check it.
        if !self.is_set.swap(true, Ordering::AcqRel) {
            self.parent.wake();
        }
    }
}

impl<S> Child<S> {
    /// Returns whether the stream must be polled, and resets its flag.
    fn is_due(&mut self) -> bool {
        // Only a set flag is swapped, so the usual check is a load.
        self.is_ready
            || (self.flag.is_set.load(Ordering::Acquire)
                && self.flag.is_set.swap(false, Ordering::AcqRel))
    }
}

impl<S: Stream + Unpin> Merge<S> {
    pub(crate) fn new(streams: impl IntoIterator<Item = S>) -> Self {
        let parent = Arc::new(AtomicWaker::new());
        let child = |stream| {
            let flag =
                Arc::new(WakeFlag { is_set: AtomicBool::new(false), parent: Arc::clone(&parent) });
            let waker = Waker::from(Arc::clone(&flag));
            // The first poll needs no wake-up.
            Child { stream: Some(stream), is_ready: true, flag, waker }
        };
        let children: Box<[Child<S>]> = streams.into_iter().map(child).collect();
        let left = children.len();
        Self { children, turn: 0, left, parent }
    }

    /// Returns the streams that have not ended.
    pub(crate) fn into_streams(self) -> impl Iterator<Item = S> {
        self.children.into_iter().filter_map(|child| child.stream)
    }

    /// Returns the streams that have not ended.
    pub(crate) fn streams_mut(&mut self) -> impl Iterator<Item = &mut S> {
        self.children.iter_mut().filter_map(|child| child.stream.as_mut())
    }

    /// Polls for the next item of any stream; `None` once all have ended.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let count = self.children.len();
        for place in (self.turn..count).chain(0..self.turn) {
            let child = &mut self.children[place];
            if !child.is_due() {
                continue;
            }
            let Some(stream) = &mut child.stream else { continue };
            match Pin::new(stream).poll_next(&mut Context::from_waker(&child.waker)) {
                Poll::Ready(Some(item)) => {
                    child.is_ready = true;
                    // Continue after this one, so that a busy stream does not starve the others.
                    self.turn = (place + 1) % count;
                    return Poll::Ready(Some(item));
                }
                Poll::Ready(None) => {
                    (child.stream, child.is_ready) = (None, false);
                    self.left -= 1;
                }
                Poll::Pending => child.is_ready = false,
            }
        }
        if self.left == 0 {
            return Poll::Ready(None);
        }
        self.parent.register(cx.waker());
        // A wake-up before the waker was registered had no effect. The stream is not polled now,
        // because one that wakes itself while it is polled yields to other tasks.
        if self.children.iter().any(|child| child.flag.is_set.load(Ordering::Acquire)) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
