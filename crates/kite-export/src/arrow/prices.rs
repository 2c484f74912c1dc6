//! Prices as values of a column, either exact decimals or floats.

use arrow_array::ArrowPrimitiveType;
use arrow_array::types::{Decimal128Type, Float64Type};
use kite_wire::Price;

/// The type of a column of prices.
pub(super) trait PriceType: ArrowPrimitiveType + Send {
    fn of(price: Price) -> Self::Native;
}

impl PriceType for Decimal128Type {
    /// Returns the price in units of 10⁻⁷ rupees.
    #[inline]
    fn of(price: Price) -> i128 {
        price.amount().units()
    }
}

impl PriceType for Float64Type {
    #[inline]
    fn of(price: Price) -> f64 {
        price.to_f64()
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Segment;

    use super::super::schema::{PRICE_PRECISION, PRICE_SCALE};
    use super::*;

    #[test]
    fn every_segments_extremes_are_exact_and_within_the_precision() {
        let most = 10_i128.pow(PRICE_PRECISION.into());
        for code in 0..=u8::MAX {
            let segment = Segment::from_code(code);
            for raw in [i32::MIN, -1, 0, 1, i32::MAX] {
                let price = Price::new(raw, segment);
                let value = Decimal128Type::of(price);
                let unit = 10_i128.pow(u32::from(PRICE_SCALE.unsigned_abs() - segment.decimals()));
                assert_eq!((value / unit, value % unit), (raw.into(), 0), "{segment:?}");
                assert!(value.abs() < most);
            }
        }
    }
}
