//! The last packet of each instrument, for snapshots.

use std::collections::HashMap;

use kite_wire::{Frame, FullPacket, Mode, Packet, PacketKind};

/// The last packet of each instrument.
///
/// The packets are copied, because a view would keep the whole memory alive that it was read into.
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
    /// Takes over the packets of a frame.
    pub fn add(&mut self, frame: &Frame<'_>) {
        for packet in frame.packets() {
            self.last
                .entry(packet.instrument_token())
                .and_modify(|last| last.set(packet))
                .or_insert_with(|| Last::new(packet));
        }
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
}
