//! How the difference at each place of a packet is written.

use super::column;
use super::packet::{DEPTH, INTEREST, INTEREST_LOW, LAST, LAST_QUANTITY, TOTALS, VOLUME, WORDS};
use super::value::{unzigzag, zigzag};

/// How a difference is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) column: usize,
    /// Whether it is a quantity, which is a multiple of the instrument's unit.
    pub(super) is_quantity: bool,
    /// Whether it is usually not negative.
    only_grows: bool,
}

/// The fields of packets that are not the first of their instrument, and of those that are.
static FIELDS: [[Field; WORDS]; 2] = [fields(false), fields(true)];

const fn fields(is_first: bool) -> [Field; WORDS] {
    let mut fields = [Field { column: 0, is_quantity: false, only_grows: false }; WORDS];
    let mut place = 0;
    while place < WORDS {
        // 0 is a quantity, 1 a price, 2 a number of orders.
        let part = if place < DEPTH { 3 } else { (place - DEPTH) % 3 };
        let is_quantity = matches!(place, LAST_QUANTITY | VOLUME | INTEREST..=INTEREST_LOW)
            || place == TOTALS[0]
            || place == TOTALS[1]
            || part == 0;
        let only_grows = match is_first {
            true => place == LAST || is_quantity && place <= INTEREST || part == 0 || part == 2,
            false => place == VOLUME,
        };
        let column = column::of_place(place, is_first);
        fields[place] = Field { column, is_quantity, only_grows };
        place += 1;
    }
    fields
}

impl Field {
    /// Returns the fields by their places.
    #[inline]
    pub(super) fn all(is_first: bool) -> &'static [Self; WORDS] {
        &FIELDS[usize::from(is_first)]
    }

    /// Returns the number that is written for a difference, which the unit must divide.
    #[inline]
    pub(super) fn value(self, difference: u32, unit: u32) -> u32 {
        let unit = if self.is_quantity { unit } else { 1 };
        match (self.only_grows, unit) {
            (true, 1) => difference,
            (true, unit) => difference / unit,
            (false, 1) => zigzag(difference as i32),
            (false, unit) => zigzag(difference as i32 / unit as i32),
        }
    }

    /// Reverses [`Field::value`].
    #[inline]
    pub(super) fn difference(self, value: u32, unit: u32) -> u32 {
        let value = if self.only_grows { value } else { unzigzag(value) };
        value.wrapping_mul(if self.is_quantity { unit } else { 1 })
    }

    /// Returns whether the unit divides a difference.
    #[inline]
    pub(super) fn is_multiple(self, difference: u32, unit: u32) -> bool {
        let size = if self.only_grows { difference } else { (difference as i32).unsigned_abs() };
        !self.is_quantity || size.is_multiple_of(unit)
    }
}
