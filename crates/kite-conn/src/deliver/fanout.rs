//! Several sinks on one connection.

use std::task::{Context, Poll};

use kite_wire::Command;

use super::batch::Batch;
use super::sink::Sink;
use super::unread::Unread;
use crate::observe::Event;

/// Delivers everything to both sinks. Nest pairs for more.
///
/// A pair is ready when both are; one that blocks delays the other too. Either may be polled again
/// after it was ready, before the next batch.
impl<A: Sink, B: Sink> Sink for (A, B) {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Both are polled, so that each registers the waker.
        let (first, second) = (self.0.poll_ready(cx), self.1.poll_ready(cx));
        if first.is_ready() { second } else { first }
    }

    fn on_batch(&mut self, batch: &Batch) {
        self.0.on_batch(batch);
        self.1.on_batch(batch);
    }

    fn on_event(&mut self, event: &Event) {
        self.0.on_event(event);
        self.1.on_event(event);
    }

    fn on_command(&mut self, command: Command<'_>) {
        self.0.on_command(command);
        self.1.on_command(command);
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        self.0.on_departed(tokens);
        self.1.on_departed(tokens);
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (first, second) = (self.0.poll_drained(cx), self.1.poll_drained(cx));
        if first.is_ready() { second } else { first }
    }

    fn stop_waiting(&mut self) {
        self.0.stop_waiting();
        self.1.stop_waiting();
    }

    fn unread(&self) -> Unread {
        self.0.unread() + self.1.unread()
    }
}

/// Discards everything.
impl Sink for () {
    fn on_batch(&mut self, _: &Batch) {}

    fn on_event(&mut self, _: &Event) {}
}

/// Delivers if there is a sink.
impl<S: Sink> Sink for Option<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.as_mut().map_or(Poll::Ready(()), |sink| sink.poll_ready(cx))
    }

    fn on_batch(&mut self, batch: &Batch) {
        if let Some(sink) = self {
            sink.on_batch(batch);
        }
    }

    fn on_event(&mut self, event: &Event) {
        if let Some(sink) = self {
            sink.on_event(event);
        }
    }

    fn on_command(&mut self, command: Command<'_>) {
        if let Some(sink) = self {
            sink.on_command(command);
        }
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        if let Some(sink) = self {
            sink.on_departed(tokens);
        }
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.as_mut().map_or(Poll::Ready(()), |sink| sink.poll_drained(cx))
    }

    fn stop_waiting(&mut self) {
        if let Some(sink) = self {
            sink.stop_waiting();
        }
    }

    fn unread(&self) -> Unread {
        self.as_ref().map_or_else(Unread::default, Sink::unread)
    }
}

/// Delivers to a sink of any type.
impl<S: Sink + ?Sized> Sink for Box<S> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_ready(cx)
    }

    fn on_batch(&mut self, batch: &Batch) {
        (**self).on_batch(batch);
    }

    fn on_event(&mut self, event: &Event) {
        (**self).on_event(event);
    }

    fn on_command(&mut self, command: Command<'_>) {
        (**self).on_command(command);
    }

    fn on_departed(&mut self, tokens: &[u32]) {
        (**self).on_departed(tokens);
    }

    fn poll_drained(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        (**self).poll_drained(cx)
    }

    fn stop_waiting(&mut self) {
        (**self).stop_waiting();
    }

    fn unread(&self) -> Unread {
        (**self).unread()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use kite_wire::TickBatch;

    use super::*;
    use crate::clock::Stamp;
    use crate::deliver::lane::{LaneConfig, LaneItem, Overflow, lane};

    struct Counts(u32);

    impl Sink for Counts {
        fn on_batch(&mut self, _: &Batch) {
            self.0 += 1;
        }

        fn on_event(&mut self, _: &Event) {
            self.0 += 100;
        }

        fn on_command(&mut self, _: Command<'_>) {
            self.0 += 10_000;
        }

        fn on_departed(&mut self, _: &[u32]) {
            self.0 += 1_000_000;
        }
    }

    fn batch() -> Batch {
        let frame = Bytes::from_static(&[0, 1, 0, 8, 0, 0, 0, 7, 0, 0, 0, 9]);
        Batch::new(TickBatch::new(frame).unwrap(), Stamp::now(), 1, 1)
    }

    #[test]
    fn both_receive_everything_in_the_same_memory() {
        let (first, mut one) = lane(LaneConfig::default()).unwrap();
        let (second, mut other) = lane(LaneConfig::default()).unwrap();
        let mut all = ((first, second), Some(Box::new(Counts(0))));
        let given = batch();
        all.on_batch(&given);
        all.on_event(&Event::Closed { clean: true });
        all.on_command(Command::Subscribe(&[7]));
        all.on_departed(&[7]);
        for lane in [&mut one, &mut other] {
            let Ok(LaneItem::Batch(taken)) = lane.try_recv() else { panic!("no batch") };
            assert_eq!(taken.frame().as_ptr(), given.frame().as_ptr());
        }
        assert_eq!(all.1.unwrap().0, 1_010_101);
    }

    #[test]
    fn either_sink_that_blocks_blocks_the_pair() {
        let config = LaneConfig { frames: 1, ..LaneConfig::default() };
        let waker = std::task::Waker::noop();
        for blocking_first in [true, false] {
            let (blocking, mut taker) = lane(config.clone()).unwrap();
            let (free, _free) =
                lane(LaneConfig { overflow: Overflow::DropOldest, ..config.clone() }).unwrap();
            let mut pair = if blocking_first { (blocking, free) } else { (free, blocking) };
            assert!(pair.poll_ready(&mut Context::from_waker(waker)).is_ready());
            pair.on_batch(&batch());
            assert!(pair.poll_ready(&mut Context::from_waker(waker)).is_pending());
            taker.try_recv().unwrap();
            assert!(pair.poll_ready(&mut Context::from_waker(waker)).is_ready());
        }
    }
}
