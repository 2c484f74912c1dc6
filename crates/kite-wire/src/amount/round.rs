//! Quotients, and multiples of a tick size.

use super::Amount;
use crate::decimal::signed;

/// The direction in which an amount is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Rounding {
    /// To the nearest multiple; of two equally near ones, to the one further from zero.
    Nearest,
    /// To the next lower multiple, also below zero.
    Down,
    /// To the next higher multiple, also below zero.
    Up,
}

impl Amount {
    /// Returns the amount as a multiple of a tick size, or of any other amount such as
    /// [`Segment::price_unit`](crate::Segment::price_unit).
    ///
    /// `None` if the tick size is not greater than zero, as that of an index in Kite's instrument
    /// list, or if the multiple does not fit.
    ///
    /// # Examples
    /// ```
    /// use kite_wire::{Amount, Rounding};
    ///
    /// let (amount, tick): (Amount, Amount) = ("100.12".parse()?, "0.05".parse()?);
    /// let round = |rounding| amount.round_to(tick, rounding).map(|it| it.to_string());
    /// assert_eq!(round(Rounding::Nearest).as_deref(), Some("100.1"));
    /// assert_eq!(round(Rounding::Up).as_deref(), Some("100.15"));
    /// assert_eq!(amount.round_to(Amount::ZERO, Rounding::Down), None);
    /// # Ok::<(), kite_wire::AmountError>(())
    /// ```
    #[must_use]
    pub fn round_to(self, tick: Self, rounding: Rounding) -> Option<Self> {
        if tick.0 <= 0 {
            return None;
        }
        quotient(self.0, tick.0, rounding).checked_mul(tick.0).map(Self)
    }

    /// Divides by a quantity and rounds half away from zero to the nearest 10⁻⁷ rupees, as for a
    /// volume-weighted average price.
    ///
    /// `None` if the divisor is zero, or if the quotient does not fit.
    #[must_use]
    pub fn checked_div(self, divisor: impl Into<i128>) -> Option<Self> {
        let divisor: i128 = divisor.into();
        let (units, by) = (self.0.unsigned_abs(), divisor.unsigned_abs());
        // At most 2¹²⁷ and half of that.
        let quotient = (units + by / 2).checked_div(by)?;
        let negative = (self.0 < 0) != (divisor < 0);
        signed(negative, quotient).map(Self)
    }
}

/// Divides by a divisor greater than zero.
fn quotient(units: i128, divisor: i128, rounding: Rounding) -> i128 {
    let (floor, rest) = (units.div_euclid(divisor), units.rem_euclid(divisor));
    let is_up = match rounding {
        Rounding::Down => false,
        Rounding::Up => rest > 0,
        // `divisor - rest`, because twice the rest may not fit.
        Rounding::Nearest if units < 0 => rest > divisor - rest,
        Rounding::Nearest => rest >= divisor - rest,
    };
    // With a rest the divisor is at least 2, so one more fits.
    floor + i128::from(is_up)
}
