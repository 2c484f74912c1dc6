//! Builds a frame from packets of other frames.
//!
//! Grows as packets are pushed; [`FrameEncoder`](crate::FrameEncoder) writes ticks into the
//! caller's buffer.

use alloc::vec;
use alloc::vec::Vec;

#[cfg(feature = "bytes")]
use crate::batch::TickBatch;
use crate::error::EncodeError;
use crate::packet::Packet;

/// A frame under construction, from packets as received.
///
/// ```
/// use kite_wire::{Frame, FrameBuilder, Mode};
///
/// # let quote = { let mut quote = [0; 48]; (quote[1], quote[3]) = (1, 44); quote };
/// # let received = &quote;
/// let mut frame = FrameBuilder::new();
/// for packet in Frame::walk(received).packets() {
///     frame.push(packet.in_mode(Mode::Ltp))?;
/// }
/// assert_eq!(frame.finish().len(), 2 + 2 + 8);
/// # Ok::<(), kite_wire::EncodeError>(())
/// ```
#[derive(Debug, Clone)]
pub struct FrameBuilder {
    /// Begins with the two bytes of the packet count, which [`FrameBuilder::finish`] sets.
    frame: Vec<u8>,
    packets: u16,
}

impl FrameBuilder {
    /// Starts an empty frame.
    #[must_use]
    pub fn new() -> Self {
        Self { frame: vec![0; 2], packets: 0 }
    }

    /// Starts an empty frame with room for `bytes` bytes of packets, including the two-byte length
    /// of each.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        let mut frame = Vec::with_capacity(2 + bytes);
        frame.resize(2, 0);
        Self { frame, packets: 0 }
    }

    /// Adds a packet.
    ///
    /// # Errors
    /// Returns [`EncodeError::TooManyPackets`] if the frame already holds 65,535 packets, the
    /// maximum; the frame is unchanged.
    #[inline]
    pub fn push(&mut self, packet: Packet<'_>) -> Result<(), EncodeError> {
        self.packets = self.packets.checked_add(1).ok_or(EncodeError::TooManyPackets)?;
        let packet = packet.as_bytes();
        // The longest layout has 184 bytes.
        self.frame.extend_from_slice(&(packet.len() as u16).to_be_bytes());
        self.frame.extend_from_slice(packet);
        Ok(())
    }

    /// Returns the number of packets so far.
    #[inline]
    #[must_use]
    pub fn packets(&self) -> u16 {
        self.packets
    }

    /// Returns the frame, without spare capacity.
    #[must_use]
    pub fn finish(mut self) -> Vec<u8> {
        self.frame[..2].copy_from_slice(&self.packets.to_be_bytes());
        self.frame.shrink_to_fit();
        self.frame
    }

    /// Returns the frame as a batch, without checking its packets again.
    #[cfg(feature = "bytes")]
    #[must_use]
    pub fn finish_batch(self) -> TickBatch {
        let packets = self.packets;
        TickBatch::built(self.finish().into(), packets)
    }
}

impl Default for FrameBuilder {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::mode::Mode;
    use crate::packet::PacketKind;

    #[test]
    fn packets_are_in_order_and_cut_to_their_mode() {
        let bytes: Vec<u8> = (0..184).collect();
        let full = Packet::from_bytes(&bytes).unwrap();
        let index = Packet::from_bytes(&bytes[..32]).unwrap();
        let mut frame = FrameBuilder::with_capacity(2 + 184 + 2 + 44 + 2 + 28 + 2 + 8);
        for packet in
            [full, full.in_mode(Mode::Quote), index.in_mode(Mode::Quote), index.in_mode(Mode::Ltp)]
        {
            frame.push(packet).unwrap();
        }
        assert_eq!(frame.packets(), 4);
        let frame = frame.finish();
        let kinds = [PacketKind::Full, PacketKind::Quote, PacketKind::IndexQuote, PacketKind::Ltp];
        let walked = Frame::walk(&frame);
        assert_eq!((walked.fault(), walked.skipped(), frame.capacity()), (None, 0, frame.len()));
        assert!(walked.packets().map(Packet::kind).eq(kinds));
        assert!(walked.packets().all(|packet| bytes.starts_with(packet.as_bytes())));
    }

    #[test]
    fn a_packet_beyond_65_535_is_rejected_and_changes_nothing() {
        let bytes = [0; 8];
        let packet = Packet::from_bytes(&bytes).unwrap();
        let mut frame = FrameBuilder::new();
        for _ in 0..u16::MAX {
            frame.push(packet).unwrap();
        }
        assert_eq!(frame.push(packet), Err(EncodeError::TooManyPackets));
        assert_eq!(Frame::walk(&frame.finish()).packets().len(), usize::from(u16::MAX));
    }

    #[test]
    fn a_builder_without_packets_returns_an_empty_frame() {
        assert_eq!(FrameBuilder::new().finish(), [0, 0]);
    }

    #[cfg(feature = "bytes")]
    #[test]
    fn a_built_batch_is_the_walked_one() {
        let bytes = [7; 44];
        let packet = Packet::from_bytes(&bytes).unwrap();
        let mut frame = FrameBuilder::new();
        frame.push(packet).unwrap();
        frame.push(packet.in_mode(Mode::Ltp)).unwrap();
        let walked = TickBatch::new(frame.clone().finish().into()).unwrap();
        assert_eq!(frame.finish_batch(), walked);
    }
}
