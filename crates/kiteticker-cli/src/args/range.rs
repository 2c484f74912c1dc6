//! Whole numbers within a range.

use std::ops::RangeInclusive;
use std::str::FromStr;

use crate::format::numbers::grouped;

/// Returns a parser of whole numbers, whose error is the range.
pub(crate) fn within<T>(
    range: RangeInclusive<T>,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync
where
    T: FromStr + PartialOrd + Copy + Into<i64> + Send + Sync,
{
    move |text| {
        let number = text.parse().ok().filter(|number| range.contains(number));
        number.ok_or_else(|| {
            let [first, last] = [*range.start(), *range.end()];
            let shown = |end: T| grouped(end.into().unsigned_abs());
            format!("expected {} to {}", shown(first), shown(last))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_number_of_the_range_is_an_error_that_names_it() {
        let count = within(1..=9_000_u16);
        assert_eq!((count("1"), count("9000")), (Ok(1), Ok(9_000)));
        for wrong in ["0", "9001", "70000", "-1", "x", ""] {
            assert_eq!(count(wrong), Err("expected 1 to 9,000".to_owned()), "{wrong}");
        }
    }
}
