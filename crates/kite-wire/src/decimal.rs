//! Decimal numbers as text, the part that prices and amounts have in common.

use core::fmt;

/// Maximum number of decimals printed, so that every number fits a string on the stack.
const MAX_SHOWN: usize = 30;

/// The digits of a plain decimal number: a sign or none, digits, and perhaps a point with digits
/// after it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Digits<'a> {
    negative: bool,
    whole: &'a [u8],
    pub(crate) fraction: &'a [u8],
}

impl<'a> Digits<'a> {
    /// Splits a number into its parts; `None` if it is not a plain decimal number.
    pub(crate) fn of(text: &'a [u8]) -> Option<Self> {
        let (negative, digits) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            all => (false, all),
        };
        let point = digits.iter().position(|&byte| byte == b'.');
        let (whole, fraction) = match point {
            Some(at) => (&digits[..at], &digits[at + 1..]),
            None => (digits, &digits[digits.len()..]),
        };
        let all_digits = whole.iter().chain(fraction).all(u8::is_ascii_digit);
        let is_number =
            all_digits && !whole.is_empty() && (point.is_none() || !fraction.is_empty());
        is_number.then_some(Self { negative, whole, fraction })
    }

    /// Returns the number times 10 to the power of `decimals`, which must not be fewer than the
    /// number has; `None` if it does not fit.
    pub(crate) fn scaled(self, decimals: usize) -> Option<i128> {
        let Self { negative, whole, fraction } = self;
        let zeros = decimals.saturating_sub(fraction.len());
        let digits = whole.iter().chain(fraction).chain(core::iter::repeat_n(&b'0', zeros));
        // 19 digits always fit 64 bits, whose products cost a fraction of those of 128.
        let value = if whole.len() + fraction.len() + zeros <= 19 {
            digits.fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0')).into()
        } else {
            digits.into_iter().try_fold(0_u128, |value, digit| {
                value.checked_mul(10)?.checked_add(u128::from(digit - b'0'))
            })?
        };
        signed(negative, value)
    }
}

/// Returns a number with this sign and magnitude, if it fits.
pub(crate) fn signed(negative: bool, magnitude: u128) -> Option<i128> {
    if negative { 0_i128.checked_sub_unsigned(magnitude) } else { magnitude.try_into().ok() }
}

/// Prints `value` divided by 10 to the power of `decimals`, rounded half away from zero to `shown`
/// decimals. Honours width, fill and sign; a number that rounds to zero has no minus sign.
pub(crate) fn fmt(
    f: &mut fmt::Formatter<'_>,
    value: i128,
    decimals: u32,
    shown: usize,
) -> fmt::Result {
    let shown = shown.min(MAX_SHOWN);
    let dropped = decimals.saturating_sub(shown as u32);
    let (unit, kept) = (10_u128.pow(dropped), decimals - dropped);
    let value_kept = (value.unsigned_abs() + unit / 2) / unit;
    let divisor = 10_u128.pow(kept);

    // 2¹²⁷ without its decimals has up to 39 digits.
    let mut text = Text::<{ 39 + 1 + MAX_SHOWN }>::default();
    fmt::write(&mut text, format_args!("{}", value_kept / divisor))?;
    if shown > 0 {
        let (fraction, width) = (value_kept % divisor, kept as usize);
        let zeros = shown - width;
        fmt::write(&mut text, format_args!(".{fraction:0width$}{:0<zeros$}", ""))?;
    }
    f.pad_integral(value >= 0 || value_kept == 0, "", text.as_str())
}

/// A short string on the stack, so that `Display` can honour width and fill without an allocation.
struct Text<const N: usize> {
    bytes: [u8; N],
    len: usize,
}

impl<const N: usize> Default for Text<N> {
    fn default() -> Self {
        Self { bytes: [0; N], len: 0 }
    }
}

impl<const N: usize> Text<N> {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or_default()
    }
}

impl<const N: usize> fmt::Write for Text<N> {
    fn write_str(&mut self, s: &str) -> fmt::Result {
        let end = self.len + s.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?;
        room.copy_from_slice(s.as_bytes());
        self.len = end;
        Ok(())
    }
}
