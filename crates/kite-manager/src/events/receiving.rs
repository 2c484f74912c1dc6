//! A broadcast receiver that can be polled.

use std::fmt;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker, ready};

use futures_core::Stream;
use futures_util::future::poll_fn;
use kite_conn::{EventReceiver, Tagged, TryRecvError};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::unconstrained;

use crate::events::ManagerEvent;

/// Returns the next item of a stream if it is ready; registers no waker.
pub(super) fn poll_once<S: Stream + Unpin>(stream: &mut S) -> Result<S::Item, TryRecvError> {
    // Unconstrained by the task's coop budget, so that a queued item is always returned.
    let next = unconstrained(poll_fn(|cx| Pin::new(&mut *stream).poll_next(cx)));
    match pin!(next).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(item) => item.ok_or(TryRecvError::Ended),
        Poll::Pending => Err(TryRecvError::Empty),
    }
}

/// The receiving end of a broadcast channel.
pub(super) trait Broadcast: Send + Sized + 'static {
    type Item: Send + 'static;

    /// Waits for the next item.
    fn next(&mut self) -> impl Future<Output = Result<Self::Item, RecvError>> + Send;
}

impl Broadcast for EventReceiver {
    type Item = Tagged;

    fn next(&mut self) -> impl Future<Output = Result<Tagged, RecvError>> + Send {
        self.recv()
    }
}

impl Broadcast for broadcast::Receiver<ManagerEvent> {
    type Item = ManagerEvent;

    fn next(&mut self) -> impl Future<Output = Result<ManagerEvent, RecvError>> + Send {
        self.recv()
    }
}

type Received<R> = (Result<<R as Broadcast>::Item, RecvError>, R);

/// A broadcast receiver that can be polled. Its future is kept between polls, so that it keeps its
/// place in the queue of waiters.
pub(super) struct Receiving<R: Broadcast> {
    next: Pin<Box<dyn Future<Output = Received<R>> + Send>>,
    has_ended: bool,
}

impl<R: Broadcast> Receiving<R> {
    pub(super) fn new(receiver: R) -> Self {
        Self { next: Box::pin(receive(receiver)), has_ended: false }
    }

    /// Returns the next item, or how many were missed; `None` once the sender has been dropped.
    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<R::Item, u64>>> {
        if self.has_ended {
            return Poll::Ready(None);
        }
        let (received, receiver) = ready!(self.next.as_mut().poll(cx));
        self.next = Box::pin(receive(receiver));
        Poll::Ready(match received {
            Ok(item) => Some(Ok(item)),
            Err(RecvError::Lagged(missed)) => Some(Err(missed)),
            Err(RecvError::Closed) => {
                self.has_ended = true;
                None
            }
        })
    }
}

async fn receive<R: Broadcast>(mut receiver: R) -> Received<R> {
    (receiver.next().await, receiver)
}

impl<R: Broadcast> fmt::Debug for Receiving<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving").finish_non_exhaustive()
    }
}
