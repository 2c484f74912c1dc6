//! Days of the calendar: expiries, and the trading day in India.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::error::DateError;

/// India's clock is five and a half hours ahead of UTC all year.
const IST_AHEAD: Duration = Duration::from_secs(5 * 3600 + 30 * 60);

const SECONDS_A_DAY: u64 = 86_400;

/// Days from 0000-03-01 to 1970-01-01 in the Gregorian calendar.
const DAYS_TO_EPOCH: i64 = 719_468;

/// Days in the 400 years after which the Gregorian calendar repeats.
const DAYS_IN_ERA: i64 = 146_097;

/// A day of the Gregorian calendar, from 0001-01-01 to 9999-12-31.
///
/// Prints as ISO 8601 (`2026-11-26`), reads that back, and orders by time. An `Option<Date>` takes
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
// The order of the fields is that of time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Date {
    year: u16,
    month: NonZeroU8,
    day: NonZeroU8,
}

impl Date {
    /// Makes the day of a year, a month (1 to 12) and a day of the month.
    ///
    /// # Errors
    /// There is no such day, or the year is not within 1 to 9999.
    pub fn new(year: u16, month: u8, day: u8) -> Result<Self, DateError> {
        let none = DateError::NoSuchDay { year, month, day };
        if !(1..=9999).contains(&year) || day > days_in_month(year, month) {
            return Err(none);
        }
        match (NonZeroU8::new(month), NonZeroU8::new(day)) {
            (Some(month), Some(day)) => Ok(Self { year, month, day }),
            _ => Err(none),
        }
    }

    /// Gives the year.
    #[must_use]
    pub const fn year(self) -> u16 {
        self.year
    }

    /// Gives the month, 1 to 12.
    #[must_use]
    pub const fn month(self) -> u8 {
        self.month.get()
    }

    /// Gives the day of the month, 1 to 31.
    #[must_use]
    pub const fn day(self) -> u8 {
        self.day.get()
    }

    /// Counts the days since 1970-01-01; days before it are negative.
    #[must_use]
    pub fn days(self) -> i32 {
        // Years begin in March here, so that the leap day is a year's last.
        let month = i64::from(self.month.get());
        let year = i64::from(self.year) - i64::from(month <= 2);
        let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
        let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + i64::from(self.day.get()) - 1;
        let day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + day_of_year;
        // Year 9999 is day 2,932,896: all days fit.
        (era * DAYS_IN_ERA + day_of_era - DAYS_TO_EPOCH) as i32
    }

    /// Gives the day that is so many days after 1970-01-01, if its year is within 1 to 9999.
    #[must_use]
    pub fn from_days(days: i32) -> Option<Self> {
        let shifted = i64::from(days) + DAYS_TO_EPOCH;
        let (era, day_of_era) = (shifted.div_euclid(DAYS_IN_ERA), shifted.rem_euclid(DAYS_IN_ERA));
        let of_era =
            (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * of_era + of_era / 4 - of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let day = u8::try_from(day_of_year - (153 * from_march + 2) / 5 + 1).ok()?;
        let month = u8::try_from((from_march + 2) % 12 + 1).ok()?;
        let year = u16::try_from(era * 400 + of_era + i64::from(month <= 2)).ok()?;
        Self::new(year, month, day).ok()
    }

    /// Counts the days from another day to this one.
    #[must_use]
    pub fn days_since(self, earlier: Self) -> i32 {
        self.days() - earlier.days()
    }

    /// Gives the day it is in India (UTC+05:30) at a time; 1970-01-01 for times before that day.
    #[must_use]
    pub fn in_india(time: SystemTime) -> Self {
        let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let days = since.saturating_add(IST_AHEAD).as_secs() / SECONDS_A_DAY;
        i32::try_from(days).ok().and_then(Self::from_days).unwrap_or(Self::LAST)
    }

    /// Gives the day it is in India (UTC+05:30), by this machine's clock.
    #[must_use]
    pub fn today_in_india() -> Self {
        Self::in_india(SystemTime::now())
    }

    const LAST: Self =
        Self { year: 9999, month: NonZeroU8::new(12).unwrap(), day: NonZeroU8::new(31).unwrap() };

    /// Reads `YYYY-MM-DD`.
    pub(crate) fn from_iso(text: &[u8]) -> Option<Self> {
        let &[y0, y1, y2, y3, b'-', m0, m1, b'-', d0, d1] = text else { return None };
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

/// Counts the days of a month; 0 for a month that does not exist.
fn days_in_month(year: u16, month: u8) -> u8 {
    match month {
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        4 | 6 | 9 | 11 => 30,
        2 if is_leap(year) => 29,
        2 => 28,
        _ => 0,
    }
}

fn is_leap(year: u16) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day } = self;
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

    /// Reads `YYYY-MM-DD`.
    ///
    /// # Errors
    /// The text has another form, or names no day of the calendar.
    fn from_str(text: &str) -> Result<Self, DateError> {
        Self::from_iso(text.as_bytes()).ok_or_else(|| DateError::NotADate { text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_the_calendar_count_up_one_by_one() {
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
        // 9,999 years of 365 days, and the leap days of the Gregorian rule.
        assert_eq!(count, 9_999 * 365 + 9_999 / 4 - 9_999 / 100 + 9_999 / 400);
        assert_eq!(Date::from_days(last.days() + 1), None);
        assert_eq!(Date::from_days(i32::MAX), None);
        assert_eq!(Date::from_days(i32::MIN), None);
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for (year, month, day) in
            [(2026, 2, 29), (2100, 2, 29), (2026, 0, 1), (2026, 13, 1), (2026, 4, 31), (0, 1, 1)]
        {
            assert!(Date::new(year, month, day).is_err(), "{year}-{month}-{day}");
        }
        assert!(Date::new(2024, 2, 29).is_ok() && Date::new(2000, 2, 29).is_ok());
        assert!(Date::new(2026, 1, 0).is_err() && Date::new(10_000, 1, 1).is_err());
    }

    #[test]
    fn texts_read_back_and_others_are_refused() {
        let date = Date::new(2017, 12, 28).unwrap();
        assert_eq!(date.to_string(), "2017-12-28");
        assert_eq!("2017-12-28".parse(), Ok(date));
        assert_eq!(format!("[{date:>12}]"), "[  2017-12-28]");
        for bad in ["", "2017-12-8", "2017/12/28", "28-12-2017", "2017-12-28 ", "20१7-12-28"] {
            assert!(bad.parse::<Date>().is_err(), "{bad}");
        }
    }

    #[test]
    fn the_day_in_india_begins_at_half_past_six_in_the_evening_of_utc() {
        // 2026-11-22T18:29:59Z and one second later.
        let before = SystemTime::UNIX_EPOCH + Duration::from_secs(1_795_372_199);
        assert_eq!(Date::in_india(before).to_string(), "2026-11-22");
        assert_eq!(Date::in_india(before + Duration::from_secs(1)).to_string(), "2026-11-23");
    }

    #[test]
    fn an_absent_date_takes_no_room() {
        assert_eq!(size_of::<Option<Date>>(), 4);
    }
}
