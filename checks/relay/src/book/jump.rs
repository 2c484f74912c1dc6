//! Steps that are missing between two packets.

use kite_wire::Mode;
use tokio::time::Instant;

use crate::market::Market;

/// Packets of an instrument that follow one another although steps between them are missing.
#[derive(Debug)]
pub(super) struct Jump {
    pub(super) token: u32,
    pub(super) mode: Mode,
    pub(super) at: Instant,
    pub(super) from: Vec<u64>,
    pub(super) to: Vec<u64>,
}

impl Jump {
    /// Returns the volume missed, if the steps are certain.
    pub(super) fn volume(&self, market: &Market) -> Option<u32> {
        match (&self.from[..], &self.to[..]) {
            (&[from], &[to]) => market.volume_between(self.token, from, to),
            _ => None,
        }
    }

    /// Returns the least number of steps between the two packets.
    pub(super) fn missing(&self) -> u64 {
        let (from, to) = (self.from.last().copied(), self.to.first().copied());
        to.unwrap_or_default().saturating_sub(from.unwrap_or_default() + 1).max(1)
    }
}
