//! Skips reading from a socket of which nothing has arrived.
//!
//! A task that writes each frame to a client is woken for every frame, and clients send next to
//! nothing. Polling a WebSocket for a message each time costs about as much as handing over the
//! frame.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::task::AtomicWaker;

/// Whether a source has woken its reader since it was last polled.
#[derive(Debug)]
pub(crate) struct Readiness {
    is_woken: AtomicBool,
    task: AtomicWaker,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { is_woken: AtomicBool::new(true), task: AtomicWaker::new() }
    }
}

impl Wake for Readiness {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_woken.store(true, Ordering::Release);
        self.task.wake();
    }
}

impl Readiness {
    /// Polls a source unless it was pending and has not woken its reader since.
    pub(crate) fn poll<T>(
        self: &Arc<Self>,
        cx: &mut Context<'_>,
        source: impl FnOnce(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        // Before the flag is read, so that no wake falls between the two.
        self.task.register(cx.waker());
        if !self.is_woken.swap(false, Ordering::AcqRel) {
            return Poll::Pending;
        }
        let waker = Waker::from(Arc::clone(self));
        let polled = source(&mut Context::from_waker(&waker));
        if polled.is_ready() {
            // It may have more.
            self.is_woken.store(true, Ordering::Release);
        }
        polled
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[derive(Default)]
    struct Wakes(AtomicUsize);

    impl Wake for Wakes {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_pending_source_is_polled_again_only_after_it_has_woken_the_newest_task() {
        let readiness = Arc::<Readiness>::default();
        let (first, second) = (Arc::<Wakes>::default(), Arc::<Wakes>::default());
        let (first_waker, second_waker) =
            (Waker::from(Arc::clone(&first)), Waker::from(Arc::clone(&second)));
        let mut source = None;
        let mut polls = 0;
        let mut poll = |waker: &Waker, result: Poll<u8>, source: &mut Option<Waker>| {
            let polled = readiness.poll(&mut Context::from_waker(waker), |cx| {
                polls += 1;
                *source = Some(cx.waker().clone());
                result
            });
            (polled, polls)
        };
        assert_eq!(poll(&first_waker, Poll::Ready(1), &mut source), (Poll::Ready(1), 1));
        // A source that was ready may be so again.
        assert_eq!(poll(&first_waker, Poll::Pending, &mut source), (Poll::Pending, 2));
        assert_eq!(poll(&first_waker, Poll::Ready(1), &mut source), (Poll::Pending, 2));
        assert_eq!(poll(&second_waker, Poll::Ready(1), &mut source), (Poll::Pending, 2));
        source.take().unwrap().wake();
        assert_eq!(first.0.load(Ordering::Relaxed), 0);
        assert_eq!(second.0.load(Ordering::Relaxed), 1);
        assert_eq!(poll(&second_waker, Poll::Ready(2), &mut source), (Poll::Ready(2), 3));
    }
}
