//! Totals of the packets sent of one instrument, to compare with those received.

use crate::hash::hash;

/// Totals of the packets sent of one instrument.
///
/// The checksum does not depend on the order of packets, so a receiver can add up packets across
/// several sockets and compare.
///
/// ```
/// use kite_sim::Sent;
///
/// let (mut sent, mut received) = (Sent::default(), Sent::default());
/// sent.add(b"first");
/// sent.add(b"second");
/// received.add(b"second");
/// assert_ne!(sent, received);
/// received.add(b"first");
/// assert_eq!(sent, received);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sent {
    /// Number of packets.
    pub ticks: u64,
    /// Wrapping sum of a 64-bit hash of each packet's bytes.
    pub checksum: u64,
}

impl Sent {
    /// Adds a packet, without its length prefix.
    pub fn add(&mut self, packet: &[u8]) {
        self.ticks += 1;
        self.checksum = self.checksum.wrapping_add(hash(packet));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(packets: &[&[u8]]) -> Sent {
        let mut sent = Sent::default();
        packets.iter().for_each(|packet| sent.add(packet));
        sent
    }

    #[test]
    fn the_checksum_distinguishes_packets() {
        let zeros = [0; 184];
        assert_ne!(of(&[&zeros[..8]]), of(&[&zeros[..44]]));
        let mut other = zeros;
        other[183] = 1;
        assert_ne!(of(&[&zeros]), of(&[&other]));
        other[183] = 0;
        other[8] = 1;
        assert_ne!(of(&[&zeros]), of(&[&other]));
    }

    #[test]
    fn a_duplicate_is_not_hidden_by_a_loss() {
        assert_ne!(of(&[b"one", b"two"]), of(&[b"one", b"one"]));
    }
}
