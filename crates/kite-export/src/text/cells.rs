//! Cells of a row, and the digits in them.

use kite_wire::ist::{DAY_S, Day, UTC_OFFSET_S};
use kite_wire::{Price, UnixSeconds};

use crate::settings::{TimeFormat, TimeUnit, TimeZone, Times};

/// Writes the cells of rows, in the order of the columns. `None` is a null.
pub(super) trait Cells {
    fn begin(&mut self);
    fn end(&mut self);
    fn nanoseconds(&mut self, unix_ns: Option<u64>);
    fn seconds(&mut self, seconds: Option<UnixSeconds>);
    fn number(&mut self, number: Option<u64>);
    fn price(&mut self, price: Option<Price>);
    fn text(&mut self, text: Option<&str>);

    /// Returns the rows written since they were last taken.
    fn rows(&mut self) -> &mut Vec<u8>;

    /// Takes the rows written, and reserves as much space for the next.
    fn take(&mut self) -> Vec<u8> {
        let rows = self.rows();
        let next = Vec::with_capacity(rows.len());
        std::mem::replace(rows, next)
    }
}

/// Appends a number in decimal digits.
#[inline]
pub(super) fn push_number(out: &mut Vec<u8>, number: u64) {
    let mut digits = [0; 20];
    let mut at = digits.len();
    let mut rest = number;
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[at..]);
}

/// Appends a number with leading zeros, `N` digits in all.
#[inline]
fn push_padded<const N: usize>(out: &mut Vec<u8>, number: u32) {
    let mut digits = [b'0'; N];
    let mut rest = number;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Appends a price with all decimals of its segment, as its `Display` does.
#[inline]
pub(super) fn push_price(out: &mut Vec<u8>, price: Price) {
    if price.raw() < 0 {
        out.push(b'-');
    }
    let (value, divisor) = (price.raw().unsigned_abs(), price.divisor().unsigned_abs());
    push_number(out, (value / divisor).into());
    out.push(b'.');
    let decimals = value % divisor;
    match price.decimals() {
        7 => push_padded::<7>(out, decimals),
        4 => push_padded::<4>(out, decimals),
        _ => push_padded::<2>(out, decimals),
    }
}

/// Writes times and caches the date, which is usually that of the previous time.
#[derive(Debug)]
pub(super) struct Clock {
    format: TimeFormat,
    day: u64,
    date: Vec<u8>,
}

const NANOS_PER_SECOND: u64 = 1_000_000_000;

impl Clock {
    pub(super) fn new(format: TimeFormat) -> Self {
        let mut date = Vec::with_capacity(16);
        push_date(&mut date, 0);
        Self { format, day: 0, date }
    }

    /// Returns whether times are strings rather than numbers.
    pub(super) fn is_text(&self) -> bool {
        self.format.text == Times::Rfc3339
    }

    pub(super) fn push_nanoseconds(&mut self, out: &mut Vec<u8>, unix_ns: u64) {
        match (self.format.text, self.format.unit) {
            (Times::Epoch, TimeUnit::Nanoseconds) => push_number(out, unix_ns),
            (Times::Epoch, TimeUnit::Microseconds) => push_number(out, unix_ns / 1_000),
            (Times::Rfc3339, unit) => {
                self.push_second(out, unix_ns / NANOS_PER_SECOND);
                out.push(b'.');
                let fraction = (unix_ns % NANOS_PER_SECOND) as u32;
                match unit {
                    TimeUnit::Nanoseconds => push_padded::<9>(out, fraction),
                    TimeUnit::Microseconds => push_padded::<6>(out, fraction / 1_000),
                }
                self.push_offset(out);
            }
        }
    }

    pub(super) fn push_seconds(&mut self, out: &mut Vec<u8>, seconds: UnixSeconds) {
        let seconds = u64::from(seconds.get());
        match (self.format.text, self.format.unit) {
            (Times::Epoch, TimeUnit::Nanoseconds) => push_number(out, seconds * NANOS_PER_SECOND),
            (Times::Epoch, TimeUnit::Microseconds) => push_number(out, seconds * 1_000_000),
            (Times::Rfc3339, _) => {
                self.push_second(out, seconds);
                self.push_offset(out);
            }
        }
    }

    fn push_offset(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.format.zone {
            TimeZone::Utc => b"Z",
            TimeZone::Ist => b"+05:30",
        });
    }

    fn push_second(&mut self, out: &mut Vec<u8>, unix_seconds: u64) {
        let offset = match self.format.zone {
            TimeZone::Utc => 0,
            TimeZone::Ist => UTC_OFFSET_S as u64,
        };
        let local = unix_seconds + offset;
        let (day, second) = (local / DAY_S as u64, (local % DAY_S as u64) as u32);
        if day != self.day {
            self.day = day;
            self.date.clear();
            push_date(&mut self.date, day);
        }
        out.extend_from_slice(&self.date);
        out.push(b'T');
        push_padded::<2>(out, second / 3_600);
        out.push(b':');
        push_padded::<2>(out, second / 60 % 60);
        out.push(b':');
        push_padded::<2>(out, second % 60);
    }
}

/// Appends the date of a day counted from 1 January 1970.
fn push_date(out: &mut Vec<u8>, days: u64) {
    // Nanoseconds in 64 bits end in the year 2554.
    let day = i64::try_from(days).ok().and_then(Day::from_unix_days).unwrap_or(Day::LAST);
    let (year, month, day) = day.date();
    push_padded::<4>(out, year.into());
    out.push(b'-');
    push_padded::<2>(out, month.into());
    out.push(b'-');
    push_padded::<2>(out, day.into());
}

#[cfg(test)]
mod tests {
    use kite_wire::Segment;
    use proptest::prelude::*;

    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn time(unix_ns: u64) -> String {
        text(|out| Clock::new(TimeFormat::default()).push_nanoseconds(out, unix_ns))
    }

    #[test]
    fn times_are_those_of_the_calendar() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time(951_782_400_000_000_001), "2000-02-29T00:00:00.000000001Z");
        assert_eq!(time(1_767_585_600_000_000_000), "2026-01-05T04:00:00.000000000Z");
        assert_eq!(time(4_107_542_399_999_999_999), "2100-02-28T23:59:59.999999999Z");
        assert_eq!(time(4_107_542_400_000_000_000), "2100-03-01T00:00:00.000000000Z");
        assert_eq!(time(i64::MAX as u64), "2262-04-11T23:47:16.854775807Z");
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let lengths = |year: u32| {
            let leap =
                year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
            [31, 28 + u32::from(leap), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        };
        let mut expected = (1970, 1, 1);
        for day in 0..213_000 {
            let date = format!("{:04}-{:02}-{:02}", expected.0, expected.1, expected.2);
            assert_eq!(text(|out| push_date(out, day)), date);
            let (year, month, of_month) = &mut expected;
            *of_month += 1;
            if *of_month > lengths(*year)[*month - 1] {
                (*of_month, *month) = (1, *month + 1);
            }
            if *month > 12 {
                (*month, *year) = (1, *year + 1);
            }
        }
    }

    #[test]
    fn a_clock_updates_its_cached_day() {
        let mut clock = Clock::new(TimeFormat::default());
        let both = text(|out| {
            clock.push_seconds(out, UnixSeconds(86_399));
            clock.push_seconds(out, UnixSeconds(86_400));
        });
        assert_eq!(both, "1970-01-01T23:59:59Z1970-01-02T00:00:00Z");
    }

    #[test]
    fn times_have_the_chosen_unit_and_offset() {
        let both = |text, unit, zone| {
            let mut clock = Clock::new(TimeFormat { text, unit, zone });
            let mut write = |write: fn(&mut Clock, &mut Vec<u8>)| {
                let mut out = Vec::new();
                write(&mut clock, &mut out);
                String::from_utf8(out).unwrap()
            };
            let received =
                write(|clock, out| clock.push_nanoseconds(out, 1_795_372_199_123_456_789));
            (received, write(|clock, out| clock.push_seconds(out, UnixSeconds(1_795_372_200))))
        };
        let found = both(Times::Rfc3339, TimeUnit::Microseconds, TimeZone::Utc);
        assert_eq!((&*found.0, &*found.1), ("2026-11-22T18:29:59.123456Z", "2026-11-22T18:30:00Z"));
        let (received, traded) = both(Times::Rfc3339, TimeUnit::Nanoseconds, TimeZone::Ist);
        assert_eq!(received, "2026-11-22T23:59:59.123456789+05:30");
        assert_eq!(traded, "2026-11-23T00:00:00+05:30", "a day begins at midnight in India");
        let (received, traded) = both(Times::Epoch, TimeUnit::Nanoseconds, TimeZone::Ist);
        assert_eq!((&*received, &*traded), ("1795372199123456789", "1795372200000000000"));
        let (received, traded) = both(Times::Epoch, TimeUnit::Microseconds, TimeZone::Utc);
        assert_eq!((&*received, &*traded), ("1795372199123456", "1795372200000000"));
    }

    proptest! {
        #[test]
        fn numbers_and_prices_read_as_they_display(number: u64, raw: i32, code: u8) {
            prop_assert_eq!(text(|out| push_number(out, number)), number.to_string());
            let price = Price::new(raw, Segment::from_code(code));
            prop_assert_eq!(text(|out| push_price(out, price)), price.to_string());
        }
    }
}
