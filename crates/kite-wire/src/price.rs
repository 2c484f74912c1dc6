//! Exact prices, each an integer in the segment's smallest unit and its number of decimals.

use core::cmp::Ordering;
use core::fmt;
use core::hash::{Hash, Hasher};
use core::str::FromStr;

use crate::amount::Amount;
use crate::decimal::{self, Digits};
use crate::error::PriceError;
use crate::segment::Segment;

/// Maximum number of decimals of a price (CDS).
const MAX_DECIMALS: u8 = 7;

/// An exact price in rupees, held as the wire's integer and the segment's number of decimals.
///
/// Prices compare by value, also across segments and with [`Amount`]s. Sums, differences and
/// products are `Amount`s, which hold them exactly: `price + price`, `price * quantity`,
/// `prices.sum::<Amount>()`. [`Price::from_amount`] is the way back.
///
/// [`fmt::Display`] prints all decimals of the segment, and [`FromStr`] reads it back; `{:.1}`
/// rounds half away from zero. No float is involved unless [`Price::to_f64`] is called.
///
/// The wire's 32 bits are read as signed, as Kite's documentation says (the official Python and Go
/// clients read them unsigned).
///
/// ```
/// use kite_wire::{Price, Segment};
///
/// let price = Price::new(157_370, Segment::Nse);
/// assert_eq!(price.to_string(), "1573.70");
/// assert_eq!(price.to_f64(), 1573.7);
/// assert_eq!((price.raw(), price.decimals()), (157_370, 2));
/// ```
///
/// With the feature `serde` it serialises as `{"raw":157370,"decimals":2}`, and decimals that no
/// segment has are rejected. `readable::price` is the form for people, `"1573.70"`.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked"))]
pub struct Price {
    raw: i32,
    decimals: u8,
}

/// A price that has not been checked.
#[cfg(feature = "serde")]
#[derive(serde::Deserialize)]
struct Unchecked {
    raw: i32,
    decimals: u8,
}

#[cfg(feature = "serde")]
impl TryFrom<Unchecked> for Price {
    type Error = PriceError;

    fn try_from(Unchecked { raw, decimals }: Unchecked) -> Result<Self, PriceError> {
        match decimals {
            2 | 4 | MAX_DECIMALS => Ok(Self { raw, decimals }),
            found => Err(PriceError::Decimals { found: usize::from(found) }),
        }
    }
}

impl Price {
    /// Creates a price from the wire's integer in the segment's smallest unit.
    #[inline]
    #[must_use]
    pub const fn new(raw: i32, segment: Segment) -> Self {
        Self { raw, decimals: segment.decimals() }
    }

    /// Returns the wire's integer, in the segment's smallest unit.
    #[inline]
    #[must_use]
    pub const fn raw(self) -> i32 {
        self.raw
    }

    /// Returns the number of decimals: 7 for CDS, 4 for BCD and NCO, else 2.
    #[inline]
    #[must_use]
    pub const fn decimals(self) -> u8 {
        self.decimals
    }

    /// Returns the divisor that turns [`Price::raw`] into rupees.
    #[inline]
    #[must_use]
    pub const fn divisor(self) -> i32 {
        match self.decimals {
            7 => 10_000_000,
            4 => 10_000,
            _ => 100,
        }
    }

    /// Returns the price in rupees as the nearest `f64`.
    #[inline]
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // Both operands are exact in f64, so the one division rounds correctly.
        f64::from(self.raw) / f64::from(self.divisor())
    }

    /// Returns the price as an exact amount, the type of sums and products of prices.
    #[inline]
    #[must_use]
    pub const fn amount(self) -> Amount {
        Amount::from_units(self.common() as i128)
    }

    /// Creates the price of a segment that has exactly this amount.
    ///
    /// # Errors
    /// Returns an error if the amount has more decimals than the segment's prices, or does not fit
    /// the wire's 32 bits. Round it first, to the instrument's tick size or to the segment's
    /// [`price_unit`](Segment::price_unit).
    ///
    /// # Examples
    /// ```
    /// use kite_wire::{Amount, Price, PriceError, Rounding, Segment};
    ///
    /// let rupees = Amount::from_f64(1573.704)?;
    /// let too_fine = PriceError::TooFine { decimals: 2 };
    /// assert_eq!(Price::from_amount(rupees, Segment::Nse), Err(too_fine));
    ///
    /// let unit = Segment::Nse.price_unit();
    /// let rounded = rupees.round_to(unit, Rounding::Nearest).ok_or("too large")?;
    /// assert_eq!(Price::from_amount(rounded, Segment::Nse)?.to_string(), "1573.70");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub const fn from_amount(amount: Amount, segment: Segment) -> Result<Self, PriceError> {
        let unit = segment.price_unit().units();
        let (raw, rest) = (amount.units() / unit, amount.units() % unit);
        if rest != 0 {
            return Err(PriceError::TooFine { decimals: segment.decimals() });
        }
        if raw < i32::MIN as i128 || raw > i32::MAX as i128 {
            return Err(PriceError::OutOfRange);
        }
        Ok(Self::new(raw as i32, segment))
    }

    /// Returns the value in units of 10⁻⁷ rupees, a unit common to all segments.
    #[inline]
    const fn common(self) -> i64 {
        (self.raw as i64) * (10_000_000 / self.divisor()) as i64
    }
}

impl PartialEq for Price {
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.common() == other.common()
    }
}

impl Eq for Price {}

impl PartialOrd for Price {
    #[inline]
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Price {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        self.common().cmp(&other.common())
    }
}

impl Hash for Price {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.common().hash(state);
    }
}

impl fmt::Display for Price {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = f.precision().unwrap_or_else(|| self.decimals.into());
        decimal::fmt(f, self.raw.into(), self.decimals.into(), shown)
    }
}

impl FromStr for Price {
    type Err = PriceError;

    /// Reads a decimal number as [`fmt::Display`] prints it. The number of decimals (2, 4 or 7)
    /// decides the unit; fewer than two are read as two.
    ///
    /// # Errors
    /// Returns an error if the string is not a decimal number, has a number of decimals that no
    /// segment has, or does not fit the wire's 32 bits.
    fn from_str(text: &str) -> Result<Self, PriceError> {
        let digits = Digits::of(text.as_bytes()).ok_or(PriceError::NotANumber)?;
        let decimals = match digits.fraction.len() {
            0..=2 => 2,
            4 => 4,
            7 => MAX_DECIMALS,
            found => return Err(PriceError::Decimals { found }),
        };
        let raw = digits.scaled(decimals.into()).and_then(|raw| i32::try_from(raw).ok());
        raw.map(|raw| Self { raw, decimals }).ok_or(PriceError::OutOfRange)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn extreme_values_print_exactly_and_read_back() {
        for segment in [Segment::Nse, Segment::Bcd, Segment::Cds] {
            for raw in [i32::MIN, -1, 0, 1, 99, 100, i32::MAX] {
                let price = Price::new(raw, segment);
                let read: Price = price.to_string().parse().unwrap();
                assert_eq!((read.raw(), read.decimals()), (raw, price.decimals()));
            }
        }
        assert_eq!(Price::new(-5, Segment::Nse).to_string(), "-0.05");
        assert_eq!(Price::new(865_025_000, Segment::Cds).to_string(), "86.5025000");
        assert_eq!(std::format!("{:>10}", Price::new(100, Segment::Nse)), "      1.00");
    }

    #[test]
    fn prices_of_the_rare_segments_have_their_divisors() {
        assert_eq!(Price::new(3_782_000, Segment::of_token(31_132_428)).to_f64(), 378.20);
        assert_eq!(Price::new(84_940_000, Segment::of_token(33_539_084)).to_f64(), 8494.00);
    }

    #[cfg(all(feature = "serde", feature = "text"))]
    #[test]
    fn serde_keeps_the_exact_integer_and_rejects_impossible_decimals() {
        let price = Price::new(-865_025_000, Segment::Cds);
        let json = serde_json::to_string(&price).unwrap();
        assert_eq!(json, r#"{"raw":-865025000,"decimals":7}"#);
        assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price);
        assert!(serde_json::from_str::<Price>(r#"{"raw":1,"decimals":3}"#).is_err());
    }

    #[test]
    fn equal_values_of_different_segments_are_equal() {
        assert_eq!(Price::new(100, Segment::Nse), Price::new(10_000, Segment::Bcd));
        assert!(Price::new(101, Segment::Nse) > Price::new(10_000_000, Segment::Cds));
    }

    #[test]
    fn strings_that_are_not_prices_are_rejected() {
        for bad in ["", "-", ".5", "5.", "1e3", "1,000", " 1", "1.234", "99999999999"] {
            assert!(bad.parse::<Price>().is_err(), "{bad}");
        }
        assert_eq!("7".parse::<Price>().unwrap().raw(), 700);
        assert_eq!("7.5".parse::<Price>().unwrap().raw(), 750);
    }
}
