//! What takes the frames and events of a connection.

use std::task::{Context, Poll};

use super::batch::Batch;
use crate::observe::Event;

/// Takes what a connection delivers. Called on the hot path: it must not block.
///
/// It is called on the connection's task, or with [`ConnectionConfig::parser_queue`] on a task of
/// its own behind that queue. A sink that panics ends its connection ([`Event::DeliveryFailed`]);
/// beside a stream in place it is called by whoever polls that, and panics there.
///
/// [`ConnectionConfig::parser_queue`]: crate::ConnectionConfig::parser_queue
pub trait Sink: Send + 'static {
    /// Says whether another batch can be taken. While it cannot, the socket is not read and TCP
    /// holds the server back; the watchdog knows that the silence is ours. The default always can.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Says whether frames wait for another task, as a rule. Then the connection's task gives way
    /// to it now and then, before so many wait that they no longer fit into the processor's caches.
    /// It may be asked at any time. The default is that they do not.
    fn keeps_frames(&self) -> bool {
        false
    }

    /// Takes a frame, heartbeats included.
    fn on_batch(&mut self, batch: Batch);

    /// Takes a frame that others are given too. The default takes a clone of it; a sink that does
    /// not keep what it is given can do without.
    fn on_shared(&mut self, batch: &Batch) {
        self.on_batch(batch.clone());
    }

    /// Takes an event, in order with the batches: after [`Event::Down`] nothing of that socket
    /// follows. Called also while [`Sink::poll_ready`] is pending, but behind a parser queue, where
    /// events wait their turn.
    fn on_event(&mut self, event: &Event);
}
