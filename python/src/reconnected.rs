//! Holds back ticks that are leaner than asked for after a reconnect.
//!
//! Kite answers a subscribe with a packet in quote mode before the mode command takes effect. A
//! strategy that asked for full mode would find no depth in it.

use std::collections::HashSet;

use kite_wire::{Mode, Packet};

/// The instruments of one socket whose first tick in the right mode is still to come.
#[derive(Debug, Default)]
pub(crate) struct Reconnected {
    awaited: HashSet<u32>,
}

impl Reconnected {
    /// Handles a new socket: on all but the first, leaner ticks of these instruments are held back.
    pub(crate) fn on_up(&mut self, epoch: u32, tokens: impl Iterator<Item = u32>) {
        self.awaited.clear();
        if epoch > 1 {
            self.awaited.extend(tokens);
        }
    }

    /// Returns whether packets have to be looked at.
    pub(crate) fn is_awaiting(&self) -> bool {
        !self.awaited.is_empty()
    }

    /// Returns whether a packet is delivered. `wanted` returns the mode asked for.
    pub(crate) fn admits(
        &mut self,
        packet: &Packet<'_>,
        wanted: impl Fn(u32) -> Option<Mode>,
    ) -> bool {
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
