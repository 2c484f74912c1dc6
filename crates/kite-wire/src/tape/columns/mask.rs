//! Which numbers of a packet differ from the expectation: a byte for each group of fields.

use super::packet::{INTEREST_HIGH, INTEREST_LOW, Kind, LEVELS, OPEN, SIDES, TIME, Words};

/// In the first byte: the depth moved with the last price.
pub(super) const MOVED: u8 = 1;
/// In the first byte: the unit of the instrument's quantities is 1 from this packet on.
pub(super) const UNIT_LOST: u8 = 1 << 7;
/// In the byte of a side: its prices are written.
const PRICES: u8 = 1 << LEVELS;

/// The bytes of a packet: trade and totals, day, bids, offers.
pub(super) type Masks = [u8; 4];

/// Returns how many of the bytes packets of a kind have.
#[inline]
pub(super) fn len(kind: Kind) -> usize {
    match kind {
        Kind::Ltp => 1,
        Kind::IndexQuote | Kind::IndexFull | Kind::Quote => 2,
        Kind::Full => 4,
    }
}

/// Returns the bytes for these differences.
#[inline]
pub(super) fn of(kind: Kind, differences: &Words) -> Masks {
    let mut masks: Masks = [0; 4];
    let differs = |place: usize| u8::from(differences[place] != 0);
    masks[0] = (1..OPEN).map(|place| differs(place) << place).sum::<u8>();
    masks[1] = (OPEN..INTEREST_HIGH).map(|place| differs(place) << (place - OPEN)).sum::<u8>();
    let has_range = (differences[INTEREST_HIGH] | differences[INTEREST_LOW]) != 0;
    masks[1] |= u8::from(has_range) << 6 | differs(TIME) << 7;
    if kind == Kind::Full {
        for (mask, side) in masks[2..].iter_mut().zip(SIDES) {
            let mut prices = 0;
            for level in 0..LEVELS {
                let at = side + 3 * level;
                *mask |= u8::from(differences[at] | differences[at + 2] != 0) << level;
                prices |= differences[at + 1];
            }
            *mask |= u8::from(prices != 0) << LEVELS;
        }
    }
    masks
}

/// Calls `each` with the places of the numbers that are written, in their order.
#[inline]
pub(super) fn places<E>(
    masks: Masks,
    mut each: impl FnMut(usize) -> Result<(), E>,
) -> Result<(), E> {
    let mut bits = masks[0] & !(MOVED | UNIT_LOST);
    while bits != 0 {
        each(bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
    }
    let mut bits = masks[1];
    while bits != 0 {
        match bits.trailing_zeros() as usize {
            6 => {
                each(INTEREST_HIGH)?;
                each(INTEREST_LOW)?;
            }
            7 => each(TIME)?,
            bit => each(OPEN + bit)?,
        }
        bits &= bits - 1;
    }
    for (mask, side) in masks[2..].iter().zip(SIDES) {
        if mask & PRICES != 0 {
            for level in 0..LEVELS {
                each(side + 3 * level + 1)?;
            }
        }
        let mut bits = mask & (PRICES - 1);
        while bits != 0 {
            let at = side + 3 * bits.trailing_zeros() as usize;
            each(at)?;
            each(at + 2)?;
            bits &= bits - 1;
        }
    }
    Ok(())
}
