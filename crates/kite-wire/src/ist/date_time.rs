//! Dates with a time of day in India.
//!
//! Kite's order updates have `YYYY-MM-DD HH:MM:SS` without an offset and mean Indian Standard Time
//! (UTC+05:30, no daylight saving). Strings are parsed by [`layout`].

use core::{fmt, str::FromStr};

use super::layout;
use super::{DAY_S, Day, UTC_OFFSET_S, days_in_month};
use crate::time::{UnixSeconds, UnixSecondsError};

/// A date and time of day in Indian Standard Time, to the second.
///
/// Always a date that exists (proleptic Gregorian calendar, years 0 to 9999, no leap seconds).
/// Values compare chronologically. `Display` writes `YYYY-MM-DD HH:MM:SS`, and so does serde;
/// [`IstDateTime::iso_8601`] writes the offset too.
///
/// The exchange timestamps of packets convert with `From` ([`UnixSeconds`]), receive times in
/// nanoseconds with [`IstDateTime::from_unix_ns`].
///
/// # Layouts
/// Kite sends `YYYY-MM-DD HH:MM:SS`; servers that pass its updates on send others. `FromStr` and
/// serde read:
///
/// - `2022-03-03 09:24:25`, with `T` or a space, with hyphens or slashes, in India if no offset
///   follows: `Z`, `+05:30`, `+0530`, `+05`, ` IST`, ` UTC` or ` GMT`.
/// - `03-03-2022 09:24:25` and `03-Mar-2022 09:24:25`, the day first, with the same variants.
/// - Counts since the Unix epoch: 10 digits are seconds, 13 milliseconds, 16 microseconds and 19
///   nanoseconds, which is unambiguous from 2001 to 2286. A field of an `order::Order` may hold the
///   count as a JSON number too.
///
/// A fraction of a second is dropped. Incomplete or ambiguous forms are not read: dates or times
/// alone, times without seconds, twelve-hour clocks, years of two digits, the month before the day,
/// digits without separators (`20220303092425`) and names of other time zones. An order lists such
/// a field in `Order::unreadable` and keeps its value in `Order::raw`.
///
/// # Examples
/// ```
/// use kite_wire::UnixSeconds;
/// use kite_wire::ist::IstDateTime;
///
/// let at: IstDateTime = "2022-03-03 09:24:25".parse()?;
/// assert_eq!(at.unix_seconds(), 1_646_279_665);
/// assert_eq!(at, IstDateTime::from(UnixSeconds(1_646_279_665)));
/// assert_eq!(at.to_string(), "2022-03-03 09:24:25");
/// assert_eq!(at.iso_8601().to_string(), "2022-03-03T09:24:25+05:30");
/// assert_eq!("2022-03-03T03:54:25.000Z".parse(), Ok(at));
/// assert_eq!("1646279665000".parse(), Ok(at));
/// # Ok::<(), kite_wire::ist::TimestampError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IstDateTime {
    year: u16,
    month: u8,
    day: u8,
    hour: u8,
    minute: u8,
    second: u8,
}

impl IstDateTime {
    /// Creates a date and time from its civil parts, in Indian Standard Time.
    ///
    /// # Errors
    /// Returns [`TimestampError::OutOfRange`] with the first part that does not exist, for instance
    /// day 29 in February 2023.
    pub fn new(
        year: u16,
        month: u8,
        day: u8,
        hour: u8,
        minute: u8,
        second: u8,
    ) -> Result<Self, TimestampError> {
        within(TimestampPart::Year, year, 0, 9999)?;
        within(TimestampPart::Month, month.into(), 1, 12)?;
        within(TimestampPart::Day, day.into(), 1, days_in_month(year, month).into())?;
        within(TimestampPart::Hour, hour.into(), 0, 23)?;
        within(TimestampPart::Minute, minute.into(), 0, 59)?;
        within(TimestampPart::Second, second.into(), 0, 59)?;
        Ok(Self { year, month, day, hour, minute, second })
    }

    /// Converts an instant in seconds since the Unix epoch (UTC) to Indian civil time.
    ///
    /// `None` if the year is not within 0 to 9999.
    #[must_use]
    pub fn from_unix_seconds(unix_seconds: i64) -> Option<Self> {
        let local = unix_seconds.checked_add(UTC_OFFSET_S)?;
        let day = Day::from_unix_days(local.div_euclid(DAY_S))?;
        Some(Self::on(day, local.rem_euclid(DAY_S)))
    }

    /// Converts an instant in nanoseconds since the Unix epoch (UTC), as receive times are, to
    /// Indian civil time. The fraction of a second is dropped.
    #[must_use]
    pub const fn from_unix_ns(unix_ns: u64) -> Self {
        // 64 bits of nanoseconds end in the year 2554.
        let unix_s = (unix_ns / 1_000_000_000) as i64;
        Self::on(Day::at_unix_ns(unix_ns), (unix_s + UTC_OFFSET_S) % DAY_S)
    }

    /// Returns the date and time `of_day` seconds after the day has begun.
    const fn on(date: Day, of_day: i64) -> Self {
        let (year, month, day) = date.date();
        // A day has 86,400 seconds.
        let (hour, minute) = ((of_day / 3600) as u8, (of_day / 60 % 60) as u8);
        Self { year, month, day, hour, minute, second: (of_day % 60) as u8 }
    }

    /// Returns the instant, in seconds since the Unix epoch (UTC).
    #[must_use]
    pub fn unix_seconds(&self) -> i64 {
        self.date().start_unix_s()
            + i64::from(self.hour) * 3600
            + i64::from(self.minute) * 60
            + i64::from(self.second)
    }

    /// Returns the day in India.
    #[must_use]
    pub fn date(&self) -> Day {
        // The date exists, so the conversion cannot fail.
        Day::from_date(self.year, self.month, self.day).unwrap_or(Day::LAST)
    }

    /// Returns a value that prints as ISO 8601 with India's offset: `2022-03-03T09:24:25+05:30`.
    #[must_use]
    pub fn iso_8601(self) -> impl fmt::Display + Copy {
        Iso { at: self, ns: 0 }
    }

    /// Returns the year, 0 to 9999.
    #[must_use]
    pub fn year(&self) -> u16 {
        self.year
    }

    /// Returns the month, 1 to 12.
    #[must_use]
    pub fn month(&self) -> u8 {
        self.month
    }

    /// Returns the day of the month, from 1.
    #[must_use]
    pub fn day(&self) -> u8 {
        self.day
    }

    /// Returns the hour in India, 0 to 23.
    #[must_use]
    pub fn hour(&self) -> u8 {
        self.hour
    }

    /// Returns the minute, 0 to 59.
    #[must_use]
    pub fn minute(&self) -> u8 {
        self.minute
    }

    /// Returns the second, 0 to 59.
    #[must_use]
    pub fn second(&self) -> u8 {
        self.second
    }
}

impl fmt::Display for IstDateTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { year, month, day, hour, minute, second } = self;
        write!(f, "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
    }
}

impl FromStr for IstDateTime {
    type Err = TimestampError;

    fn from_str(text: &str) -> Result<Self, TimestampError> {
        layout::read(text).map(|(at, _)| at)
    }
}

impl From<UnixSeconds> for IstDateTime {
    fn from(seconds: UnixSeconds) -> Self {
        Self::from_unix_ns(seconds.unix_ns())
    }
}

impl TryFrom<IstDateTime> for UnixSeconds {
    type Error = UnixSecondsError;

    /// # Errors
    /// Returns an error if the time is not within the years 1970 to 2106.
    fn try_from(at: IstDateTime) -> Result<Self, UnixSecondsError> {
        Self::from_i64(at.unix_seconds())
    }
}

#[cfg(feature = "serde")]
impl serde::Serialize for IstDateTime {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(feature = "serde")]
impl<'de> serde::Deserialize<'de> for IstDateTime {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::readable::read(deserializer, "a date and time such as \"2022-03-03 09:24:25\"")
    }
}

/// A date and time with a fraction of a second, printed as ISO 8601. The fraction has as many
/// groups of three digits as it needs.
#[derive(Clone, Copy)]
pub(crate) struct Iso {
    pub(crate) at: IstDateTime,
    pub(crate) ns: u32,
}

impl fmt::Display for Iso {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, ns } = self;
        write!(f, "{}T{:02}:{:02}:{:02}", at.date(), at.hour, at.minute, at.second)?;
        match ns {
            0 => {}
            ns if ns.is_multiple_of(1_000_000) => write!(f, ".{:03}", ns / 1_000_000)?,
            ns if ns.is_multiple_of(1_000) => write!(f, ".{:06}", ns / 1_000)?,
            ns => write!(f, ".{ns:09}")?,
        }
        f.write_str("+05:30")
    }
}

/// Why a string or a set of civil parts is not an [`IstDateTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TimestampError {
    /// The string is in none of the layouts that [`IstDateTime`] reads.
    #[error("timestamp of {len_bytes} bytes is not laid out as YYYY-MM-DD HH:MM:SS or the like")]
    Layout {
        /// Length of the string, in bytes.
        len_bytes: usize,
    },
    /// The instant is before the year 0 or after the year 9999 in India.
    #[error("timestamp is not within the years 0 to 9999 in India")]
    Calendar,
    /// A part of the date or time does not exist.
    #[error("timestamp's {part} is {value}; must be {min} to {max}")]
    OutOfRange {
        /// The part.
        part: TimestampPart,
        /// Its value.
        value: u16,
        /// The smallest valid value.
        min: u16,
        /// The largest valid value; for a day it depends on month and year.
        max: u16,
    },
}

/// A part of a date and time, as [`TimestampError::OutOfRange`] names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TimestampPart {
    /// The year.
    Year,
    /// The month.
    Month,
    /// The day of the month.
    Day,
    /// The hour.
    Hour,
    /// The minute.
    Minute,
    /// The second.
    Second,
}

impl fmt::Display for TimestampPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
        })
    }
}

fn within(part: TimestampPart, value: u16, min: u16, max: u16) -> Result<(), TimestampError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(TimestampError::OutOfRange { part, value, min, max })
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use proptest::prelude::*;

    use super::*;

    fn parse(text: &str) -> Result<IstDateTime, TimestampError> {
        text.parse()
    }

    #[test]
    fn known_instants_are_exact() {
        for (text, unix_seconds) in [
            ("1970-01-01 05:30:00", 0),
            ("1970-01-01 00:00:00", -19_800),
            ("2000-02-29 00:00:00", 951_762_600),
            ("2022-03-03 09:24:25", 1_646_279_665),
            ("2024-02-29 23:59:59", 1_709_231_399),
            ("2024-03-01 00:00:00", 1_709_231_400),
            ("2038-01-19 08:44:08", 1 << 31),
            ("0000-01-01 00:00:00", -62_167_239_000),
            ("9999-12-31 23:59:59", 253_402_280_999),
        ] {
            let at = parse(text).unwrap();
            assert_eq!(at.unix_seconds(), unix_seconds, "{text}");
            assert_eq!(IstDateTime::from_unix_seconds(unix_seconds), Some(at), "{text}");
        }
    }

    #[test]
    fn every_day_follows_its_predecessor_through_all_years() {
        let mut unix_seconds = parse("0000-01-01 00:00:00").unwrap().unix_seconds();
        for year in 0..=9999 {
            for month in 1..=12 {
                let days = days_in_month(year, month);
                for day in 1..=days {
                    // Each day of one whole cycle of leap years; elsewhere the months' ends.
                    if (1800..2200).contains(&year) || day == 1 || day == days {
                        let at = IstDateTime::new(year, month, day, 0, 0, 0).unwrap();
                        assert_eq!(at.unix_seconds(), unix_seconds);
                        assert_eq!(IstDateTime::from_unix_seconds(unix_seconds), Some(at));
                    }
                    unix_seconds += DAY_S;
                }
            }
        }
        assert_eq!(IstDateTime::from_unix_seconds(unix_seconds), None);
    }

    #[test]
    fn dates_that_do_not_exist_are_rejected_with_the_part() {
        use TimestampPart::{Day, Hour, Minute, Month, Second};
        for (text, part, value, min, max) in [
            ("2022-00-10 00:00:00", Month, 0, 1, 12),
            ("2022-13-10 00:00:00", Month, 13, 1, 12),
            ("2022-01-00 00:00:00", Day, 0, 1, 31),
            ("2022-04-31 00:00:00", Day, 31, 1, 30),
            ("2023-02-29 00:00:00", Day, 29, 1, 28),
            ("1900-02-29 00:00:00", Day, 29, 1, 28),
            ("2024-02-30 00:00:00", Day, 30, 1, 29),
            ("2022-01-01 24:00:00", Hour, 24, 0, 23),
            ("2022-01-01 00:60:00", Minute, 60, 0, 59),
            ("2022-01-01 00:00:60", Second, 60, 0, 59),
        ] {
            assert_eq!(
                parse(text),
                Err(TimestampError::OutOfRange { part, value, min, max }),
                "{text}"
            );
        }
        let error = parse("2023-02-29 00:00:00").unwrap_err();
        assert_eq!(error.to_string(), "timestamp's day is 29; must be 1 to 28");
        assert!(IstDateTime::new(10_000, 1, 1, 0, 0, 0).is_err());
    }

    #[test]
    fn strings_that_are_no_timestamp_are_rejected() {
        for text in [
            "",
            "2022-03-03",
            "2022-03-03 09:24:25 ",
            "2022-3-03 009:24:25",
            "2022-03-03 09:24:2x",
            "+022-03-03 09:24:25",
            "२२-03-03 09:24:25",
        ] {
            let len_bytes = text.len();
            assert_eq!(parse(text), Err(TimestampError::Layout { len_bytes }), "{text}");
        }
    }

    #[test]
    fn instants_beyond_the_calendar_are_none() {
        for unix_seconds in [i64::MIN, i64::MAX, 253_402_281_000, -62_167_239_001] {
            assert_eq!(IstDateTime::from_unix_seconds(unix_seconds), None);
        }
    }

    #[cfg(all(feature = "serde", feature = "text"))]
    #[test]
    fn serde_uses_the_same_text() {
        let at = parse("2021-05-31 15:20:28").unwrap();
        let json = serde_json::to_string(&at).unwrap();
        assert_eq!(json, r#""2021-05-31 15:20:28""#);
        assert_eq!(serde_json::from_str::<IstDateTime>(&json).unwrap(), at);
        assert!(serde_json::from_str::<IstDateTime>(r#""2021-02-31 15:20:28""#).is_err());
    }

    proptest! {
        #[test]
        fn instants_survive_the_round_trip_and_keep_their_order(
            a in -62_167_239_000_i64..253_402_281_000,
            b in -62_167_239_000_i64..253_402_281_000,
        ) {
            let first = IstDateTime::from_unix_seconds(a).unwrap();
            let second = IstDateTime::from_unix_seconds(b).unwrap();
            prop_assert_eq!(first.unix_seconds(), a);
            prop_assert_eq!(parse(&first.to_string()), Ok(first));
            prop_assert_eq!(parse(&first.iso_8601().to_string()), Ok(first));
            prop_assert_eq!(first.cmp(&second), a.cmp(&b));
        }

        #[test]
        fn every_exchange_timestamp_converts_to_india_and_back(seconds: u32, ns in 0..1_000_000_000_u64) {
            let seconds = UnixSeconds(seconds);
            let at = IstDateTime::from(seconds);
            prop_assert_eq!(at.unix_seconds(), i64::from(seconds.get()));
            prop_assert_eq!(UnixSeconds::try_from(at), Ok(seconds));
            prop_assert_eq!(at, IstDateTime::from_unix_ns(seconds.unix_ns() + ns));
            prop_assert_eq!(at.date(), Day::at_unix_s(seconds.get().into()));
        }

        #[test]
        fn a_text_in_kites_layout_prints_unchanged(
            text in "[0-9]{4}-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-6][0-9]:[0-6][0-9]",
        ) {
            if let Ok(at) = parse(&text) {
                prop_assert_eq!(at.to_string(), text);
            }
        }

        #[test]
        fn arbitrary_text_never_panics(text in ".{0,24}") {
            let _ = parse(&text);
        }
    }
}
