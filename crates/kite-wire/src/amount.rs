//! Exact amounts of money: sums and products of prices, and numbers of other sources.

mod arithmetic;
mod round;
#[cfg(feature = "rust_decimal")]
mod rust_decimal;

use core::cmp::Ordering;
use core::fmt;
use core::str::FromStr;

pub use self::round::Rounding;
use crate::decimal::{self, Digits};
use crate::error::AmountError;
use crate::price::Price;

/// The number of decimals kept, those of the finest prices on the wire (CDS).
const DECIMALS: u32 = 7;

/// An exact amount in rupees with seven decimals, held as an integer in units of 10⁻⁷ rupees.
///
/// This is the type of sums, differences and products of [`Price`]s, of any segments, and of the
/// strikes and tick sizes of instruments. No float is involved unless [`Amount::from_f64`] or
/// [`Amount::to_f64`] is called.
///
/// The integer has 128 bits, up to 1.7 × 10³¹ rupees. No sum over a feed reaches that: 2⁴⁷ trades
/// at the highest price and quantity of the wire fit. `+`, `-` and `*` saturate at
/// [`Amount::MIN`] and [`Amount::MAX`] instead of wrapping or panicking;
/// [`checked_add`](Self::checked_add) and its like report it. There is no `/`, because a quotient
/// has to be rounded and a divisor may be zero: see [`Amount::checked_div`].
///
/// [`fmt::Display`] prints no trailing zeros (`24500`, `105.25`), and `{:.2}` rounds half away from
/// zero to two decimals (at most 30 are printed). [`FromStr`] reads both.
///
/// With the feature `serde` it serialises as that string, `"105.25"`; with `rust_decimal` it
/// converts to and from `rust_decimal::Decimal`.
///
/// # Examples
///
/// The volume-weighted average price of some trades:
///
/// ```
/// use kite_wire::{Amount, Price, Rounding, Segment};
///
/// let trades = [(157_370, 10_u32), (157_375, 25), (157_380, 5)];
/// let (mut turnover, mut volume) = (Amount::ZERO, 0_u64);
/// for (raw, quantity) in trades {
///     turnover += Price::new(raw, Segment::Nse) * quantity;
///     volume += u64::from(quantity);
/// }
/// assert_eq!(turnover.to_string(), "62949.75");
///
/// let average = turnover.checked_div(volume).ok_or("no trades")?;
/// assert_eq!(average.to_string(), "1573.74375");
/// assert_eq!(format!("{average:.2}"), "1573.74");
///
/// // A price that an order may have: a multiple of the instrument's tick size.
/// let tick: Amount = "0.05".parse()?;
/// let limit = average.round_to(tick, Rounding::Up).ok_or("no tick size")?;
/// assert_eq!(Price::from_amount(limit, Segment::Nse)?.to_string(), "1573.75");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Amount(i128);

impl Amount {
    /// Zero, which Kite's instrument list also writes for a missing strike, price or tick size.
    pub const ZERO: Self = Self(0);

    /// The smallest amount, about -1.7 × 10³¹ rupees.
    pub const MIN: Self = Self(i128::MIN);

    /// The largest amount, about 1.7 × 10³¹ rupees.
    pub const MAX: Self = Self(i128::MAX);

    /// Number of units in one rupee.
    pub const UNITS_PER_RUPEE: i128 = 10_000_000;

    /// Creates an amount from units of 10⁻⁷ rupees.
    #[inline]
    #[must_use]
    pub const fn from_units(units: i128) -> Self {
        Self(units)
    }

    /// Returns the amount in units of 10⁻⁷ rupees.
    #[inline]
    #[must_use]
    pub const fn units(self) -> i128 {
        self.0
    }

    /// Creates the amount nearest to a float in rupees, of two equally near ones the one further
    /// from zero.
    ///
    /// The float's exact value is rounded once. A float that was read from a decimal number of at
    /// most 15 digits, 7 of them after the point, therefore becomes that number.
    ///
    /// # Errors
    /// Returns an error if the float is not a number, or if it is infinite or too large.
    ///
    /// # Examples
    /// ```
    /// use kite_wire::Amount;
    ///
    /// assert_eq!(Amount::from_f64(0.1 + 0.2)?.to_string(), "0.3");
    /// assert!(Amount::from_f64(f64::NAN).is_err());
    /// # Ok::<(), kite_wire::AmountError>(())
    /// ```
    pub fn from_f64(rupees: f64) -> Result<Self, AmountError> {
        if rupees.is_nan() {
            return Err(AmountError::NotANumber);
        }
        let bits = rupees.to_bits();
        let (exponent, fraction) = ((bits >> 52 & 0x7ff) as i32, bits & ((1 << 52) - 1));
        // Subnormal floats are far below a unit; without the implicit bit they are less still.
        let mantissa = if exponent == 0 { fraction } else { fraction | 1 << 52 };
        // At most 53 and 24 bits.
        let scaled = i128::from(mantissa) * Self::UNITS_PER_RUPEE;
        let units = match exponent - 1_075 {
            shift @ 0.. => {
                let free = scaled.leading_zeros().saturating_sub(1);
                if mantissa != 0 && shift as u32 > free {
                    return Err(AmountError::OutOfRange);
                }
                scaled << shift
            }
            shift @ -80..=-1 => (scaled + (1 << (-shift - 1))) >> -shift,
            _ => 0,
        };
        Ok(Self(if rupees.is_sign_negative() { -units } else { units }))
    }

    /// Returns the amount in rupees as the nearest `f64`, which is exact to 10⁻⁷ up to about 900
    /// million rupees. Beyond, the last bit may differ.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // Both operands are exact in f64 below 2^53 units, so the one division rounds correctly.
        self.0 as f64 / Self::UNITS_PER_RUPEE as f64
    }

    /// Returns whether the amount is zero.
    #[inline]
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns the amount without its sign; [`Amount::MAX`] for [`Amount::MIN`].
    #[inline]
    #[must_use]
    pub const fn abs(self) -> Self {
        Self(self.0.saturating_abs())
    }

    /// Reads a number as [`FromStr`] does, from bytes.
    ///
    /// # Errors
    /// Same as [`FromStr`].
    pub fn from_ascii(text: &[u8]) -> Result<Self, AmountError> {
        let mut digits = Digits::of(text).ok_or(AmountError::NotANumber)?;
        if let Some((kept, rest)) = digits.fraction.split_at_checked(DECIMALS as usize) {
            if rest.iter().any(|&digit| digit != b'0') {
                return Err(AmountError::TooFine);
            }
            digits.fraction = kept;
        }
        digits.scaled(DECIMALS as usize).map(Self).ok_or(AmountError::OutOfRange)
    }
}

impl From<Price> for Amount {
    #[inline]
    fn from(price: Price) -> Self {
        price.amount()
    }
}

/// Converts whole rupees.
macro_rules! from_rupees {
    ($($integer:ty),+) => {
        $(impl From<$integer> for Amount {
            /// Converts whole rupees.
            #[inline]
            fn from(rupees: $integer) -> Self {
                Self(i128::from(rupees) * Self::UNITS_PER_RUPEE)
            }
        })+
    };
}

from_rupees!(i32, u32, i64, u64);

impl PartialEq<Price> for Amount {
    #[inline]
    fn eq(&self, other: &Price) -> bool {
        *self == other.amount()
    }
}

impl PartialEq<Amount> for Price {
    #[inline]
    fn eq(&self, other: &Amount) -> bool {
        self.amount() == *other
    }
}

impl PartialOrd<Price> for Amount {
    #[inline]
    fn partial_cmp(&self, other: &Price) -> Option<Ordering> {
        Some(self.cmp(&other.amount()))
    }
}

impl PartialOrd<Amount> for Price {
    #[inline]
    fn partial_cmp(&self, other: &Amount) -> Option<Ordering> {
        Some(self.amount().cmp(other))
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = f.precision().unwrap_or_else(|| {
            let mut fraction = self.0.unsigned_abs() % Self::UNITS_PER_RUPEE.unsigned_abs();
            let mut decimals = if fraction == 0 { 0 } else { DECIMALS as usize };
            while decimals > 0 && fraction.is_multiple_of(10) {
                fraction /= 10;
                decimals -= 1;
            }
            decimals
        });
        decimal::fmt(f, self.0, DECIMALS, shown)
    }
}

impl fmt::Debug for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Amount({self})")
    }
}

impl FromStr for Amount {
    type Err = AmountError;

    /// Reads digits with an optional sign and decimal point: `24500`, `105.25`, `-0.0025`.
    ///
    /// # Errors
    /// Returns an error if the string is not such a number, has more than seven decimals that are
    /// not zero, or is too large.
    fn from_str(text: &str) -> Result<Self, AmountError> {
        Self::from_ascii(text.as_bytes())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for Amount {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for Amount {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::readable::read(deserializer, "an amount such as \"105.25\"")
    }
}

#[cfg(test)]
mod tests;
