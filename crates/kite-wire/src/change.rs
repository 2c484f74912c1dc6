//! Change since the previous day's close, from the wire's integers.
//!
//! Shared by views and owned ticks. Not used for an index's absolute change, which the exchange
//! sends.

/// Returns last price minus close. `None` if there is no close (0) or the difference does not fit
/// in 32 bits.
#[inline]
pub(crate) const fn absolute(last_price: i32, close: i32) -> Option<i32> {
    if close == 0 { None } else { last_price.checked_sub(close) }
}

/// Returns last price minus close in percent of the close. `None` if there is no close (0).
#[inline]
pub(crate) fn percent(last_price: i32, close: i32) -> Option<f64> {
    (close != 0).then(|| {
        // Exact in f64 up to the one division: at most 33 bits times 100.
        let difference = i64::from(last_price) - i64::from(close);
        (difference * 100) as f64 / f64::from(close)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_close_of_zero_has_no_change() {
        assert_eq!((absolute(5, 0), percent(5, 0)), (None, None));
    }

    #[test]
    fn a_difference_beyond_32_bits_is_none_and_its_percentage_is_not() {
        assert_eq!(absolute(i32::MAX, -1), None);
        assert_eq!(percent(i32::MAX, -1), Some(-100.0 * 2_147_483_648.0));
        assert_eq!(absolute(i32::MIN, -1), Some(-i32::MAX));
    }

    #[test]
    fn the_percentage_is_rounded_once() {
        assert_eq!(percent(157_370, 156_780), Some(59_000.0 / 156_780.0));
    }
}
