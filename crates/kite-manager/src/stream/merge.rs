//! Merges streams that do work whenever they are polled: one that has nothing to do is not.
//!
//! To poll a socket that has nothing costs a read that finds nothing. So each stream wakes by a
//! waker of its own, which says which of them to poll.

#[cfg(test)]
mod tests;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_core::Stream;
use futures_util::task::AtomicWaker;

/// Streams that take turns, item by item. Allocates nothing once it is made.
#[derive(Debug)]
pub(crate) struct Merge<S> {
    children: Box<[Child<S>]>,
    /// The child whose turn it is.
    turn: usize,
    /// How many have not ended.
    left: usize,
    parent: Arc<AtomicWaker>,
}

#[derive(Debug)]
struct Child<S> {
    /// `None` once it has ended.
    stream: Option<S>,
    /// Whether it gave something when it was polled last, so that nothing will wake it.
    is_ready: bool,
    bell: Arc<Bell>,
    /// Rings the bell.
    waker: Waker,
}

/// Says that a stream is to be polled.
#[derive(Debug)]
struct Bell {
    rung: AtomicBool,
    parent: Arc<AtomicWaker>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        // Where it was rung before, the parent has been woken, or is about to look.
        if !self.rung.swap(true, Ordering::AcqRel) {
            self.parent.wake();
        }
    }
}

impl<S> Child<S> {
    /// Says whether it is to be polled, and takes the wish for it.
    fn is_due(&mut self) -> bool {
        // Only what was rung is reset: to look is a load.
        self.is_ready
            || (self.bell.rung.load(Ordering::Acquire)
                && self.bell.rung.swap(false, Ordering::AcqRel))
    }
}

impl<S: Stream + Unpin> Merge<S> {
    pub(crate) fn new(streams: impl IntoIterator<Item = S>) -> Self {
        let parent = Arc::new(AtomicWaker::new());
        let child = |stream| {
            let bell = Arc::new(Bell { rung: AtomicBool::new(false), parent: Arc::clone(&parent) });
            let waker = Waker::from(Arc::clone(&bell));
            // Nothing can have woken it yet.
            Child { stream: Some(stream), is_ready: true, bell, waker }
        };
        let children: Box<[Child<S>]> = streams.into_iter().map(child).collect();
        let left = children.len();
        Self { children, turn: 0, left, parent }
    }

    /// Takes the next item of any stream; `None` once all have ended.
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
                    // Behind the one that had its turn: none waits for a busier one.
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
        // What rang before the waker stood there has woken nobody. Not polled here and now: who
        // rings its own bell while it is polled wants to let others run first.
        if self.children.iter().any(|child| child.bell.rung.load(Ordering::Acquire)) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}
