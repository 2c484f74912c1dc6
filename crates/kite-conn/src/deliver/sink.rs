//! The receiver of a connection's frames and events.

use std::task::{Context, Poll};

use kite_wire::Command;

use super::batch::Batch;
use super::unread::Unread;
use crate::observe::Event;

/// Receives what a connection delivers. Called on the hot path, so it must not block.
///
/// It is called on the connection's task. A sink that panics ends its connection
/// ([`Event::DeliveryFailed`]). On a connection in place it is called by the task that polls the
/// stream, and a panic surfaces there.
pub trait Sink: Send + 'static {
    /// Returns whether the sink can accept another batch. While it cannot, the socket is not read,
    /// TCP holds the server back, and the watchdog does not count the silence. The default is
    /// always ready.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Receives a frame, including heartbeats. To keep it, clone it; a clone shares its memory and
    /// costs one reference count.
    fn on_batch(&mut self, batch: &Batch);

    /// Receives an event, in order with the batches: after [`Event::Down`] nothing from that socket
    /// follows. Also called while [`Sink::poll_ready`] is pending.
    fn on_event(&mut self, event: &Event);

    /// Receives a command that the connection sends to the server, in order with the batches: its
    /// effect shows in later ones only. A new socket starts without subscriptions, so
    /// [`Event::Up`] is followed by the commands that restore them. The default does nothing.
    fn on_command(&mut self, command: Command<'_>) {
        let _ = command;
    }

    /// Receives instruments that the server no longer sends after their unsubscribe command, in order
    /// with the batches: packets of them that follow are of a later subscription.
    ///
    /// Kite confirms no command. A ping is sent after each unsubscribe command, and this is called
    /// once it is answered, or after 30 s without an answer. It is also called for instruments that
    /// were removed before they were subscribed on the server. A new socket starts without
    /// subscriptions, so [`Event::Up`] means the same for all instruments. The default does nothing.
    fn on_departed(&mut self, tokens: &[u32]) {
        let _ = tokens;
    }

    /// Returns whether the consumers have taken everything that this sink accepted. Polled at the
    /// end of a drain ([`Connection::drain`](crate::Connection::drain)), when no batch follows. The
    /// default is always ready.
    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Ready(())
    }

    /// Called when the connection closes and no longer waits for this sink. If
    /// [`Sink::poll_ready`] is pending after this call, the batch at hand and all later ones are
    /// discarded, and counted in [`Stopped`](crate::Stopped). A sink that feeds several consumers
    /// may always be ready from here on, and count by itself what a consumer had no room for
    /// ([`Sink::unread`]), so that the others receive everything. The default does nothing.
    fn stop_waiting(&mut self) {}

    /// Returns what this sink accepted and its consumers have not taken. Called once, at the end of
    /// the connection. The default is nothing.
    fn unread(&self) -> Unread {
        Unread::default()
    }
}
