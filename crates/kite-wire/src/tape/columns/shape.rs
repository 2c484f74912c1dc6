//! Where the packets of a frame are.

/// A frame's packets, as far as they are whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) declared: u16,
    pub(super) packets: u16,
    /// Where the last whole packet ends.
    pub(super) len: usize,
}

impl Shape {
    /// Returns the shape of a payload; `None` if it is too short for a frame.
    pub(super) fn of(payload: &[u8]) -> Option<Self> {
        let declared = u16::from_be_bytes(*payload.first_chunk()?);
        let (mut packets, mut len) = (0, 2);
        while packets < declared
            && let Some(packet) = packet_at(payload, len)
        {
            len += 2 + packet.len();
            packets += 1;
        }
        Some(Self { declared, packets, len })
    }
}

/// Returns the packet whose length is at this offset.
#[inline]
pub(super) fn packet_at(payload: &[u8], at: usize) -> Option<&[u8]> {
    let (len, rest) = payload.get(at..)?.split_first_chunk()?;
    rest.get(..usize::from(u16::from_be_bytes(*len)))
}
