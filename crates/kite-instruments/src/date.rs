//! Calendar days, such as expiries and the trading day in India.

use std::fmt;
use std::str::FromStr;
use std::time::SystemTime;

use kite_wire::ist::Day;

use crate::error::DateError;

/// The Julian day of 1970-01-01.
const EPOCH: i32 = 2_440_588;

/// A day in the Gregorian calendar, from 0001-01-01 to 9999-12-31.
///
/// Prints as ISO 8601 (`2026-11-26`), parses that or `26-11-2026`, and orders by time. An `Option<Date>` takes
/// four bytes.
///
/// ```
/// use kite_instruments::Date;
///
/// let expiry: Date = "2026-11-26".parse()?;
/// assert_eq!(expiry, Date::new(2026, 11, 26)?);
/// assert_eq!(expiry.days_since(Date::new(2026, 10, 29)?), 28);
/// # Ok::<(), kite_instruments::DateError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date(time::Date);

impl Date {
    /// Creates a date from a year, a month (1 to 12) and a day of the month.
    ///
    /// # Errors
    /// Returns an error if the day does not exist or the year is not within 1 to 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, DateError> {
        let none = DateError::NoSuchDay { year, month, day };
        if !(1..=9999).contains(&year) {
            return Err(none);
        }
        let of_year = time::Month::try_from(month).ok();
        let date =
            of_year.and_then(|month| time::Date::from_calendar_date(year.into(), month, day).ok());
        date.map(Self).ok_or(none)
    }

    /// Returns the year.
    #[must_use]
    pub const fn year(self) -> u16 {
        // Within 1 to 9999.
        self.0.year() as u16
    }

    /// Returns the month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.0.month() as u8
    }

    /// Returns the day of the month, 1 to 31.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.0.day()
    }

    /// Returns the number of days since 1970-01-01; negative for earlier days.
    #[must_use]
    pub fn days(self) -> i32 {
        self.0.to_julian_day() - EPOCH
    }

    /// Returns the date `days` days after 1970-01-01, if its year is within 1 to 9999.
    #[must_use]
    pub fn from_days(days: i32) -> Option<Self> {
        let date = time::Date::from_julian_day(days.checked_add(EPOCH)?).ok()?;
        (1..=9999).contains(&date.year()).then_some(Self(date))
    }

    /// Returns the number of days from `earlier` to this date.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i32 {
        self.days() - earlier.days()
    }

    /// Returns the date in India (UTC+05:30) at `time`; 1970-01-01 for times before that day.
    #[must_use]
    pub fn in_india(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self::from_days(Day::at_unix_s(since.as_secs()).unix_days()).unwrap_or(Self::LAST)
    }

    /// Returns today's date in India (UTC+05:30), by this machine's clock.
    #[must_use]
    pub fn today_in_india() -> Self {
        Self::in_india(SystemTime::now())
    }

    const LAST: Self = Self(time::Date::MAX);

    /// Parses `YYYY-MM-DD` or `DD-MM-YYYY`.
    pub(crate) fn from_ascii(text: &[u8]) -> Option<Self> {
        let ([y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1]
        | [d0, d1, b'-', m0, m1, b'-', y0, y1, y2, y3]) = *text
        else {
            return None;
        };
        let number = |digits: &[u8]| {
            digits.iter().try_fold(0_u16, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0'))
            })
        };
        // Two digits are at most 99.
        let small = |digits: &[u8]| number(digits).map(|number| number as u8);
        Self::new(number(&[y0, y1, y2, y3])?, small(&[m0, m1])?, small(&[d0, d1])?).ok()
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = (self.year(), self.month(), self.day());
        if f.width().is_some() {
            return f.pad(&format!("{year:04}-{month:02}-{day:02}"));
        }
        write!(f, "{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Date {
    type Err = DateError;

    /// Parses `YYYY-MM-DD`, or `DD-MM-YYYY` as spreadsheets in India write it.
    ///
    /// # Errors
    /// Returns an error if the string has another form or the day does not exist.
    fn from_str(text: &str) -> Result<Self, DateError> {
        Self::from_ascii(text.as_bytes())
            .ok_or_else(|| DateError::NotADate { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn calendar_days_count_up_one_by_one() {
        let mut day = Date::new(1, 1, 1).unwrap();
        let last = Date::new(9999, 12, 31).unwrap();
        assert_eq!(day.days(), -719_162);
        let mut count = 1;
        while day != last {
            let next = Date::from_days(day.days() + 1).unwrap();
            assert!(next > day && next.days() == day.days() + 1, "{day} {next}");
            day = next;
            count += 1;
        }
        // 9,999 years of 365 days, plus the leap days of the Gregorian rule.
        assert_eq!(count, 9_999 * 365 + 9_999 / 4 - 9_999 / 100 + 9_999 / 400);
        assert_eq!(Date::from_days(last.days() + 1), None);
        assert_eq!(Date::from_days(i32::MAX), None);
        assert_eq!(Date::from_days(i32::MIN), None);
    }

    #[test]
    fn days_that_do_not_exist_are_rejected() {
        for (year, month, day) in
            [(2026, 2, 29), (2100, 2, 29), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (0, 1, 1)]
        {
            assert!(Date::new(year, month, day).is_err(), "{year}-{month}-{day}");
        }
        assert!(Date::new(2024, 2, 29).is_ok() && Date::new(2000, 2, 29).is_ok());
        assert!(Date::new(2026, 1, 0).is_err() && Date::new(10_000, 1, 1).is_err());
    }

    #[test]
    fn dates_parse_with_the_year_first_or_last_and_other_strings_are_rejected() {
        let date = Date::new(2017, 12, 28).unwrap();
        assert_eq!(date.to_string(), "2017-12-28");
        assert_eq!("2017-12-28".parse(), Ok(date));
        assert_eq!("28-12-2017".parse(), Ok(date));
        assert_eq!(format!("[{date:>12}]"), "[  2017-12-28]");
        for bad in [
            "",
            "2017-12-8",
            "2017/12/28",
            "12-28-2017",
            "30-02-2024",
            "28-12-17",
            "2017-12-28 ",
            "20१7-12-28",
        ] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_day_in_india_begins_at_18_30_utc() {
        // 2026-11-22T18:29:59Z and one second later.
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_372_199);
        assert_eq!(Date::in_india(before).to_string(), "2026-11-22");
        assert_eq!(Date::in_india(before + Duration::from_secs(1)).to_string(), "2026-11-23");
    }

    #[test]
    fn an_optional_date_takes_four_bytes() {
        assert_eq!(size_of::<Option<Date>>(), 4);
    }
}
