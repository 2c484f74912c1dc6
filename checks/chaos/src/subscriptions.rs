//! The subscriptions of a connection: permanent instruments and changing ones.

use std::collections::BTreeMap;

use fastrand::Rng;
use kite_wire::Mode;

/// Permanent instruments of each mode.
const PERMANENT_PER_MODE: u32 = 12;
/// Changing instruments.
const CHANGING: u32 = 8;
/// NSE, futures and options, indices: with and without volume and open interest.
const SEGMENTS: [u32; 4] = [1, 2, 1, 9];

/// The subscriptions of one connection, to instruments that no other has.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    permanent: BTreeMap<u32, Mode>,
    changing: Vec<u32>,
    desired: BTreeMap<u32, Mode>,
}

impl Subscriptions {
    pub(crate) fn new(connection: usize) -> Self {
        let first = (connection as u32 + 1) * 1_000;
        let token = |index: u32| (first + index) << 8 | SEGMENTS[index as usize % SEGMENTS.len()];
        let permanent: BTreeMap<_, _> = (0..PERMANENT_PER_MODE * Mode::ALL.len() as u32)
            .map(|index| (token(index), Mode::ALL[(index / PERMANENT_PER_MODE) as usize]))
            .collect();
        let changing = (0..CHANGING).map(|index| token(500 + index)).collect();
        Self { desired: permanent.clone(), permanent, changing }
    }

    /// Returns the permanent ones.
    pub(crate) fn permanent(&self) -> &BTreeMap<u32, Mode> {
        &self.permanent
    }

    /// Returns all desired subscriptions.
    pub(crate) fn desired(&self) -> &BTreeMap<u32, Mode> {
        &self.desired
    }

    /// Changes some of the changing ones and returns the changes.
    pub(crate) fn change(&mut self, random: &mut Rng) -> Vec<(u32, Option<Mode>)> {
        let mut changes = Vec::new();
        for _ in 0..random.usize(1..=3) {
            let token = self.changing[random.usize(0..self.changing.len())];
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
        let (mut one, other) = (Subscriptions::new(0), Subscriptions::new(1));
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
        assert!(one.permanent().iter().all(|(token, mode)| model.get(token) == Some(mode)));
        assert_eq!(one.permanent().len(), 36);
        assert!(model.keys().all(|token| !other.desired().contains_key(token)));
    }
}
