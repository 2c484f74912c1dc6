//! Exact decimal numbers, for prices, strikes and tick sizes as the list writes them.

use std::fmt;
use std::str::FromStr;

use kite_wire::Price;

use crate::error::DecimalError;

/// The number of decimals kept, those of the finest prices on the wire (CDS).
const DECIMALS: usize = 7;

/// Units of the last decimal in one rupee.
const UNITS: i64 = 10_000_000;

/// An exact number with up to seven decimals, stored as an integer in units of 10⁻⁷.
///
/// Used for the prices, strikes and tick sizes of instruments, so that 0.05 is exactly 0.05. The
/// largest value is about 922 billion. Prints without trailing zeros (`24500`, `105.25`, `0.0025`)
/// and parses back.
///
/// ```
/// use kite_instruments::Decimal;
///
/// let tick: Decimal = "0.05".parse()?;
/// assert_eq!(tick.units(), 500_000);
/// assert_eq!(tick.to_f64(), 0.05);
/// assert_eq!("24500.0".parse::<Decimal>()?, Decimal::from(24_500));
/// # Ok::<(), kite_instruments::DecimalError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Decimal(i64);

impl Decimal {
    /// Zero, which the list also writes for a missing strike, price or tick size.
    pub const ZERO: Self = Self(0);

    /// Creates a number from units of 10⁻⁷.
    #[must_use]
    pub const fn from_units(units: i64) -> Self {
        Self(units)
    }

    /// Returns the number in units of 10⁻⁷.
    #[must_use]
    pub const fn units(self) -> i64 {
        self.0
    }

    /// Returns the nearest `f64`. The rounding is correct up to about 900 million.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        // Both operands are exact in f64 below 2^53 units, so the one division rounds correctly.
        self.0 as f64 / UNITS as f64
    }

    /// Returns whether the number is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// Returns the number if it is an integer that fits.
    pub(crate) fn to_u32(self) -> Option<u32> {
        if self.0 % UNITS == 0 { u32::try_from(self.0 / UNITS).ok() } else { None }
    }

    /// Parses digits with an optional sign and decimal point.
    pub(crate) fn from_ascii(text: &[u8]) -> Result<Self, DecimalError> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            all => (false, all),
        };
        let mut units: i64 = 0;
        // Number of decimals seen, once there was a point.
        let mut decimals: Option<usize> = None;
        let mut last_is_digit = false;
        for &byte in digits {
            last_is_digit = byte.is_ascii_digit();
            if !last_is_digit {
                if byte != b'.' || decimals.is_some() {
                    return Err(DecimalError::NotANumber);
                }
                decimals = Some(0);
                continue;
            }
            if decimals == Some(DECIMALS) {
                if byte == b'0' {
                    continue;
                }
                return Err(DecimalError::TooFine);
            }
            decimals = decimals.map(|seen| seen + 1);
            units = units
                .checked_mul(10)
                .and_then(|units| units.checked_add(i64::from(byte - b'0')))
                .ok_or(DecimalError::OutOfRange)?;
        }
        if !last_is_digit || digits.first() == Some(&b'.') {
            return Err(DecimalError::NotANumber);
        }
        let missing = DECIMALS - decimals.unwrap_or(0);
        let units = units.checked_mul(POWERS[missing]).ok_or(DecimalError::OutOfRange)?;
        Ok(Self(if negative { -units } else { units }))
    }
}

/// Powers of ten, by their exponent.
const POWERS: [i64; DECIMALS + 1] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, UNITS];

impl From<u32> for Decimal {
    fn from(whole: u32) -> Self {
        Self(i64::from(whole) * UNITS)
    }
}

impl From<i32> for Decimal {
    fn from(whole: i32) -> Self {
        Self(i64::from(whole) * UNITS)
    }
}

impl From<Price> for Decimal {
    /// Converts a price of the feed exactly.
    fn from(price: Price) -> Self {
        Self(i64::from(price.raw()) * (UNITS / i64::from(price.divisor())))
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, fraction) =
            (self.0.unsigned_abs() / UNITS as u64, self.0.unsigned_abs() % UNITS as u64);
        let text = if fraction == 0 {
            whole.to_string()
        } else {
            let fraction = format!("{fraction:0DECIMALS$}");
            format!("{whole}.{}", fraction.trim_end_matches('0'))
        };
        f.pad_integral(self.0 >= 0, "", &text)
    }
}

impl fmt::Debug for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Decimal {
    type Err = DecimalError;

    /// Parses digits with an optional sign and decimal point: `24500`, `105.25`, `-0.0025`.
    ///
    /// # Errors
    /// Returns an error if the string is not such a number, has more than seven decimals that are
    /// not zero, or is larger than about 922 billion.
    fn from_str(text: &str) -> Result<Self, DecimalError> {
        Self::from_ascii(text.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use kite_wire::Segment;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_in_the_list_are_exact() {
        for (text, units, printed) in [
            ("0.0", 0, "0"),
            ("0.05", 500_000, "0.05"),
            ("0.0025", 25_000, "0.0025"),
            ("24500.0", 245_000_000_000, "24500"),
            ("105.25", 1_052_500_000, "105.25"),
            ("1", 10_000_000, "1"),
            ("-0.0000001", -1, "-0.0000001"),
            ("0.12345670000", 1_234_567, "0.1234567"),
        ] {
            let number: Decimal = text.parse().unwrap();
            assert_eq!(number.units(), units, "{text}");
            assert_eq!(number.to_string(), printed);
            assert_eq!(number.to_f64(), text.parse::<f64>().unwrap());
        }
        assert_eq!(format!("[{:>7}]", Decimal::from(5)), "[      5]");
    }

    #[test]
    fn strings_that_are_not_exact_numbers_are_rejected() {
        for bad in ["", "-", ".", ".5", "5.", "1e3", "1,000", " 1", "1.2.3", "NaN", "--1"] {
            assert_eq!(bad.parse::<Decimal>(), Err(DecimalError::NotANumber), "{bad}");
        }
        assert_eq!("0.12345678".parse::<Decimal>(), Err(DecimalError::TooFine));
        assert_eq!("922337203686".parse::<Decimal>(), Err(DecimalError::OutOfRange));
        assert_eq!("9999999999999999999999".parse::<Decimal>(), Err(DecimalError::OutOfRange));
    }

    #[test]
    fn prices_of_the_feed_convert_exactly() {
        assert_eq!(Decimal::from(Price::new(157_370, Segment::Nse)).to_string(), "1573.7");
        assert_eq!(Decimal::from(Price::new(865_025_000, Segment::Cds)).to_string(), "86.5025");
        assert_eq!(Decimal::from(Price::new(i32::MIN, Segment::Nco)).to_string(), "-214748.3648");
    }

    proptest! {
        #[test]
        fn every_number_parses_back_as_printed(units in (i64::MIN + 1)..=i64::MAX) {
            let number = Decimal::from_units(units);
            prop_assert_eq!(number.to_string().parse::<Decimal>(), Ok(number));
        }
    }
}
