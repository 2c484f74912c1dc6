//! What a connection is subscribed to: instruments that stay and instruments that come and go.

use std::collections::BTreeMap;

use fastrand::Rng;
use kite_wire::Mode;

/// Instruments of each mode that stay.
const STEADY_OF_A_MODE: u32 = 12;
/// Instruments that come and go.
const FICKLE: u32 = 8;
/// NSE, futures and options, indices: with and without volume and open interest.
const SEGMENTS: [u32; 4] = [1, 2, 1, 9];

/// The subscriptions of one connection, of instruments that no other has.
#[derive(Debug)]
pub(crate) struct Holdings {
    steady: BTreeMap<u32, Mode>,
    fickle: Vec<u32>,
    desired: BTreeMap<u32, Mode>,
}

impl Holdings {
    pub(crate) fn new(connection: usize) -> Self {
        let first = (connection as u32 + 1) * 1_000;
        let token = |index: u32| (first + index) << 8 | SEGMENTS[index as usize % SEGMENTS.len()];
        let steady: BTreeMap<_, _> = (0..STEADY_OF_A_MODE * Mode::ALL.len() as u32)
            .map(|index| (token(index), Mode::ALL[(index / STEADY_OF_A_MODE) as usize]))
            .collect();
        let fickle = (0..FICKLE).map(|index| token(500 + index)).collect();
        Self { desired: steady.clone(), steady, fickle }
    }

    /// Gives those that stay.
    pub(crate) fn steady(&self) -> &BTreeMap<u32, Mode> {
        &self.steady
    }

    /// Gives everything that is wanted.
    pub(crate) fn desired(&self) -> &BTreeMap<u32, Mode> {
        &self.desired
    }

    /// Changes some of those that come and go; gives the changes.
    pub(crate) fn change(&mut self, random: &mut Rng) -> Vec<(u32, Option<Mode>)> {
        let mut changes = Vec::new();
        for _ in 0..random.usize(1..=3) {
            let token = self.fickle[random.usize(0..self.fickle.len())];
            let mode = [None, Some(Mode::Ltp), Some(Mode::Quote), Some(Mode::Full)];
            let mode = mode[random.usize(0..mode.len())];
            match mode {
                Some(mode) => self.desired.insert(token, mode),
                None => self.desired.remove(&token),
            };
            changes.push((token, mode));
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_connections_share_an_instrument_and_changes_are_kept() {
        let (mut one, other) = (Holdings::new(0), Holdings::new(1));
        let mut random = Rng::with_seed(1);
        let mut model = one.desired().clone();
        for _ in 0..50 {
            for (token, mode) in one.change(&mut random) {
                match mode {
                    Some(mode) => model.insert(token, mode),
                    None => model.remove(&token),
                };
            }
        }
        assert_eq!(one.desired(), &model);
        assert!(one.steady().iter().all(|(token, mode)| model.get(token) == Some(mode)));
        assert_eq!(one.steady().len(), 36);
        assert!(model.keys().all(|token| !other.desired().contains_key(token)));
    }
}
