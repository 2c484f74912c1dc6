//! A hash table keyed by instrument token, for code that looks up a token for every packet.
//!
//! Tokens cannot be removed; a caller that needs fewer builds a new table.

use alloc::boxed::Box;
use core::mem;

/// Values by instrument token, in one array with open addressing, hashed by a multiplication.
///
/// Faster than a `HashMap` because it skips the keyed hash, which tokens from an authenticated
/// server do not need. At most half of the slots are used, so that probe sequences stay short.
///
/// ```
/// use kite_wire::TokenMap;
///
/// let mut ticks = TokenMap::new();
/// assert_eq!(ticks.insert(408_065, 1), None);
/// assert_eq!(ticks.insert(408_065, 2), Some(1));
/// assert_eq!((ticks.get(408_065), ticks.get(256_265)), (Some(&2), None));
/// ```
#[derive(Debug, Clone)]
pub struct TokenMap<V> {
    /// Empty, or a power of two of slots, at most half of them used. Token 0 marks a free slot.
    slots: Box<[(u32, V)]>,
    /// Number of used slots.
    used: usize,
    /// The value of token 0, which Kite does not use but a caller may look up.
    zero: Option<V>,
}

/// Hashes an instrument token for a table with a power of two of slots, which uses the low bits.
///
/// Tokens are issued in runs, with the segment (`token & 0xff`) in the lowest byte. Multiplying by
/// 2⁶⁴ divided by the golden ratio spreads them over the upper bits; this returns the upper 24.
#[inline]
#[must_use]
pub const fn token_hash(instrument_token: u32) -> usize {
    ((instrument_token as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize
}

impl<V> TokenMap<V> {
    /// Returns the value of a token.
    #[inline]
    #[must_use]
    pub fn get(&self, instrument_token: u32) -> Option<&V> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut slot = token_hash(instrument_token) & mask;
        // Without slots the first `get` ends the loop; otherwise a slot is always free.
        while let Some((found, value)) = self.slots.get(slot) {
            if *found == 0 {
                break;
            }
            if *found == instrument_token {
                return Some(value);
            }
            slot = (slot + 1) & mask;
        }
        if instrument_token == 0 { self.zero.as_ref() } else { None }
    }

    /// Returns whether the token has a value.
    #[inline]
    #[must_use]
    pub fn contains(&self, instrument_token: u32) -> bool {
        self.get(instrument_token).is_some()
    }

    /// Returns the number of tokens.
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        self.used + usize::from(self.zero.is_some())
    }

    /// Returns whether the table is empty.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl<V: Default> TokenMap<V> {
    /// Creates an empty table without allocating.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(0)
    }

    /// Creates an empty table with room for `tokens` tokens.
    #[must_use]
    pub fn with_capacity(tokens: usize) -> Self {
        let slots = if tokens == 0 { 0 } else { (tokens * 2).next_power_of_two() };
        let slots = core::iter::repeat_with(|| (0, V::default())).take(slots).collect();
        Self { slots, used: 0, zero: None }
    }

    /// Sets the value of a token and returns the previous one.
    #[inline]
    pub fn insert(&mut self, instrument_token: u32, value: V) -> Option<V> {
        if instrument_token == 0 {
            return self.zero.replace(value);
        }
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut slot = token_hash(instrument_token) & mask;
        while ![0, instrument_token].contains(&self.slots[slot].0) {
            slot = (slot + 1) & mask;
        }
        let (found, before) = mem::replace(&mut self.slots[slot], (instrument_token, value));
        self.used += usize::from(found == 0);
        (found != 0).then_some(before)
    }

    #[cold]
    fn grow(&mut self) {
        let mut larger = Self::with_capacity((self.used * 2).max(4));
        for (token, value) in mem::take(&mut self.slots) {
            if token != 0 {
                larger.insert(token, value);
            }
        }
        (self.slots, self.used) = (larger.slots, larger.used);
    }
}

impl<V: Default> Default for TokenMap<V> {
    fn default() -> Self {
        Self::new()
    }
}

impl<V: Default> FromIterator<(u32, V)> for TokenMap<V> {
    fn from_iter<I: IntoIterator<Item = (u32, V)>>(values: I) -> Self {
        let values = values.into_iter();
        let mut map = Self::with_capacity(values.size_hint().0);
        for (token, value) in values {
            map.insert(token, value);
        }
        map
    }
}

/// A set of tokens: four bytes per slot.
impl FromIterator<u32> for TokenMap<()> {
    fn from_iter<I: IntoIterator<Item = u32>>(tokens: I) -> Self {
        tokens.into_iter().map(|token| (token, ())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_table_has_no_token_and_accepts_token_0() {
        let mut map: TokenMap<u8> = TokenMap::new();
        assert_eq!((map.get(0), map.get(1), map.is_empty()), (None, None, true));
        assert_eq!((map.insert(0, 7), map.get(0), map.get(1)), (None, Some(&7), None));
        assert_eq!((map.insert(0, 8), map.len()), (Some(7), 1));
    }

    #[test]
    fn a_table_with_room_is_not_reallocated() {
        let mut map = TokenMap::with_capacity(3_000);
        let slots = map.slots.as_ptr();
        for token in 1..=3_000 {
            map.insert(token << 8 | 1, token);
        }
        assert_eq!((map.len(), map.slots.as_ptr(), map.slots.len()), (3_000, slots, 8_192));
    }

    /// A segment's exchange tokens are mostly close to each other.
    #[test]
    fn neighbouring_tokens_of_a_segment_are_found_in_a_step_or_two() {
        let map: TokenMap<()> = (0..3_000_u32).map(|n| (40_000 + n) << 8 | 2).collect();
        let mask = map.slots.len() - 1;
        let steps = |(slot, &(token, ())): (usize, &(u32, ()))| {
            slot.wrapping_sub(token_hash(token) & mask) & mask
        };
        let used = map.slots.iter().enumerate().filter(|(_, (token, _))| *token != 0);
        let worst = used.map(steps).max();
        assert!(worst < Some(4), "{worst:?}");
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_map(
            values in prop::collection::vec((prop_oneof![0_u32..40, any::<u32>()], any::<u8>()), 0..200),
            asked in prop::collection::vec(prop_oneof![0_u32..40, any::<u32>()], 0..60),
        ) {
            let (mut map, mut model) = (TokenMap::new(), BTreeMap::new());
            for &(token, value) in &values {
                prop_assert_eq!(map.insert(token, value), model.insert(token, value));
            }
            prop_assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
            let tokens: Vec<u32> = model.keys().copied().collect();
            for token in asked.into_iter().chain(tokens) {
                prop_assert_eq!(map.get(token), model.get(&token));
                prop_assert_eq!(map.contains(token), model.contains_key(&token));
            }
            let set: TokenMap<()> = model.keys().copied().collect();
            prop_assert!(set.len() == model.len() && model.keys().all(|&token| set.contains(token)));
            let collected: TokenMap<u8> = values.into_iter().collect();
            prop_assert!(model.iter().all(|(&token, value)| collected.get(token) == Some(value)));
        }
    }
}
