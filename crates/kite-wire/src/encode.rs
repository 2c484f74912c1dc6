//! Builds binary frames from ticks, for simulators, tests and recordings.

use crate::error::EncodeError;
use crate::tick::Tick;

/// Builds one binary frame in the caller's buffer.
///
/// ```
/// use kite_wire::{Fields, Frame, FrameEncoder, Tick};
///
/// let tick = Tick { instrument_token: 408_065, last_price: 157_370, fields: Fields::Ltp };
/// let mut buffer = [0; 64];
/// let mut frame = FrameEncoder::new(&mut buffer)?;
/// frame.push(&tick)?;
/// let bytes = frame.finish();
/// assert_eq!(Tick::from(Frame::walk(bytes).packets().next().unwrap()), tick);
/// # Ok::<(), kite_wire::EncodeError>(())
/// ```
#[derive(Debug)]
pub struct FrameEncoder<'b> {
    buffer: &'b mut [u8],
    len: usize,
    packets: u16,
}

impl<'b> FrameEncoder<'b> {
    /// Starts an empty frame.
    ///
    /// # Errors
    /// Returns [`EncodeError::BufferFull`] if the buffer cannot hold the two bytes of the packet
    /// count.
    pub fn new(buffer: &'b mut [u8]) -> Result<Self, EncodeError> {
        let free = buffer.len();
        let count = buffer.get_mut(..2).ok_or(EncodeError::BufferFull { needed: 2, free })?;
        count.fill(0);
        Ok(Self { buffer, len: 2, packets: 0 })
    }

    /// Adds a tick as a packet.
    ///
    /// # Errors
    /// Returns an error if the buffer is full or the frame already holds 65,535 packets; the frame
    /// is unchanged.
    #[inline]
    pub fn push(&mut self, tick: &Tick) -> Result<(), EncodeError> {
        let length = tick.kind().packet_len();
        let room = self.reserve(length)?;
        tick.encode(room)?;
        self.commit(length);
        Ok(())
    }

    /// Adds the bytes of a packet as they are, even if no layout has their length.
    ///
    /// # Errors
    /// Returns an error if [`FrameEncoder::push`] would, or if the packet is longer than 65,535
    /// bytes.
    pub fn push_bytes(&mut self, packet: &[u8]) -> Result<(), EncodeError> {
        self.reserve(packet.len())?.copy_from_slice(packet);
        self.commit(packet.len());
        Ok(())
    }

    /// Returns the number of packets so far.
    #[must_use]
    pub fn packets(&self) -> u16 {
        self.packets
    }

    /// Returns the frame's bytes.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        &self.buffer[..self.len]
    }

    /// Writes a packet's length and returns the room for its body.
    #[inline]
    fn reserve(&mut self, length: usize) -> Result<&mut [u8], EncodeError> {
        let declared = u16::try_from(length).map_err(|_| EncodeError::PacketTooLong { length })?;
        if self.packets == u16::MAX {
            return Err(EncodeError::TooManyPackets);
        }
        let free = self.buffer.len() - self.len;
        let room = self.buffer[self.len..]
            .get_mut(..2 + length)
            .ok_or(EncodeError::BufferFull { needed: 2 + length, free })?;
        let (prefix, body) = room.split_at_mut(2);
        prefix.copy_from_slice(&declared.to_be_bytes());
        Ok(body)
    }

    #[inline]
    fn commit(&mut self, length: usize) {
        self.len += 2 + length;
        self.packets += 1;
        self.buffer[..2].copy_from_slice(&self.packets.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;
    use crate::tick::Fields;

    #[test]
    fn a_rejected_packet_leaves_the_frame_unchanged() {
        let mut buffer = [0; 20];
        let mut frame = FrameEncoder::new(&mut buffer).unwrap();
        let tick = Tick { instrument_token: 9, last_price: -1, fields: Fields::Ltp };
        frame.push(&tick).unwrap();
        assert_eq!(frame.push(&tick), Err(EncodeError::BufferFull { needed: 10, free: 8 }));
        assert_eq!(frame.packets(), 1);
        let bytes = frame.finish();
        assert_eq!(bytes.len(), 12);
        assert_eq!(Frame::walk(bytes).fault(), None);
    }

    #[test]
    fn a_buffer_without_room_for_the_count_is_rejected() {
        assert!(FrameEncoder::new(&mut [0; 1]).is_err());
    }
}
