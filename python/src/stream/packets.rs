//! The packets of several frames, whose number is known.

use kite_manager::TaggedBatch;
use kite_wire::Packet;
use kite_wire::tape::{Received, Source};

/// Iterates over packets with the times and connections of their frames.
///
/// `left` is the number of packets, by which tables reserve their memory.
pub(crate) fn of_frames(
    frames: &[TaggedBatch],
    left: usize,
) -> impl Iterator<Item = (Received, Packet<'_>)> {
    let packets = frames.iter().flat_map(|tagged| {
        // An account has at most three connections.
        let source = Source { account: 0, connection: tagged.connection as u8 };
        let received = Received { recv_unix_ns: tagged.batch.received.to_unix_ns(), source };
        tagged.packets().map(move |packet| (received, packet))
    });
    Counted { packets, left }
}

struct Counted<I> {
    packets: I,
    left: usize,
}

impl<I: Iterator> Iterator for Counted<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        let next = self.packets.next()?;
        self.left = self.left.saturating_sub(1);
        Some(next)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
