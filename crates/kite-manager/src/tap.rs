//! Application sinks that receive everything the connections of a manager receive.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use kite_conn::{Batch, Event, Sink, Unread};
use kite_wire::Command;

use crate::seat::Seat;

/// Creates a sink for each connection of each run. Cheap to clone.
///
/// The sink is called on the task that reads the socket, before the manager's own sinks. It
/// receives every frame, including those of instruments that have moved to another connection in
/// the meantime. A sink that blocks ([`Sink::poll_ready`]) holds its connection back.
#[derive(Clone)]
pub struct Tap(Arc<dyn Fn(Seat) -> Box<dyn Sink> + Send + Sync>);

impl Tap {
    /// Creates a tap from a function that creates its sinks. The function is called while the
    /// manager starts and must not call the manager.
    pub fn new<S, F>(make_sink: F) -> Self
    where
        S: Sink,
        F: Fn(Seat) -> S + Send + Sync + 'static,
    {
        Self(Arc::new(move |seat| Box::new(make_sink(seat))))
    }

    fn sink(&self, seat: Seat) -> Box<dyn Sink> {
        (self.0)(seat)
    }
}

impl fmt::Debug for Tap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tap")
    }
}

/// The sinks of all taps on one connection, in order.
pub(crate) struct TapSinks(Vec<Box<dyn Sink>>);

impl TapSinks {
    pub(crate) fn new(taps: &[Tap], seat: &Seat) -> Self {
        Self(taps.iter().map(|tap| tap.sink(seat.clone())).collect())
    }
}

impl fmt::Debug for TapSinks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TapSinks").field(&self.0.len()).finish()
    }
}

impl Sink for TapSinks {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // All are polled, so that each registers its waker.
        let ready = self.0.iter_mut().map(|sink| sink.poll_ready(cx));
        if ready.filter(Poll::is_pending).count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        for sink in &mut self.0 {
            sink.on_batch(batch);
        }
    }

    fn on_event(&mut self, event: &Event) {
        for sink in &mut self.0 {
            sink.on_event(event);
        }
    }

    fn on_command(&mut self, command: Command<'_>) {
        for sink in &mut self.0 {
            sink.on_command(command);
        }
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        for sink in &mut self.0 {
            sink.on_departed(tokens);
        }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let drained = self.0.iter_mut().map(|sink| sink.poll_drained(cx));
        if drained.filter(Poll::is_pending).count() == 0 { Poll::Ready(()) } else { Poll::Pending }
    }

    fn stop_waiting(&mut self) {
        self.0.iter_mut().for_each(Sink::stop_waiting);
    }

    fn unread(&self) -> Unread {
        self.0.iter().map(Sink::unread).sum()
    }
}
