//! What the simulator counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::FaultKind;

/// What was sent of one instrument.
///
/// The checksum does not depend on the order of packets, so that a receiver can add up what it got
/// over several sockets and compare.
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
    /// Adds a packet, given without its length prefix.
    pub fn add(&mut self, packet: &[u8]) {
        self.ticks += 1;
        self.checksum = self.checksum.wrapping_add(hash(packet));
    }
}

pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let words = words.iter().copied().chain([last]).map(u64::from_le_bytes);
    words.fold(bytes.len() as u64, |hash, word| {
        let mixed = (hash ^ word).wrapping_mul(0x9fb2_1c65_1e98_df25);
        mixed ^ (mixed >> 32)
    })
}

/// A snapshot of the simulator's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SimStats {
    /// Sockets that hold one of their API key's slots now.
    pub connections_open: u64,
    /// Handshakes accepted since the start.
    pub connections_total: u64,
    /// Handshakes refused since the start, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Binary frames sent, heartbeats apart.
    pub frames_sent: u64,
    /// Packets of the simulated market in these frames.
    pub ticks_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Text frames sent.
    pub texts_sent: u64,
    /// Pings received.
    pub pings_received: u64,
    /// Commands received and obeyed, also where the limit of instruments refused them.
    pub commands_received: u64,
    /// Text frames received that are no command.
    pub bad_commands: u64,
    /// Faults that took effect, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

/// A counter that tasks share.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters behind [`SimStats`] that tasks add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) connections: Counter,
    pub(crate) frames: Counter,
    pub(crate) ticks: Counter,
    pub(crate) heartbeats: Counter,
    pub(crate) texts: Counter,
    pub(crate) pings: Counter,
    pub(crate) commands: Counter,
    pub(crate) bad_commands: Counter,
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
    fn the_checksum_tells_packets_apart() {
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
