//! Holds back ticks that are leaner than asked for after a reconnect.
//!
//! Kite answers a subscribe with a packet in quote mode before the mode command takes effect. A
//! strategy that asked for full mode would find no depth in it.

use std::collections::HashSet;

use kite_wire::{Mode, Packet};

/// The instruments of one socket whose first tick in the right mode is still to come.
#[derive(Debug, Default)]
pub struct Reconnected {
    awaited: HashSet<u32>,
}

impl Reconnected {
    /// Handles a new socket: on all but the first, leaner ticks of these instruments are held back.
    pub fn on_up(&mut self, epoch: u32, tokens: impl Iterator<Item = u32>) {
        self.awaited.clear();
        if epoch > 1 {
            self.awaited.extend(tokens);
        }
    }

    /// Returns whether packets have to be looked at.
    pub fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Returns whether a packet is delivered. `wanted` returns the mode asked for.
    pub fn admits(&mut self, packet: &Packet<'_>, wanted: impl Fn(u32) -> Option<Mode>) -> bool {
        let token = packet.instrument_token();
        if !self.awaited.contains(&token) {
            return true;
        }
        let is_right = wanted(token).is_none_or(|mode| packet.mode() >= mode);
        if is_right {
            self.awaited.remove(&token);
        }
        is_right
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Frame;

    use super::*;

    /// Returns the modes of the packets of these lengths that are delivered, of an instrument that
    /// was asked for in `mode`.
    fn delivered(reconnected: &mut Reconnected, mode: Option<Mode>, lengths: &[u8]) -> Vec<Mode> {
        let mut frame = vec![0, lengths.len() as u8];
        for &length in lengths {
            frame.extend([0, length]);
            frame.extend(408_065_u32.to_be_bytes());
            frame.extend(vec![0; usize::from(length) - 4]);
        }
        let frame = Frame::walk(&frame);
        let admitted = frame.packets().filter(|packet| reconnected.admits(packet, |_| mode));
        admitted.map(|packet| packet.mode()).collect()
    }

    #[test]
    fn the_first_socket_delivers_everything() {
        let mut reconnected = Reconnected::default();
        reconnected.on_up(1, [408_065].into_iter());
        assert!(!reconnected.is_awaiting());
        let modes = delivered(&mut reconnected, Some(Mode::Full), &[8, 44, 184]);
        assert_eq!(modes, [Mode::Ltp, Mode::Quote, Mode::Full]);
    }

    #[test]
    fn leaner_packets_are_held_back_until_the_first_right_one() {
        let mut reconnected = Reconnected::default();
        reconnected.on_up(2, [408_065].into_iter());
        assert!(reconnected.is_awaiting());
        let modes = delivered(&mut reconnected, Some(Mode::Full), &[8, 44, 184, 44]);
        assert_eq!(modes, [Mode::Full, Mode::Quote]);
        assert!(!reconnected.is_awaiting());
    }

    #[test]
    fn a_richer_packet_and_one_that_is_no_longer_wanted_are_delivered() {
        for (mode, expected) in [(Some(Mode::Ltp), Mode::Quote), (None, Mode::Quote)] {
            let mut reconnected = Reconnected::default();
            reconnected.on_up(2, [408_065].into_iter());
            assert_eq!(delivered(&mut reconnected, mode, &[44]), [expected]);
            assert!(!reconnected.is_awaiting());
        }
    }

    #[test]
    fn other_instruments_are_delivered_and_another_socket_starts_over() {
        let mut reconnected = Reconnected::default();
        reconnected.on_up(2, [5_633].into_iter());
        assert_eq!(delivered(&mut reconnected, Some(Mode::Full), &[8]), [Mode::Ltp]);
        assert!(reconnected.is_awaiting());
        reconnected.on_up(3, std::iter::empty());
        assert!(!reconnected.is_awaiting());
    }
}
