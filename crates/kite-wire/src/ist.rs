//! Indian Standard Time, UTC+05:30 all year: calendar days, and dates with a time of day.
//!
//! Trading days, order timestamps and daily files use it. Other time zones and leap seconds are not
//! supported. The caller passes in times, as seconds or nanoseconds since the Unix epoch.

mod date_time;
pub(crate) mod layout;

use core::fmt;

#[cfg(feature = "serde")]
pub(crate) use self::date_time::Iso;
pub use self::date_time::{IstDateTime, TimestampError, TimestampPart};

/// Indian Standard Time minus UTC, in seconds.
pub const UTC_OFFSET_S: i64 = 19_800;

/// Seconds per day.
pub const DAY_S: i64 = 86_400;

/// 1970-01-01, counted in days from 0000-01-01.
const UNIX_EPOCH_DAY: i64 = 719_528;

/// A day of the proleptic Gregorian calendar, from 0000-01-01 to 9999-12-31.
///
/// Orders by time, prints as ISO 8601 (`2026-11-26`) and takes four bytes.
///
/// ```
/// use kite_wire::ist::Day;
///
/// // 18:30 UTC is midnight in India.
/// let day = Day::at_unix_s(1_795_372_200);
/// assert_eq!(day.to_string(), "2026-11-23");
/// assert_eq!(Day::at_unix_s(1_795_372_199).to_string(), "2026-11-22");
/// assert_eq!(day.start_unix_s(), 1_795_372_200);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i32);

impl Day {
    /// 9999-12-31.
    pub const LAST: Self = Self((days_before_year(10_000) - UNIX_EPOCH_DAY - 1) as i32);

    /// Returns the day in India at this instant; [`Day::LAST`] for later ones.
    #[inline]
    #[must_use]
    pub const fn at_unix_s(unix_s: u64) -> Self {
        const LAST_UNIX_S: u64 = Day::LAST.start_unix_s() as u64;
        // Limited before the sum, so that it cannot overflow.
        let unix_s = if unix_s < LAST_UNIX_S { unix_s } else { LAST_UNIX_S };
        Self(((unix_s + UTC_OFFSET_S as u64) / DAY_S as u64) as i32)
    }

    /// Returns the day in India at this instant. 64 bits of nanoseconds end in the year 2554.
    #[inline]
    #[must_use]
    pub const fn at_unix_ns(unix_ns: u64) -> Self {
        Self::at_unix_s(unix_ns / 1_000_000_000)
    }

    /// Returns the day `days` days after 1970-01-01, if its year is within 0 to 9999.
    #[must_use]
    pub const fn from_unix_days(days: i64) -> Option<Self> {
        let is_day = days >= -UNIX_EPOCH_DAY && days <= Self::LAST.0 as i64;
        if is_day { Some(Self(days as i32)) } else { None }
    }

    /// Returns the day with this date, if it exists.
    #[must_use]
    pub const fn from_date(year: u16, month: u8, day: u8) -> Option<Self> {
        let is_date = year <= 9999 && month >= 1 && month <= 12;
        if !is_date || day < 1 || day > days_in_month(year, month) {
            return None;
        }
        let mut days = days_before_year(year) - UNIX_EPOCH_DAY + day as i64 - 1;
        let mut before = 1;
        while before < month {
            days += days_in_month(year, before) as i64;
            before += 1;
        }
        Some(Self(days as i32))
    }

    /// Returns the days since 1970-01-01; negative before it.
    #[inline]
    #[must_use]
    pub const fn unix_days(self) -> i32 {
        self.0
    }

    /// Returns when the day begins in India, in seconds since the Unix epoch.
    #[must_use]
    pub const fn start_unix_s(self) -> i64 {
        self.0 as i64 * DAY_S - UTC_OFFSET_S
    }

    /// Returns the year, the month (1 to 12) and the day of the month (from 1).
    #[must_use]
    pub const fn date(self) -> (u16, u8, u8) {
        let number = self.0 as i64 + UNIX_EPOCH_DAY;
        // 400 years are 146,097 days. The quotient is off by one year at most, near a year's end.
        let mut year = (number * 400 / 146_097) as u16;
        if days_before_year(year) > number {
            year -= 1;
        } else if days_before_year(year + 1) <= number {
            year += 1;
        }
        let mut day_of_year = (number - days_before_year(year)) as u16;
        let mut month = 1;
        while day_of_year >= days_in_month(year, month) as u16 {
            day_of_year -= days_in_month(year, month) as u16;
            month += 1;
        }
        (year, month, day_of_year as u8 + 1)
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = self.date();
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

const fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

/// Returns the days of a month, 1 to 12.
const fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Returns the days from 0000-01-01 to the first of January of `year`.
const fn days_before_year(year: u16) -> i64 {
    // Year 0 is a leap year, so the years before `year` hold ceil(year / 4) multiples of 4, and
    // the same for 100 and 400.
    let year = year as i64;
    year * 365 + (year + 3) / 4 - (year + 99) / 100 + (year + 399) / 400
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_day_begins_at_half_past_six_in_the_evening_utc() {
        let midnight = 1_795_372_200;
        assert_eq!(
            Day::at_unix_s(midnight - 1).unix_days() + 1,
            Day::at_unix_s(midnight).unix_days()
        );
        assert_eq!(Day::at_unix_s(midnight), Day::at_unix_s(midnight + DAY_S as u64 - 1));
        assert_eq!(Day::at_unix_s(midnight).start_unix_s(), midnight as i64);
        assert_eq!(Day::at_unix_ns(midnight * 1_000_000_000), Day::at_unix_s(midnight));
        assert_eq!(Day::at_unix_ns(midnight * 1_000_000_000 - 1), Day::at_unix_s(midnight - 1));
    }

    #[test]
    fn leap_days_and_year_ends_print_correctly() {
        for (unix_s, name) in [
            (0, "1970-01-01"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_735_603_200, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
            // 4 August 2025, 18:30:00 UTC.
            (1_754_332_199, "2025-08-04"),
            (1_754_332_200, "2025-08-05"),
        ] {
            assert_eq!(Day::at_unix_ns(unix_s * 1_000_000_000).to_string(), name);
        }
    }

    #[test]
    fn the_calendar_begins_with_year_0_and_ends_with_year_9999() {
        let first = Day::from_unix_days(-UNIX_EPOCH_DAY).unwrap();
        assert_eq!((first.date(), first.to_string()), ((0, 1, 1), "0000-01-01".to_string()));
        assert_eq!(
            (Day::LAST.date(), Day::LAST.to_string()),
            ((9999, 12, 31), "9999-12-31".to_string())
        );
        assert_eq!(Day::from_unix_days(-UNIX_EPOCH_DAY - 1), None);
        assert_eq!(Day::from_unix_days(Day::LAST.0 as i64 + 1), None);
        assert_eq!((Day::at_unix_s(u64::MAX), Day::at_unix_s(0).unix_days()), (Day::LAST, 0));
        assert_eq!(Day::at_unix_ns(u64::MAX).to_string(), "2554-07-22");
    }

    #[test]
    fn every_date_round_trips() {
        for days in Day::from_date(1899, 12, 31).unwrap().0..Day::from_date(2101, 1, 1).unwrap().0 {
            let day = Day(days);
            let (year, month, of_month) = day.date();
            assert_eq!(Day::from_date(year, month, of_month), Some(day));
            assert!(day < Day(days + 1));
        }
        for (year, month, day) in
            [(2026, 2, 29), (2100, 2, 29), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (2026, 1, 0)]
        {
            assert_eq!(Day::from_date(year, month, day), None);
        }
        assert_eq!(Day::from_date(10_000, 1, 1), None);
    }
}
