//! The last packet of each instrument, for snapshots.

use std::collections::HashMap;

use bytes::{BufMut as _, Bytes, BytesMut};
use kite_wire::{Frame, FullPacket, MAX_INSTRUMENTS, Mode, Packet, PacketKind};

/// Packets of a frame of all: as many as a socket may subscribe to.
const FRAME_PACKETS: usize = MAX_INSTRUMENTS;

/// Maximum number of instruments, more than Kite lists: about 50 MiB. A tape of a server that sends
/// any token must not exhaust memory.
const MOST: usize = 131_072;

/// The last packet of each instrument.
///
/// The packets are copied, because a view would keep the whole memory alive that it was read into.
/// Those of at most 131,072 instruments are kept.
#[derive(Debug, Default)]
pub struct LatestPackets {
    last: HashMap<u32, Last>,
}

#[derive(Debug)]
struct Last {
    kind: PacketKind,
    bytes: [u8; FullPacket::LEN],
}

impl Last {
    fn new(packet: Packet<'_>) -> Self {
        let mut last = Self { kind: packet.kind(), bytes: [0; FullPacket::LEN] };
        last.set(packet);
        last
    }

    fn set(&mut self, packet: Packet<'_>) {
        self.kind = packet.kind();
        self.bytes[..self.kind.packet_len()].copy_from_slice(packet.as_bytes());
    }
}

impl LatestPackets {
    /// Takes over the packets of a frame. Returns the number of those that it does not keep, because
    /// they are of further instruments than there is room for.
    pub fn add(&mut self, frame: &Frame<'_>) -> u64 {
        let mut not_kept = 0;
        for packet in frame.packets() {
            let token = packet.instrument_token();
            if let Some(last) = self.last.get_mut(&token) {
                last.set(packet);
            } else if self.last.len() < MOST {
                self.last.insert(token, Last::new(packet));
            } else {
                not_kept += 1;
            }
        }
        not_kept
    }

    /// Returns frames of all packets, at most 3,000 in each, in order of their tokens.
    #[must_use]
    pub fn frames(&self) -> Vec<Bytes> {
        let mut tokens: Vec<u32> = self.last.keys().copied().collect();
        tokens.sort_unstable();
        let frame = |tokens: &[u32]| {
            let mut frame = BytesMut::new();
            frame.put_u16(tokens.len() as u16);
            for last in tokens.iter().filter_map(|token| self.last.get(token)) {
                let len = last.kind.packet_len();
                frame.put_u16(len as u16);
                frame.put_slice(&last.bytes[..len]);
            }
            frame.freeze()
        };
        tokens.chunks(FRAME_PACKETS).map(frame).collect()
    }

    /// Returns the last packet of an instrument, cut to a mode. It is leaner than `mode` if the packet
    /// was.
    #[must_use]
    pub fn packet(&self, instrument_token: u32, mode: Mode) -> Option<&[u8]> {
        let last = self.last.get(&instrument_token)?;
        Some(&last.bytes[..last.kind.in_mode(mode).packet_len()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(packet: &[u8]) -> Vec<u8> {
        let length = packet.len() as u8;
        [&[0, 1, 0, length], packet].concat()
    }

    #[test]
    fn the_newest_packet_counts_in_the_mode_it_was_recorded_in() {
        let mut present = LatestPackets::default();
        let mut full = [7; 184];
        full[..4].copy_from_slice(&408_065_u32.to_be_bytes());
        present.add(&Frame::walk(&frame(&full)));
        for (mode, length) in [(Mode::Ltp, 8), (Mode::Quote, 44), (Mode::Full, 184)] {
            assert_eq!(present.packet(408_065, mode), Some(&full[..length]));
        }
        let mut quote = [9; 44];
        quote[..4].copy_from_slice(&full[..4]);
        present.add(&Frame::walk(&frame(&quote)));
        assert_eq!(present.packet(408_065, Mode::Full), Some(&quote[..]));
        assert_eq!(present.packet(884_737, Mode::Full), None);
    }

    #[test]
    fn packets_of_more_instruments_than_there_is_room_for_are_counted_and_not_kept() {
        let mut present = LatestPackets::default();
        let mut add = |token: u32, price: u8| {
            let mut packet = [price; 8];
            packet[..4].copy_from_slice(&token.to_be_bytes());
            present.add(&Frame::walk(&frame(&packet)))
        };
        let most = MOST as u32;
        assert_eq!((0..most + 10).map(|token| add(token, 1)).sum::<u64>(), 10);
        assert_eq!(add(0, 2), 0, "what is kept stays current");
        assert_eq!(present.packet(0, Mode::Ltp), Some(&[0, 0, 0, 0, 2, 2, 2, 2][..]));
        assert_eq!(present.packet(most, Mode::Ltp), None);
    }

    #[test]
    fn the_frames_of_all_packets_hold_each_once() {
        let mut present = LatestPackets::default();
        for token in 0..3_001_u32 {
            let mut packet = [0; 8];
            packet[..4].copy_from_slice(&token.to_be_bytes());
            present.add(&Frame::walk(&frame(&packet)));
        }
        let frames = present.frames();
        let walked: Vec<Frame<'_>> = frames.iter().map(|bytes| Frame::walk(bytes)).collect();
        let tokens = walked.iter().flat_map(|it| it.packets()).map(|it| it.instrument_token());
        assert!(tokens.eq(0..3_001));
        assert_eq!(frames.len(), 2);
    }
}
