//! The faults of a connection, their order and their values.
//!
//! A deck depends only on the seed and the connection's number, so that a failure can be replayed
//! without the other connections.

use std::num::NonZeroU32;
use std::time::Duration;

use fastrand::Rng;
use kite_sim::{Fault, FaultFamily, FaultKind};
use serde_json::json;

use crate::timing::{CONNECT_TIMEOUT, LONGEST_DELAY};

/// Cards of each kind in a round.
const OF_A_KIND: usize = 2;
/// Cards of each kind that applies only to TLS connections: twice as many, so that these kinds are
/// as frequent as the others.
const OF_A_TLS_KIND: usize = 2 * OF_A_KIND;

/// The next fault.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Deal {
    /// Number of the connection's fault, from 1.
    pub(crate) ordinal: u64,
    pub(crate) fault: Fault,
    /// A fault that forces a new handshake, if the main fault is in the handshake.
    pub(crate) provocation: Option<Fault>,
}

impl Deal {
    pub(crate) fn kind(&self) -> FaultKind {
        self.fault.kind()
    }

    /// Returns whether the fault may hit other connections to the same simulator too.
    pub(crate) fn hits_all(&self) -> bool {
        matches!(self.kind().family(), FaultFamily::Tls | FaultFamily::Server)
    }
}

/// A shuffled deck of all kinds, dealt round after round.
#[derive(Debug)]
pub(crate) struct Deck {
    connection: usize,
    kinds: Vec<FaultKind>,
    round: Vec<FaultKind>,
    dealt: u64,
    random: Rng,
}

impl Deck {
    pub(crate) fn new(seed: u64, connection: usize, is_tls: bool, skip: &[FaultKind]) -> Self {
        let mut kinds = Vec::new();
        for &kind in Fault::KINDS.iter().filter(|kind| !skip.contains(kind)) {
            let cards = match kind.family() {
                FaultFamily::Tls if is_tls => OF_A_TLS_KIND,
                FaultFamily::Tls => 0,
                _ => OF_A_KIND,
            };
            kinds.extend(std::iter::repeat_n(kind, cards));
        }
        let random =
            Rng::with_seed(seed ^ (connection as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Self { connection, kinds, round: Vec::new(), dealt: 0, random }
    }

    /// Deals the next fault; `None` if every kind was left out.
    pub(crate) fn deal(&mut self) -> Option<Deal> {
        if self.round.is_empty() {
            self.round.clone_from(&self.kinds);
            self.random.shuffle(&mut self.round);
        }
        let kind = self.round.pop()?;
        self.dealt += 1;
        let fault = self.fault(kind);
        let provocation = matches!(kind.family(), FaultFamily::Tls | FaultFamily::Handshake)
            .then(|| self.provocation());
        Some(Deal { ordinal: self.dealt, fault, provocation })
    }

    /// Draws the values of a fault: those of the simulator, except where a promise depends on them.
    fn fault(&mut self, kind: FaultKind) -> Fault {
        let random = &mut self.random;
        let mut millis = |least: u64, most: u64| Duration::from_millis(random.u64(least..=most));
        match kind {
            // Long enough for a refusal, after the simulator's grace of 100 ms, on a busy machine too.
            FaultKind::LateSlot => Fault::LateSlot { held: millis(1_000, 1_200) },
            // Long enough for a refused attempt, for any delay that the backoff draws.
            FaultKind::Restart => Fault::Restart { down: millis(250, 450) },
            FaultKind::SlowHandshake => {
                let late = CONNECT_TIMEOUT + millis(100, 200);
                let soon = millis(1, 200);
                Fault::SlowHandshake { delay: if millis(0, 3).is_zero() { late } else { soon } }
            }
            FaultKind::Order | FaultKind::DuplicateOrder => {
                let order_id = format!("chaos-{}-{}", self.connection, self.dealt);
                let data = json!({"order_id": order_id, "status": "COMPLETE"});
                match kind {
                    FaultKind::Order => Fault::Order { data },
                    _ => Fault::DuplicateOrder { data },
                }
            }
            // A frame of all instruments has about 3,000 bytes and takes longer than twice the
            // threshold.
            FaultKind::SlowLink => {
                let bytes_per_second = NonZeroU32::MIN.saturating_add(random.u32(500..2_000));
                Fault::SlowLink { bytes_per_second }
            }
            kind => kind.draw(self.random.u64(..), LONGEST_DELAY),
        }
    }

    fn provocation(&mut self) -> Fault {
        let at = self.random.usize(0..200);
        match self.random.u8(0..3) {
            0 => Fault::Reset { at },
            1 => Fault::EndOfStream { at },
            _ => Fault::Close { code: 1_001, waits: true },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn deals(connection: usize, is_tls: bool, count: usize) -> Vec<Deal> {
        let mut deck = Deck::new(7, connection, is_tls, &[]);
        std::iter::from_fn(|| deck.deal()).take(count).collect()
    }

    #[test]
    fn a_deck_depends_on_seed_and_connection_alone() {
        assert_eq!(deals(3, true, 300), deals(3, true, 300));
        assert_ne!(deals(3, true, 300), deals(4, true, 300));
    }

    #[test]
    fn every_kind_has_at_least_two_percent() {
        let mut by_kind = BTreeMap::new();
        for connection in 0..24 {
            for deal in deals(connection, connection % 2 == 0, 417) {
                *by_kind.entry(deal.kind()).or_insert(0.0) += 100.0 / (24.0 * 417.0);
            }
        }
        assert_eq!(by_kind.len(), Fault::KINDS.len());
        assert!(by_kind.values().all(|&percent| percent > 2.0), "{by_kind:?}");
    }

    #[test]
    fn only_handshake_faults_have_a_provocation() {
        for deal in deals(0, true, 300) {
            let waits = matches!(deal.kind().family(), FaultFamily::Tls | FaultFamily::Handshake);
            assert_eq!(deal.provocation.is_some(), waits, "{deal:?}");
        }
        assert!(deals(0, false, 300).iter().all(|deal| deal.kind().family() != FaultFamily::Tls));
    }

    #[test]
    fn without_kinds_nothing_is_dealt() {
        assert_eq!(Deck::new(7, 0, true, Fault::KINDS).deal(), None);
    }
}
