//! Parses and formats times and durations, by default in India's time as the market does.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use kite_instruments::Date;
use kite_wire::ist::{DAY_S, Day, UTC_OFFSET_S};

/// Nanoseconds in a second.
pub(crate) const SECOND_NS: u64 = 1_000_000_000;

/// A time on the command line: a moment, or a time of day in India.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Nanoseconds since the Unix epoch.
    Unix(u64),
    /// Nanoseconds since midnight in India, on a day given by the context.
    OfDay(u64),
}

impl Moment {
    /// Returns Unix nanoseconds; a time of day is resolved on the day of `day_unix_ns` in India.
    pub(crate) fn on_day_of(self, day_unix_ns: u64) -> u64 {
        match self {
            Self::Unix(unix_ns) => unix_ns,
            Self::OfDay(ns) => midnight_ist(day_unix_ns).saturating_add(ns),
        }
    }
}

/// Returns the last midnight in India at this instant.
fn midnight_ist(unix_ns: u64) -> u64 {
    u64::try_from(Day::at_unix_ns(unix_ns).start_unix_s()).unwrap_or(0) * SECOND_NS
}

/// Input that is not a time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected 09:15, 2026-11-23 or 2026-11-23T09:15 (in India), or 2026-11-23T03:45:00Z")]
pub(crate) struct NotATime;

impl FromStr for Moment {
    type Err = NotATime;

    fn from_str(text: &str) -> Result<Self, NotATime> {
        match text.get(10..11) {
            Some("T" | "t" | " ") => {
                let (day, clock) = (date(&text[..10]).ok_or(NotATime)?, &text[11..]);
                let (clock, offset_s) = split_offset(clock).unwrap_or((clock, UTC_OFFSET_S));
                let unix_s = i64::from(day) * DAY_S - offset_s;
                let unix_ns = i128::from(unix_s) * i128::from(SECOND_NS)
                    + i128::from(clock_ns(clock).ok_or(NotATime)?);
                u64::try_from(unix_ns).map(Self::Unix).map_err(|_| NotATime)
            }
            _ if text.len() == 10 && date(text).is_some() => format!("{text}T00:00").parse(),
            _ => clock_ns(text).map(Self::OfDay).ok_or(NotATime),
        }
    }
}

/// Parses `2026-11-23` as days since the epoch.
fn date(text: &str) -> Option<i32> {
    text.parse().ok().map(Date::days)
}

/// Parses `09:15`, `09:15:30` or `09:15:30.25` as nanoseconds since midnight.
fn clock_ns(text: &str) -> Option<u64> {
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (text, None),
    };
    let mut parts = whole.split(':');
    let (hour, minute) = (digits(parts.next()?, 2)?, digits(parts.next()?, 2)?);
    let second = parts.next().map_or(Some(0), |second| digits(second, 2));
    if parts.next().is_some() || hour > 23 || minute > 59 || second? > 59 {
        return None;
    }
    let ns = match fraction {
        None => 0,
        Some(_) if whole.len() < 8 => return None,
        Some(digits) if (1..=9).contains(&digits.len()) => {
            let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| format!("{digits:0<9}").parse().ok()).flatten()?
        }
        Some(_) => return None,
    };
    Some(u64::from(hour * 3_600 + minute * 60 + second?) * SECOND_NS + ns)
}

/// Splits `09:15:00+05:30` into the time and its offset in seconds.
fn split_offset(text: &str) -> Option<(&str, i64)> {
    if let Some(clock) = text.strip_suffix(['Z', 'z']) {
        return Some((clock, 0));
    }
    let (clock, offset) = text.split_at(text.rfind(['+', '-'])?);
    let sign = if offset.starts_with('-') { -1 } else { 1 };
    let (hours, minutes) = offset[1..].split_once(':')?;
    let (hours, minutes) = (digits(hours, 2)?, digits(minutes, 2)?);
    (hours < 24 && minutes < 60).then(|| (clock, sign * i64::from(hours * 3_600 + minutes * 60)))
}

fn digits(text: &str, len: usize) -> Option<u32> {
    let is_number = text.len() == len && text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok()).flatten()
}

/// A moment in Unix nanoseconds, shown with milliseconds and its offset (RFC 3339).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown {
    unix_ns: u64,
    offset_s: i64,
}

/// Formats a moment in India's time.
pub(crate) fn ist(unix_ns: u64) -> Shown {
    Shown { unix_ns, offset_s: UTC_OFFSET_S }
}

/// Formats the time of day in India: `09:31:22`.
pub(crate) fn ist_clock(unix_s: u64) -> String {
    ist(unix_s.saturating_mul(SECOND_NS)).clock()
}

/// Formats a moment in UTC.
pub(crate) fn utc(unix_ns: u64) -> Shown {
    Shown { unix_ns, offset_s: 0 }
}

impl Shown {
    fn seconds(self) -> i64 {
        (self.unix_ns / SECOND_NS) as i64 + self.offset_s
    }

    /// Returns the time of day: `09:15:00`.
    pub(crate) fn clock(self) -> String {
        let of_day = self.seconds().rem_euclid(DAY_S);
        format!("{:02}:{:02}:{:02}", of_day / 3_600, of_day / 60 % 60, of_day % 60)
    }

    /// Returns the time of day with milliseconds: `09:15:00.025`.
    pub(crate) fn clock_millis(self) -> String {
        format!("{}.{:03}", self.clock(), self.unix_ns / 1_000_000 % 1_000)
    }

    /// Returns the date: `2026-11-23`.
    pub(crate) fn date(self) -> String {
        // 64 bits of nanoseconds end in the year 2554.
        Day::from_unix_days(self.seconds().div_euclid(DAY_S)).unwrap_or(Day::LAST).to_string()
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = if self.offset_s == 0 { "Z" } else { "+05:30" };
        write!(f, "{}T{}{zone}", self.date(), self.clock_millis())
    }
}

/// Returns the current time in Unix nanoseconds.
pub(crate) fn now_unix_ns() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Parses a duration: `500ms`, `10s`, `1.5s`, `5m`, `2h`, `1h30m`; a number alone is in seconds.
/// Each unit is smaller than the one before it.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    duration_below(f64::INFINITY, text)
}

/// Parses a duration whose units are all smaller than one of this many seconds.
fn duration_below(limit_s: f64, text: &str) -> Result<Duration, String> {
    // Each part begins with a digit after a unit.
    let is_start = |(before, at): (&u8, &u8)| {
        !before.is_ascii_digit() && *before != b'.' && at.is_ascii_digit()
    };
    let bytes = text.as_bytes();
    let next = bytes.iter().zip(bytes.iter().skip(1)).position(is_start).map(|at| at + 1);
    match next.and_then(|next| text.split_at_checked(next)) {
        Some((first, rest)) if rest.ends_with(|last: char| last.is_ascii_alphabetic()) => {
            let (first, unit_s) = one_duration(limit_s, first)?;
            Ok(first.saturating_add(duration_below(unit_s, rest)?))
        }
        Some(_) => Err(EXPECTED_DURATION.to_owned()),
        None => one_duration(limit_s, text).map(|(duration, _)| duration),
    }
}

const EXPECTED_DURATION: &str = "expected a duration such as 500ms, 10s, 5m or 1h30m";

/// Parses one number with its unit, and also returns the unit in seconds.
fn one_duration(limit_s: f64, text: &str) -> Result<(Duration, f64), String> {
    let number_len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(number_len);
    let factor = match unit {
        "us" => 1e-6,
        "ms" => 1e-3,
        "s" | "" => 1.0,
        "m" | "min" => 60.0,
        "h" => 3_600.0,
        _ => return Err(EXPECTED_DURATION.to_owned()),
    };
    if factor >= limit_s {
        return Err(EXPECTED_DURATION.to_owned());
    }
    let seconds = number.parse::<f64>().ok().map(|number| number * factor);
    // A century is longer than any wait, and can be added to any clock.
    let limit = 100.0 * 365.0 * 86_400.0;
    seconds
        .filter(|seconds| (0.0..=limit).contains(seconds))
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .map(|duration| (duration, factor))
        .ok_or_else(|| EXPECTED_DURATION.to_owned())
}

/// Parses a duration greater than zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    let duration = duration(text)?;
    if duration.is_zero() { Err("must be greater than 0".to_owned()) } else { Ok(duration) }
}

/// Formats a duration: `6 h 15 min`, `12 min 03 s`, `4.2 s`, `18 ms`.
pub(crate) fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        3_600.. => format!("{} h {:02} min", seconds / 3_600, seconds / 60 % 60),
        60.. => format!("{} min {:02} s", seconds / 60, seconds % 60),
        1.. => format!("{:.1} s", duration.as_secs_f64()),
        0 => format!("{} ms", duration.as_millis()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 23 November 2026, 09:15 in India.
    const OPENING_S: u64 = 1_795_405_500;

    fn moment(text: &str) -> Option<Moment> {
        text.parse().ok()
    }

    #[test]
    fn moments_are_read_with_their_offsets() {
        let opening = Some(Moment::Unix(OPENING_S * SECOND_NS));
        assert_eq!(moment("2026-11-23T09:15:00+05:30"), opening);
        assert_eq!(moment("2026-11-23T03:45:00Z"), opening);
        assert_eq!(moment("2026-11-23 03:45Z"), opening);
        assert_eq!(moment("2026-11-22T22:45:00-05:00"), opening);
        assert_eq!(moment("2026-11-23T09:15"), opening, "without an offset in India");
        assert_eq!(moment("2026-11-23 09:15:00"), opening);
        assert_eq!(moment("2026-11-23"), Some(Moment::Unix((OPENING_S - 33_300) * SECOND_NS)));
        let half = Some(Moment::Unix(OPENING_S * SECOND_NS + SECOND_NS / 2));
        assert_eq!(moment("2026-11-23T09:15:00.5+05:30"), half);
    }

    #[test]
    fn a_time_of_day_is_resolved_on_the_day_in_india() {
        let Some(of_day) = moment("09:15:30") else { panic!("no time") };
        assert_eq!(of_day, Moment::OfDay((9 * 3_600 + 15 * 60 + 30) * SECOND_NS));
        // 01:00 in India is still the day before in UTC.
        for day_s in [OPENING_S, OPENING_S - 8 * 3_600, OPENING_S + 14 * 3_600] {
            assert_eq!(of_day.on_day_of(day_s * SECOND_NS), (OPENING_S + 30) * SECOND_NS);
        }
        assert_eq!(Moment::OfDay(0).on_day_of(0), 0);
    }

    #[test]
    fn invalid_times_are_rejected() {
        for text in [
            "",
            "9:15",
            "24:00",
            "09:60",
            "09:15:60",
            "09:15.5",
            "09:15:00.",
            "2026-11-31",
            "2026-11-23T",
            "2026-11-23T09:15:00+",
            "2026-02-29T09:15:00Z",
            "2026-13-01T09:15:00Z",
            "1969-12-31T23:59:59Z",
            "2026-11-23T09:15:00+0530",
            "०९:१५",
            "2026-11-2३T09:15Z",
        ] {
            assert_eq!(text.parse::<Moment>(), Err(NotATime), "{text}");
        }
    }

    #[test]
    fn moments_are_shown_in_indian_time_and_utc() {
        let opening = OPENING_S * SECOND_NS + 25_000_000;
        assert_eq!(ist(opening).to_string(), "2026-11-23T09:15:00.025+05:30");
        assert_eq!(utc(opening).to_string(), "2026-11-23T03:45:00.025Z");
        assert_eq!(ist_clock(OPENING_S), "09:15:00");
        assert_eq!(ist_clock(18 * 3_600 + 1_800), "00:00:00");
        assert_eq!(utc(951_782_400 * SECOND_NS).date(), "2000-02-29");
        assert_eq!(utc(0).to_string(), "1970-01-01T00:00:00.000Z");
    }

    #[test]
    fn durations_have_units() {
        let millis = |text| duration(text).ok().map(|duration| duration.as_millis());
        let read = ["500ms", "10s", "1.5s", "5m", "2h", "7", "0", "1h30m", "1m2s5ms"].map(millis);
        let expected =
            [500, 10_000, 1_500, 300_000, 7_200_000, 7_000, 0, 5_400_000, 62_005].map(Some);
        assert_eq!(read, expected);
        for text in [
            "",
            "s",
            "-1s",
            "1d",
            "1 s",
            "1..5s",
            "1h30",
            "h1m",
            "NaN",
            "inf",
            "99999999999h",
            "1m1m",
            "1m2h",
            "1h1ms5s",
            "1m2min",
        ] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert!(positive_duration("0s").is_err());
    }

    #[test]
    fn spans_are_short() {
        let shown = [18, 4_200, 723_000, 22_500_000].map(|ms| span(Duration::from_millis(ms)));
        assert_eq!(shown, ["18 ms", "4.2 s", "12 min 03 s", "6 h 15 min"]);
    }
}
