//! What takes the frames and events of a connection.

use std::task::{Context, Poll};

use super::batch::Batch;
use crate::observe::Event;

/// Takes what a connection delivers. Called on the hot path: it must not block.
///
/// It is called on the connection's task. A sink that panics ends its connection
/// ([`Event::DeliveryFailed`]); beside a stream in place it is called by whoever polls that, and
/// panics there.
pub trait Sink: Send + 'static {
    /// Says whether another batch can be taken. While it cannot, the socket is not read and TCP
    /// holds the server back; the watchdog knows that the silence is ours. The default always can.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Takes a frame, heartbeats included. A clone of it shares its memory: one that keeps frames
    /// clones, at the cost of a reference count.
    fn on_batch(&mut self, batch: &Batch);

    /// Takes an event, in order with the batches: after [`Event::Down`] nothing of that socket
    /// follows. Called also while [`Sink::poll_ready`] is pending.
    fn on_event(&mut self, event: &Event);
}
