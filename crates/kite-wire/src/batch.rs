//! A received frame that consumers share: the socket's bytes, decoded on iteration.

use core::ops::Range;

use bytes::Bytes;

use crate::error::FrameFault;
use crate::frame::{Frame, Packets};
use crate::packet::{Packet, PacketKind};
use crate::scan::Stride;
use crate::tick::Tick;

/// The ticks of one binary frame, still in the bytes they came in.
///
/// Cloning costs one reference count; ticks are decoded while iterating. A batch that is kept pins
/// the memory that it was read into: [`TickBatch::detach`] copies it to its own size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickBatch {
    bytes: Bytes,
    packets: u16,
    skipped: u16,
}

/// Steps through the packets of a frame that it owns, where an iterator would have to borrow.
///
/// It trusts the frame to be a good part ([`TickBatch::as_bytes`]): where the bytes of a packet are
/// not whole, it ends.
#[derive(Debug, Clone)]
pub struct PacketCursor {
    frame: Bytes,
    offset: usize,
    stride: Stride,
}

impl PacketCursor {
    /// Starts before the first packet.
    #[inline]
    #[must_use]
    pub fn new(good: Bytes) -> Self {
        // The packets start behind the two bytes of their count.
        Self { frame: good, offset: 2, stride: Stride::default() }
    }

    /// Steps to the next packet of known length; `None` at the frame's end.
    #[inline]
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        let body = self.step()?;
        Packet::checked(&self.frame[body])
    }

    /// Steps to the next packet of this layout and gives its bytes, shared with the frame; `None`
    /// at the frame's end.
    #[inline]
    pub fn next_bytes_of(&mut self, kind: PacketKind) -> Option<Bytes> {
        loop {
            let body = self.step()?;
            if body.len() == kind.packet_len() {
                return Some(self.frame.slice(body));
            }
        }
    }

    /// Steps over the next packet of known length and says where it stands.
    #[inline]
    fn step(&mut self) -> Option<Range<usize>> {
        let mut rest = self.frame.get(self.offset..)?;
        loop {
            let length = self.stride.split_body(&mut rest)?.len();
            self.offset = self.frame.len() - rest.len();
            if self.stride.is_known() {
                return Some(self.offset - length..self.offset);
            }
        }
    }
}

/// A frame with a damaged tail: its good part, and what is wrong with the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frame damaged behind {} whole packets, {bytes_left} bytes are cut off", batch.len() + usize::from(batch.skipped()))]
pub struct DamagedFrame {
    /// The packets before the damage.
    pub batch: TickBatch,
    /// What is wrong behind them.
    #[source]
    pub fault: FrameFault,
    /// How many bytes were cut off.
    pub bytes_left: usize,
    /// The frame as it came.
    pub frame: Bytes,
}

impl TickBatch {
    /// Checks a binary frame.
    ///
    /// # Errors
    /// The frame's tail is damaged. The error holds the batch of the good packets before it.
    pub fn new(frame: Bytes) -> Result<Self, DamagedFrame> {
        let walked = Frame::walk(&frame);
        let good = walked.as_bytes().len();
        let packets = u16::try_from(walked.packets().len()).unwrap_or(u16::MAX);
        let (skipped, fault, bytes_left) = (walked.skipped(), walked.fault(), walked.bytes_left());
        match fault {
            None => Ok(Self { bytes: frame, packets, skipped }),
            Some(fault) => Err(DamagedFrame {
                batch: Self { bytes: frame.slice(..good), packets, skipped },
                fault,
                bytes_left,
                frame,
            }),
        }
    }

    /// Trusts that the frame holds so many packets, all of known lengths.
    pub(crate) fn built(frame: Bytes, packets: u16) -> Self {
        Self { bytes: frame, packets, skipped: 0 }
    }

    /// Gives the number of ticks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.packets)
    }

    /// Says whether there is no tick, as in a heartbeat.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Gives the number of packets of unknown length, which are not among the ticks.
    #[inline]
    #[must_use]
    pub fn skipped(&self) -> u16 {
        self.skipped
    }

    /// Gives the checked frame.
    #[inline]
    #[must_use]
    pub fn frame(&self) -> Frame<'_> {
        Frame::walked(&self.bytes, self.packets, self.skipped)
    }

    /// Iterates over zero-copy views.
    #[inline]
    #[must_use]
    pub fn packets(&self) -> Packets<'_> {
        self.frame().packets()
    }

    /// Iterates over owned ticks, each decoded when it is asked for.
    #[inline]
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter { packets: self.packets() }
    }

    /// Gives the frame's bytes (the good part of them).
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Copies the frame out of the memory it was read into, so that keeping it pins nothing else.
    #[must_use]
    pub fn detach(&self) -> Self {
        Self { bytes: Bytes::copy_from_slice(&self.bytes), ..*self }
    }
}

impl<'a> IntoIterator for &'a TickBatch {
    type Item = Tick;
    type IntoIter = BatchIter<'a>;

    fn into_iter(self) -> BatchIter<'a> {
        self.iter()
    }
}

/// Iterator over the owned ticks of a [`TickBatch`].
#[derive(Debug, Clone)]
pub struct BatchIter<'a> {
    packets: Packets<'a>,
}

impl Iterator for BatchIter<'_> {
    type Item = Tick;

    #[inline]
    fn next(&mut self) -> Option<Tick> {
        self.packets.next().map(Tick::from)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.packets.size_hint()
    }
}

impl ExactSizeIterator for BatchIter<'_> {}
impl core::iter::FusedIterator for BatchIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_frame_gives_its_good_packets_in_a_slice_of_the_same_memory() {
        let frame = Bytes::from_static(&[0, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 8, 1]);
        let damaged = TickBatch::new(frame.clone()).unwrap_err();
        assert_eq!((damaged.batch.len(), damaged.bytes_left), (1, 3));
        assert_eq!(damaged.batch.as_bytes().as_ptr(), frame.as_ptr());
        assert_eq!(damaged.batch.as_bytes().len(), 12);
        assert_eq!(damaged.batch.iter().map(|tick| tick.last_price).sum::<i32>(), 5);
    }

    #[test]
    fn a_damaged_frame_is_an_error_whose_source_is_the_fault() {
        use core::error::Error;
        use std::string::ToString;

        // A packet of unknown length, one LTP packet, and a third that is cut.
        let frame = [0, 3, 0, 1, 9, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 8, 1];
        let damaged = TickBatch::new(Bytes::copy_from_slice(&frame)).unwrap_err();
        assert_eq!(
            damaged.to_string(),
            "frame damaged behind 2 whole packets, 3 bytes are cut off"
        );
        let source = damaged.source().and_then(|source| source.downcast_ref());
        assert_eq!(source, Some(&damaged.fault));
    }

    #[test]
    fn a_clone_shares_and_a_detached_batch_does_not() {
        let batch = TickBatch::new(Bytes::from(std::vec![0, 0])).unwrap();
        assert_eq!(batch.clone().as_bytes().as_ptr(), batch.as_bytes().as_ptr());
        assert_ne!(batch.detach().as_bytes().as_ptr(), batch.as_bytes().as_ptr());
        assert_eq!(batch.detach(), batch);
    }

    #[test]
    fn a_cursor_gives_the_packets_of_its_frame_and_ends_with_it() {
        // An LTP packet, one of an unknown length, another LTP packet.
        let mut frame = std::vec![0, 3, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5];
        frame.extend([0, 3, 9, 9, 9, 0, 8, 0, 0, 0, 2, 0, 0, 0, 6]);
        for end in 0..=frame.len() {
            let bytes = Bytes::copy_from_slice(&frame[..end]);
            let whole = Frame::walk(&bytes).packets();
            let mut cursor = PacketCursor::new(bytes.clone());
            for packet in whole {
                assert_eq!(cursor.next_packet(), Some(packet), "{end}");
            }
            assert_eq!(cursor.next_packet(), None, "{end}");
            assert_eq!(cursor.next_packet(), None, "{end}, asked again");
            let mut cursor = PacketCursor::new(bytes.clone());
            for packet in Frame::walk(&bytes).packets() {
                let shared = cursor.next_bytes_of(PacketKind::Ltp).unwrap();
                assert_eq!(shared.as_ptr(), packet.as_bytes().as_ptr());
                assert_eq!(shared, packet.as_bytes());
            }
            assert_eq!(cursor.next_bytes_of(PacketKind::Ltp), None);
            assert_eq!(PacketCursor::new(bytes).next_bytes_of(PacketKind::Full), None);
        }
    }
}
