//! Packets waiting to be encoded, copied one after the other.

use kite_wire::Packet;
use kite_wire::tape::Received;

/// Length of the longest packet.
const PACKET_BYTES: usize = 184;

/// Packets, each with its receive time and source.
#[derive(Debug, Default)]
pub(crate) struct Chunk {
    /// Receive time, source and length of each packet.
    rows: Vec<(Received, u8)>,
    packets: Vec<u8>,
}

impl Chunk {
    /// Returns a chunk with room for this many full packets.
    pub(crate) fn with_room(rows: usize) -> Self {
        Self { rows: Vec::with_capacity(rows), packets: Vec::with_capacity(rows * PACKET_BYTES) }
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn clear(&mut self) {
        self.rows.clear();
        self.packets.clear();
    }

    #[inline]
    pub(crate) fn push(&mut self, received: Received, packet: Packet<'_>) {
        let bytes = packet.as_bytes();
        // Layouts have at most 184 bytes.
        self.rows.push((received, bytes.len() as u8));
        self.packets.extend_from_slice(bytes);
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Received, Packet<'_>)> {
        let mut rest = self.packets.as_slice();
        self.rows.iter().filter_map(move |&(received, len)| {
            let (packet, tail) = rest.split_at_checked(len.into())?;
            rest = tail;
            Some((received, Packet::from_bytes(packet).ok()?))
        })
    }
}
