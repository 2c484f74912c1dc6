//! Numbers for people: grouped thousands, the decimals of the segment, short forms.

use std::time::Duration;

use kite_wire::Price;

const DAY_S: u64 = 86_400;
/// Decimals beyond these are shown only if they are not zero: no tick size needs them.
const USUAL_DECIMALS: usize = 4;

/// Formats a number with grouped thousands: `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    group(&number.to_string())
}

/// Formats a number with its noun: `1 file`, `3 files`.
pub(crate) fn counted(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", grouped(number))
}

/// Formats how many records are lost: `no records lost`, `at least 3 records lost`.
pub(crate) fn lost_records(known: u64, damages_of_unknown_size: u64) -> String {
    match (known, damages_of_unknown_size) {
        (0, 0) => "no records lost".to_owned(),
        (0, _) => "an unknown number of records lost".to_owned(),
        (known, 0) => format!("{} lost", counted(known, "record")),
        (known, _) => format!("at least {} lost", counted(known, "record")),
    }
}

/// Formats a price exactly: `100,123.05`, `86.5025`.
pub(crate) fn price(price: Price) -> String {
    let text = price.to_string();
    let Some((whole, fraction)) = text.split_once('.') else { return group(&text) };
    let mut fraction = fraction;
    while fraction.len() > USUAL_DECIMALS && fraction.ends_with('0') {
        fraction = &fraction[..fraction.len() - 1];
    }
    format!("{}.{fraction}", group(whole))
}

/// Formats a change of a price with its sign, exactly: `+1.25`, `-1,024.50`, `0.00`.
pub(crate) fn signed(change: Price) -> String {
    let sign = if change.raw() > 0 { "+" } else { "" };
    format!("{sign}{}", price(change))
}

/// Formats a number in at most six characters: `950`, `9.50K`, `12.3M`, `4.29B`.
pub(crate) fn compact(number: u64) -> String {
    const UNITS: [(f64, &str); 3] = [(1e3, "K"), (1e6, "M"), (1e9, "B")];
    if number < 1_000 {
        return number.to_string();
    }
    let value = number as f64;
    for (place, (unit, name)) in UNITS.iter().enumerate() {
        let value = value / unit;
        let next = UNITS.get(place + 1).map_or(f64::INFINITY, |(next, _)| next / unit);
        // Rounded first: 999.6 thousand would show as 1000K, which is a million.
        let decimals = three_digits(value);
        let rounded = (value * 10_f64.powi(decimals as i32)).round() / 10_f64.powi(decimals as i32);
        if rounded < next {
            return format!("{value:.decimals$}{name}");
        }
    }
    grouped(number)
}

/// Formats a signed percentage with two decimals, or one from 100 % on: `+1.25%`, `-100.0%`.
pub(crate) fn percent(value: f64) -> String {
    if value.abs() >= 99.995 {
        let rounded = (value * 10.0).round() / 10.0;
        return format!("{rounded:+.1}%");
    }
    // A fall too small to show must not read `-0.00`.
    let rounded = (value * 100.0).round() / 100.0 + 0.0;
    format!("{rounded:+.2}%")
}

/// Formats an age in at most three characters: `0s`, `59s`, `3m`, `23h`, `9d`.
pub(crate) fn age(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3_600 => format!("{}m", seconds / 60),
        seconds @ 3_600..DAY_S => format!("{}h", seconds / 3_600),
        seconds => format!("{}d", (seconds / DAY_S).min(99)),
    }
}

/// Formats a duration with three digits and a unit: `850 ns`, `38.2 µs`, `1.20 ms`.
pub(crate) fn duration(time: Duration) -> String {
    let nanos = time.as_nanos();
    if nanos < 1_000 {
        return format!("{nanos} ns");
    }
    let nanos = nanos as f64;
    for (unit, name) in [(1e3, "µs"), (1e6, "ms")] {
        let value = nanos / unit;
        // From 999.5 on the value would round to 1000, so the next unit takes over.
        if value < 999.5 {
            return format!("{value:.*} {name}", three_digits(value));
        }
    }
    let value = nanos / 1e9;
    format!("{value:.*} s", three_digits(value))
}

/// Returns the number of decimals that leaves three digits.
fn three_digits(value: f64) -> usize {
    match value {
        _ if value < 9.995 => 2,
        _ if value < 99.95 => 1,
        _ => 0,
    }
}

/// Puts a comma before every three digits.
fn group(digits: &str) -> String {
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", digits),
    };
    let mut text = String::with_capacity(digits.len() * 4 / 3 + 1);
    text.push_str(sign);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use kite_wire::Segment;

    use super::*;

    #[test]
    fn digits_are_grouped_by_thousands() {
        let numbers = [0, 999, 1_000, 99_999, 123_456, 1_234_567, 4_294_967_295];
        let expected = ["0", "999", "1,000", "99,999", "123,456", "1,234,567", "4,294,967,295"];
        assert_eq!(numbers.map(grouped), expected);
    }

    #[test]
    fn nouns_agree_with_their_numbers() {
        assert_eq!([1, 2_000].map(|n| counted(n, "file")), ["1 file", "2,000 files"]);
    }

    #[test]
    fn lost_records_are_exact_unless_some_cannot_be_counted() {
        let texts = [(0, 0), (1, 0), (21, 1), (0, 2)].map(|(n, more)| lost_records(n, more));
        assert_eq!(
            texts,
            [
                "no records lost",
                "1 record lost",
                "at least 21 records lost",
                "an unknown number of records lost"
            ]
        );
    }

    #[test]
    fn prices_are_exact_and_have_the_decimals_of_their_segment() {
        for (raw, segment, text) in [
            (2_501_235, Segment::Indices, "25,012.35"),
            (5, Segment::Nse, "0.05"),
            (-12_345_678, Segment::Mcx, "-123,456.78"),
            (i32::MIN, Segment::Mcx, "-21,474,836.48"),
            (865_025_000, Segment::Cds, "86.5025"),
            (865_025_001, Segment::Cds, "86.5025001"),
            (865_000_000, Segment::Cds, "86.5000"),
            (865_025, Segment::Bcd, "86.5025"),
            (84_940_000, Segment::Nco, "8,494.0000"),
        ] {
            assert_eq!(price(Price::new(raw, segment)), text);
        }
    }

    #[test]
    fn compact_numbers_have_three_digits_and_a_unit() {
        for (number, text) in [
            (0, "0"),
            (999, "999"),
            (1_000, "1.00K"),
            (99_949, "99.9K"),
            (99_960, "100K"),
            (999_499, "999K"),
            (999_500, "1.00M"),
            (1_234_567, "1.23M"),
            (999_499_999, "999M"),
            (999_999_999, "1.00B"),
            (4_294_967_295, "4.29B"),
        ] {
            assert_eq!(compact(number), text);
            assert!(text.len() <= 6);
        }
    }

    #[test]
    fn changes_are_signed_short_and_zero_is_not_negative() {
        assert_eq!(
            [1.254, -0.5, -0.001, 0.0, -99.994, 99.996, 250.04].map(percent),
            ["+1.25%", "-0.50%", "+0.00%", "+0.00%", "-99.99%", "+100.0%", "+250.0%"]
        );
    }

    #[test]
    fn ages_fit_three_characters() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3_599, "59m"),
            (3_600, "1h"),
            (86_399, "23h"),
            (86_400, "1d"),
            (u64::MAX, "99d"),
        ] {
            assert_eq!(age(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn durations_have_three_digits_and_a_unit() {
        for (nanos, text) in [
            (999, "999 ns"),
            (38_240, "38.2 µs"),
            (999_500, "1.00 ms"),
            (12_345_678, "12.3 ms"),
            (61_000_000_000, "61.0 s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), text);
        }
    }
}
