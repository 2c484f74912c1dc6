//! The unit of an instrument's quantities, such as the lot of a contract.

use super::MAX_UNIT;
use super::field::Field;
use super::packet::{Kind, Words};

/// Returns the greatest unit of which all quantities of a packet are multiples.
pub(super) fn unit_of(kind: Kind, words: &Words) -> u32 {
    if kind != Kind::Full && kind != Kind::Quote {
        return 1;
    }
    let mut unit = 0;
    for (word, field) in words.iter().zip(Field::all(true)) {
        if field.is_quantity {
            unit = greatest_common_divisor(unit, *word);
            if unit == 1 {
                return 1;
            }
        }
    }
    if (1..=MAX_UNIT).contains(&unit) { unit } else { 1 }
}

fn greatest_common_divisor(mut a: u32, mut b: u32) -> u32 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tape::columns::packet::{LAST, VOLUME, WORDS};

    #[test]
    fn the_unit_is_that_of_all_quantities_and_never_0() {
        let mut words = [0; WORDS];
        assert_eq!(unit_of(Kind::Full, &words), 1);
        for (n, (word, field)) in words.iter_mut().zip(Field::all(true)).enumerate() {
            if field.is_quantity {
                *word = 75 * n as u32;
            }
        }
        words[LAST] = 7;
        assert_eq!(unit_of(Kind::Full, &words), 75);
        assert_eq!(unit_of(Kind::Ltp, &words), 1);
        words[VOLUME] += 1;
        assert_eq!(unit_of(Kind::Full, &words), 1);
        let words = words.map(|_| MAX_UNIT + 1);
        assert_eq!(unit_of(Kind::Full, &words), 1);
    }
}
