//! Numbers as people read them: separators, units, the decimals of the segment.

use std::time::Duration;

use kiteticker_async_manager::kite_wire::Price;

/// Stands for what an instrument or a moment does not have.
pub(crate) const NONE: &str = "–";

/// Gives `9,000` for 9000.
pub(crate) fn count(number: impl TryInto<u64>) -> String {
    group(&number.try_into().unwrap_or(u64::MAX).to_string())
}

/// Gives `1 tick`, `9,000 ticks`.
pub(crate) fn plural(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

/// Gives three digits and the unit: `850 ns`, `38.2 µs`, `1.20 ms`.
pub(crate) fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    if nanos < 1_000 {
        return format!("{nanos} ns");
    }
    let nanos = nanos as f64;
    for (unit, name) in [(1e3, "µs"), (1e6, "ms")] {
        let value = nanos / unit;
        // Rounded, 999.5 and more would show as 1000: the next unit's.
        if value < 999.5 {
            return format!("{value:.*} {name}", decimals(value));
        }
    }
    let value = nanos / 1e9;
    format!("{value:.*} s", decimals(value))
}

/// Gives the number of decimals that leaves three digits.
fn decimals(value: f64) -> usize {
    match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    }
}

/// Gives rupees with the segment's decimals, at most four: those beyond are never traded.
pub(crate) fn price(price: Price) -> String {
    let decimals = usize::from(price.decimals()).min(4);
    let text = format!("{:.decimals$}", price.to_f64());
    match text.split_once('.') {
        Some((whole, fraction)) => format!("{}.{fraction}", group(whole)),
        None => group(&text),
    }
}

/// Gives a signed share with two decimals: `+1.25%`.
pub(crate) fn percent(value: f64) -> String {
    // Rounded first, so that a fall too small to show is not `-0.00`.
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    format!("{rounded:+.2}%")
}

/// Puts commas between groups of three digits.
fn group(digits: &str) -> String {
    let (sign, digits) = digits.split_at(digits.len() - digits.trim_start_matches('-').len());
    let mut text = String::from(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use kiteticker_async_manager::kite_wire::Segment;

    use super::*;

    #[test]
    fn thousands_are_separated() {
        let numbers = [0, 7, 999, 1_000, 18_000, 123_456, 1_234_567];
        let texts = ["0", "7", "999", "1,000", "18,000", "123,456", "1,234,567"];
        assert_eq!(numbers.map(|number| count(number as u64)), texts);
        assert_eq!([0, 1, 2_000].map(|n| plural(n, "tick")), ["0 ticks", "1 tick", "2,000 ticks"]);
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, text) in [
            (0, "0 ns"),
            (999, "999 ns"),
            (1_000, "1.00 µs"),
            (9_996, "10.0 µs"),
            (38_240, "38.2 µs"),
            (99_960, "100 µs"),
            (999_499, "999 µs"),
            (999_500, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (999_600_000, "1.00 s"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }

    #[test]
    fn prices_have_the_decimals_of_their_segment() {
        for (raw, segment, text) in [
            (2_501_235, Segment::Indices, "25,012.35"),
            (5, Segment::Nse, "0.05"),
            (-123_456, Segment::Mcx, "-1,234.56"),
            (-12_345, Segment::Mcx, "-123.45"),
            (865_025_000, Segment::Cds, "86.5025"),
            (865_025, Segment::Bcd, "86.5025"),
            (84_940_000, Segment::Nco, "8,494.0000"),
        ] {
            assert_eq!(price(Price::new(raw, segment)), text);
        }
    }

    #[test]
    fn changes_are_signed_and_zero_is_not_negative() {
        assert_eq!(
            [1.254, -0.5, -0.001, 0.0].map(percent),
            ["+1.25%", "-0.50%", "+0.00%", "+0.00%"]
        );
    }
}
