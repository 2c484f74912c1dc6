//! The receiver of a connection's frames and events.

use std::task::{Context, Poll};

use super::batch::Batch;
use crate::observe::Event;

/// Receives what a connection delivers. Called on the hot path: it must not block.
///
/// It is called on the connection's task. A sink that panics ends its connection
/// ([`Event::DeliveryFailed`]). On a connection in place it is called by the task that polls the
/// stream, and panics there.
pub trait Sink: Send + 'static {
    /// Returns whether the sink can accept another batch. While it cannot, the socket is not read,
    /// TCP holds the server back, and the watchdog does not count the silence. The default is
    /// always ready.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Receives a frame, heartbeats included. To keep it, clone it: a clone shares its memory and
    /// costs a reference count.
    fn on_batch(&mut self, batch: &Batch);

    /// Receives an event, in order with the batches: after [`Event::Down`] nothing of that socket
    /// follows. Also called while [`Sink::poll_ready`] is pending.
    fn on_event(&mut self, event: &Event);
}
