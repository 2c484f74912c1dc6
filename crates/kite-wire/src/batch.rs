//! A received frame that consumers share: the bytes from the socket, decoded during iteration.

use core::ops::Range;

use bytes::Bytes;

use crate::error::FrameFault;
use crate::frame::{Frame, Packets};
use crate::packet::{Packet, PacketKind};
use crate::scan::Stride;
use crate::tick::Tick;

/// The ticks of one binary frame, in the bytes as received.
///
/// Cloning costs one reference count; ticks are decoded during iteration. Holding a batch keeps the
/// whole read buffer in memory; [`TickBatch::detach`] copies it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TickBatch {
    bytes: Bytes,
    packets: u16,
    skipped: u16,
}

/// Steps through the packets of a frame that it owns; an iterator would have to borrow the frame.
///
/// The frame is not checked and should come from [`TickBatch::as_bytes`]; the cursor ends at the
/// first incomplete packet.
#[derive(Debug, Clone)]
pub struct PacketCursor {
    frame: Bytes,
    offset: usize,
    stride: Stride,
}

impl PacketCursor {
    /// Creates a cursor before the first packet.
    #[inline]
    #[must_use]
    pub fn new(good: Bytes) -> Self {
        // The packets start after the two-byte count.
        Self { frame: good, offset: 2, stride: Stride::default() }
    }

    /// Advances to the next packet of known length; `None` at the end of the frame.
    #[inline]
    pub fn next_packet(&mut self) -> Option<Packet<'_>> {
        let body = self.step()?;
        Packet::checked(&self.frame[body])
    }

    /// Advances to the next packet of this layout and returns its bytes, shared with the frame;
    /// `None` at the end of the frame.
    #[inline]
    pub fn next_bytes_of(&mut self, kind: PacketKind) -> Option<Bytes> {
        loop {
            let body = self.step()?;
            if body.len() == kind.packet_len() {
                return Some(self.frame.slice(body));
            }
        }
    }

    /// Advances past the next packet of known length and returns its position.
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

/// The good part of a frame with a damaged tail, and what is wrong with the rest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("frame damaged after {} whole packets; {bytes_left} bytes discarded: {fault}", batch.len() + usize::from(batch.skipped()))]
pub struct DamagedFrame {
    /// The packets before the damage.
    pub batch: TickBatch,
    /// What is wrong after them.
    pub fault: FrameFault,
    /// Number of bytes discarded.
    pub bytes_left: usize,
    /// The frame as received.
    pub frame: Bytes,
}

impl TickBatch {
    /// Checks a binary frame.
    ///
    /// # Errors
    /// Returns an error if the frame's tail is damaged. It holds the batch of the good packets
    /// before it.
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

    /// Wraps a frame known to hold this many packets, all of known length.
    pub(crate) fn built(frame: Bytes, packets: u16) -> Self {
        Self { bytes: frame, packets, skipped: 0 }
    }

    /// Returns the number of ticks.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        usize::from(self.packets)
    }

    /// Returns whether there are no ticks, as in a heartbeat.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.packets == 0
    }

    /// Returns the number of packets of unknown length, which are not among the ticks.
    #[inline]
    #[must_use]
    pub fn skipped(&self) -> u16 {
        self.skipped
    }

    /// Returns the checked frame.
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

    /// Iterates over owned ticks, each decoded when reached. To read whole ticks, `for_each` is
    /// faster than a `for` loop; to keep them, so is [`Frame::append_ticks`].
    #[inline]
    pub fn iter(&self) -> BatchIter<'_> {
        BatchIter { packets: self.packets() }
    }

    /// Returns the frame's bytes, without a damaged tail.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Copies the frame out of its read buffer, so that holding it keeps no other memory alive.
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

    #[inline]
    fn fold<B, F: FnMut(B, Tick) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        while let Some(run) = self.packets.next_run() {
            folded = run.fold(folded, &mut f);
        }
        folded
    }
}

impl ExactSizeIterator for BatchIter<'_> {}
impl core::iter::FusedIterator for BatchIter<'_> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_good_packets_of_a_damaged_frame_share_its_memory() {
        let frame = Bytes::from_static(&[0, 2, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 8, 1]);
        let damaged = TickBatch::new(frame.clone()).unwrap_err();
        assert_eq!((damaged.batch.len(), damaged.bytes_left), (1, 3));
        assert_eq!(damaged.batch.as_bytes().as_ptr(), frame.as_ptr());
        assert_eq!(damaged.batch.as_bytes().len(), 12);
        assert_eq!(damaged.batch.iter().map(|tick| tick.last_price).sum::<i32>(), 5);
    }

    #[test]
    fn a_damaged_frame_is_an_error_whose_text_names_the_fault() {
        use core::error::Error;
        use std::format;
        use std::string::ToString;

        // A packet of unknown length, one LTP packet, and a third that is truncated.
        let frame = [0, 3, 0, 1, 9, 0, 8, 0, 0, 0, 1, 0, 0, 0, 5, 0, 8, 1];
        let damaged = TickBatch::new(Bytes::copy_from_slice(&frame)).unwrap_err();
        let text = "frame damaged after 2 whole packets; 3 bytes discarded";
        assert_eq!(damaged.to_string(), format!("{text}: {}", damaged.fault));
        assert!(damaged.source().is_none(), "the text would name it twice");
    }

    #[test]
    fn a_clone_shares_and_a_detached_batch_does_not() {
        let batch = TickBatch::new(Bytes::from(std::vec![0, 0])).unwrap();
        assert_eq!(batch.clone().as_bytes().as_ptr(), batch.as_bytes().as_ptr());
        assert_ne!(batch.detach().as_bytes().as_ptr(), batch.as_bytes().as_ptr());
        assert_eq!(batch.detach(), batch);
    }

    #[test]
    fn a_cursor_yields_the_packets_of_its_frame_and_ends_with_it() {
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
            assert_eq!(cursor.next_packet(), None, "{end}, called again");
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
