//! Conversions from and to `rust_decimal::Decimal`.

use rust_decimal::Decimal;

use super::{Amount, DECIMALS};
use crate::error::AmountError;
use crate::price::Price;

impl From<Price> for Decimal {
    /// Converts exactly, with the price's number of decimals.
    fn from(price: Price) -> Self {
        Self::new(price.raw().into(), price.decimals().into())
    }
}

impl TryFrom<Amount> for Decimal {
    type Error = AmountError;

    /// Converts exactly, without trailing zeros.
    ///
    /// # Errors
    /// Returns [`AmountError::OutOfRange`] if the amount does not fit the 96 bits of a `Decimal`,
    /// from about 7.9 × 10²¹ rupees on.
    fn try_from(amount: Amount) -> Result<Self, AmountError> {
        Self::try_from_i128_with_scale(amount.units(), DECIMALS)
            .map(|decimal| decimal.normalize())
            .map_err(|_| AmountError::OutOfRange)
    }
}

impl TryFrom<Decimal> for Amount {
    type Error = AmountError;

    /// Converts exactly.
    ///
    /// # Errors
    /// Returns an error if the number has more than seven decimals that are not zero, or does not
    /// fit.
    fn try_from(decimal: Decimal) -> Result<Self, AmountError> {
        let decimal = decimal.normalize();
        // Without trailing zeros, a further decimal is not zero.
        let missing = DECIMALS.checked_sub(decimal.scale()).ok_or(AmountError::TooFine)?;
        let units = decimal.mantissa().checked_mul(10_i128.pow(missing));
        units.map(Self::from_units).ok_or(AmountError::OutOfRange)
    }
}
