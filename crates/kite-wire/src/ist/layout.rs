//! The layouts in which order updates and people write a date and time.
//!
//! Kite sends `YYYY-MM-DD HH:MM:SS` and means Indian time. Servers that pass its updates on write
//! what their language prefers. A layout is read only if it has one meaning, which excludes
//! two-digit years, the month before the day, and counts that may be seconds or milliseconds.

use super::UTC_OFFSET_S;
use super::date_time::{IstDateTime, TimestampError};

const MONTHS: [&[u8; 3]; 12] = [
    b"jan", b"feb", b"mar", b"apr", b"may", b"jun", b"jul", b"aug", b"sep", b"oct", b"nov", b"dec",
];

/// Reads a string in any layout, and the nanoseconds that follow the second.
pub(crate) fn read(text: &str) -> Result<(IstDateTime, u32), TimestampError> {
    let layout = TimestampError::Layout { len_bytes: text.len() };
    if let Some(count) = whole_count(text) {
        return count.parse().ok().and_then(from_epoch).ok_or(layout);
    }
    let mut rest = Rest(text.as_bytes());
    let (year, month, day) = rest.date().ok_or(layout)?;
    let (hour, minute, second, ns) = rest.time().ok_or(layout)?;
    let offset_s = rest.offset_s().ok_or(layout)?;
    let local = IstDateTime::new(year, month, day, hour, minute, second)?;
    if offset_s == UTC_OFFSET_S {
        return Ok((local, ns));
    }
    let unix_seconds = local.unix_seconds() + UTC_OFFSET_S - offset_s;
    let at = IstDateTime::from_unix_seconds(unix_seconds).ok_or(TimestampError::Calendar)?;
    Ok((at, ns))
}

/// Reads a count since the Unix epoch, and the nanoseconds that follow the second. Its number of
/// digits determines the unit: from 2001-09-09 to 2286-11-20, seconds have 10, milliseconds 13,
/// microseconds 16 and nanoseconds 19.
pub(crate) fn from_epoch(count: u64) -> Option<(IstDateTime, u32)> {
    let per_second = match count.checked_ilog10()? + 1 {
        10 => 1,
        13 => 1_000,
        16 => 1_000_000,
        19 => 1_000_000_000,
        _ => return None,
    };
    let at = IstDateTime::from_unix_seconds(i64::try_from(count / per_second).ok()?)?;
    // Less than a second.
    Some((at, (count % per_second * (1_000_000_000 / per_second)) as u32))
}

/// Returns the digits before the point if the text is a decimal number without a sign.
fn whole_count(text: &str) -> Option<&str> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let is_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    (!whole.is_empty() && is_digits(whole) && is_digits(fraction)).then_some(whole)
}

/// The unread rest of a string.
struct Rest<'a>(&'a [u8]);

impl Rest<'_> {
    /// Reads `YYYY-MM-DD`, `DD-MM-YYYY` or `DD-Mon-YYYY`, each also with slashes.
    fn date(&mut self) -> Option<(u16, u8, u8)> {
        let year_first = self.0.get(..4)?.iter().all(u8::is_ascii_digit);
        let first = if year_first { self.year()? } else { self.two_digits()?.into() };
        let separator = self.one_of(b"-/")?;
        let month = self.month()?;
        self.one_of(&[separator])?;
        if year_first {
            return Some((first, month, self.two_digits()?));
        }
        Some((self.year()?, month, u8::try_from(first).ok()?))
    }

    /// Reads the separator, `HH:MM:SS` and a fraction of a second, in nanoseconds.
    fn time(&mut self) -> Option<(u8, u8, u8, u32)> {
        self.one_of(b" Tt")?;
        let hour = self.two_digits()?;
        self.one_of(b":")?;
        let minute = self.two_digits()?;
        self.one_of(b":")?;
        let second = self.two_digits()?;
        let mut ns = 0;
        if self.one_of(b".,").is_some() {
            let digits = self.0.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let (fraction, rest) = self.0.split_at(digits);
            self.0 = rest;
            (digits > 0).then_some(())?;
            // Further digits are dropped.
            let nine = fraction.iter().chain(core::iter::repeat(&b'0')).take(9);
            ns = nine.fold(0, |ns, digit| ns * 10 + u32::from(digit - b'0'));
        }
        Some((hour, minute, second, ns))
    }

    /// Reads the offset from UTC to the end of the string; without one, the time is Indian time.
    fn offset_s(&mut self) -> Option<i64> {
        if self.0.is_empty() {
            return Some(UTC_OFFSET_S);
        }
        let has_space = self.one_of(b" ").is_some();
        match self.0 {
            b"Z" | b"z" if !has_space => return Some(0),
            b"UTC" | b"GMT" if has_space => return Some(0),
            b"IST" if has_space => return Some(UTC_OFFSET_S),
            _ => {}
        }
        let sign = if self.one_of(b"+-")? == b'-' { -1 } else { 1 };
        let hours = self.two_digits()?;
        let has_colon = self.one_of(b":").is_some();
        let minutes = if self.0.is_empty() && !has_colon { 0 } else { self.two_digits()? };
        let is_offset = self.0.is_empty() && hours < 24 && minutes < 60;
        is_offset.then(|| sign * (i64::from(hours) * 3600 + i64::from(minutes) * 60))
    }

    fn year(&mut self) -> Option<u16> {
        Some(u16::from(self.two_digits()?) * 100 + u16::from(self.two_digits()?))
    }

    /// Reads two digits or the first three letters of an English name.
    fn month(&mut self) -> Option<u8> {
        let name = self.0.get(..3)?;
        match MONTHS.iter().position(|month| name.eq_ignore_ascii_case(*month)) {
            Some(position) => {
                self.0 = &self.0[3..];
                u8::try_from(position + 1).ok()
            }
            None => self.two_digits(),
        }
    }

    fn two_digits(&mut self) -> Option<u8> {
        let [tens @ b'0'..=b'9', units @ b'0'..=b'9', rest @ ..] = self.0 else { return None };
        self.0 = rest;
        Some((tens - b'0') * 10 + (units - b'0'))
    }

    /// Reads one byte if it is among these.
    fn one_of(&mut self, bytes: &[u8]) -> Option<u8> {
        let (&first, rest) = self.0.split_first()?;
        bytes.contains(&first).then(|| {
            self.0 = rest;
            first
        })
    }
}

#[cfg(test)]
mod tests {
    use std::format;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<i64, TimestampError> {
        read(text).map(|(at, _)| at.unix_seconds())
    }

    #[test]
    fn every_layout_of_an_instant_is_read() {
        for text in [
            // Kite's order updates and postbacks, and its historical candles.
            "2022-03-03 09:24:25",
            "2022-03-03T09:24:25+0530",
            "2022-03-03T09:24:25+05:30",
            // JavaScript's toISOString, Python's isoformat, Go's RFC 3339.
            "2022-03-03T03:54:25.000Z",
            "2022-03-03T09:24:25",
            "2022-03-03T09:24:25.123456",
            "2022-03-03T03:54:25+00:00",
            "2022-03-03T09:24:25.123456789+05:30",
            "2022-03-02 22:54:25-05",
            "2022-03-03 09:24:25 +0530",
            "2022-03-03 09:24:25,123",
            "2022-03-03t03:54:25z",
            "2022-03-03 09:24:25 IST",
            "2022-03-03 03:54:25 UTC",
            "2022-03-03 03:54:25 GMT",
            "2022/03/03 09:24:25",
            // Day first, as in India.
            "03-03-2022 09:24:25",
            "03/03/2022 09:24:25",
            "03-Mar-2022 09:24:25",
            "03-MAR-2022 09:24:25.5",
            // Counts since the epoch.
            "1646279665",
            "1646279665.123",
            "1646279665000",
            "1646279665123456",
            "1646279665123456789",
        ] {
            assert_eq!(parse(text), Ok(1_646_279_665), "{text}");
        }
        assert_eq!(parse("04-12-2025 00:00:00"), parse("2025-12-04 00:00:00"));
    }

    #[test]
    fn strings_with_no_or_two_meanings_are_rejected() {
        for text in [
            "",
            "2022-03-03",
            "09:24:25",
            "2022-03-03 09:24",
            "2022-03-03 09:24:25 ",
            " 2022-03-03 09:24:25",
            "2022-03-03  09:24:25",
            "2022-03-03 09:24:25.",
            "2022-03-03 09:24:25.Z",
            "2022-03-03 09:24:25 Z",
            "2022-03-03 09:24:25IST",
            "2022-03-03 09:24:25 EST",
            "2022-03-03 09:24:25+5:30",
            "2022-03-03 09:24:25+05:",
            "2022-03-03 09:24:25+05:30:00",
            "2022-03-03 09:24:25+24:00",
            "2022-03-03 09:24:25 PM",
            "2022-03/03 09:24:25",
            "2022-3-03 09:24:25",
            "03-03-22 09:24:25",
            "3 Mar 2022 09:24:25",
            "Thu Mar  3 09:24:25 2022",
            "20220303092425",
            "20220303T092425",
            "+1646279665",
            "-1646279665",
            "1.646279665e9",
            "164627966",
            "16462796650",
            "16462796650000",
            ".5",
            "99999999999999999999999",
            "२०२२-03-03 09:24:25",
        ] {
            let len_bytes = text.len();
            assert_eq!(parse(text), Err(TimestampError::Layout { len_bytes }), "{text}");
        }
    }

    #[test]
    fn instants_after_the_year_9999_in_india_are_rejected() {
        assert!(parse("9999-12-31T18:29:59Z").is_ok());
        assert_eq!(parse("9999-12-31T18:30:00Z"), Err(TimestampError::Calendar));
        assert_eq!(parse("0000-01-01T00:00:00+05:31"), Err(TimestampError::Calendar));
    }

    #[test]
    fn a_count_is_read_by_its_digits() {
        let seconds = |count| from_epoch(count).map(|(at, _)| at.unix_seconds());
        for second in [1_000_000_000, 1_646_279_665, 9_223_372_036, 9_999_999_999] {
            for unit in [1, 1_000, 1_000_000] {
                assert_eq!(seconds(second * unit), Some(second as i64));
                assert_eq!(seconds(second * unit + unit - 1), Some(second as i64));
            }
        }
        assert_eq!(seconds(1_646_279_665_999_999_999), Some(1_646_279_665));
        for count in [0, 1, 86_400, 999_999_999, 10_000_000_000, u64::MAX] {
            assert_eq!(seconds(count), None, "{count}");
        }
    }

    proptest! {
        #[test]
        fn an_instant_reads_the_same_with_every_offset(
            unix_seconds in 0_i64..253_000_000_000,
            offset_minutes in -1_439_i64..1_440,
        ) {
            let local = unix_seconds + offset_minutes * 60 - UTC_OFFSET_S;
            let text = format!("{}", IstDateTime::from_unix_seconds(local).unwrap());
            let sign = if offset_minutes < 0 { '-' } else { '+' };
            let (hours, minutes) = (offset_minutes.abs() / 60, offset_minutes.abs() % 60);
            for text in [
                format!("{text}{sign}{hours:02}:{minutes:02}"),
                format!("{text}.75 {sign}{hours:02}{minutes:02}"),
            ] {
                prop_assert_eq!(parse(&text), Ok(unix_seconds), "{}", text);
            }
        }

        #[test]
        fn nearly_valid_text_never_panics(
            date in "[0-9]{1,4}[-/ ][0-9a-zA-Z]{1,3}[-/][0-9]{1,4}",
            time in "[ T]?[0-9:.,]{0,12}[-+ Z0-9:]{0,7}",
        ) {
            let _ = read(&format!("{date}{time}"));
        }
    }
}
