//! Days in India, by which files are named and begun anew.

use std::fmt;

use time::Date;

/// India has no summer time: UTC+5:30 all year.
const IST_OFFSET_S: u64 = 19_800;
const DAY_S: u64 = 86_400;
/// The Julian day of 1 January 1970.
const EPOCH: i32 = 2_440_588;

/// A calendar day in India, in days since 1 January 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Day(u64);

impl Day {
    /// Gives the day of a time in nanoseconds since the Unix epoch.
    pub(crate) fn of_unix_ns(unix_ns: u64) -> Self {
        Self((unix_ns / 1_000_000_000 + IST_OFFSET_S) / DAY_S)
    }
}

/// As `2026-01-31`.
impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = i32::try_from(self.0).ok().and_then(|days| EPOCH.checked_add(days));
        // 64 bits of nanoseconds end in the year 2554.
        let date = date.and_then(|julian| Date::from_julian_day(julian).ok()).unwrap_or(Date::MAX);
        fmt::Display::fmt(&date, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_half_past_six_in_the_evening_utc() {
        // 4 August 2025, 18:30:00 UTC.
        let midnight = 1_754_332_200_000_000_000;
        assert_eq!(Day::of_unix_ns(midnight).to_string(), "2025-08-05");
        assert_eq!(Day::of_unix_ns(midnight - 1).to_string(), "2025-08-04");
        assert!(Day::of_unix_ns(midnight - 1) < Day::of_unix_ns(midnight));
    }

    #[test]
    fn leap_days_and_turns_of_the_year_are_named_rightly() {
        for (unix_s, name) in [
            (0, "1970-01-01"),
            (1_709_164_800, "2024-02-29"),
            (1_709_251_200, "2024-03-01"),
            (1_735_603_200, "2024-12-31"),
            (1_735_689_600, "2025-01-01"),
            (4_107_542_400, "2100-03-01"),
        ] {
            assert_eq!(Day::of_unix_ns(unix_s * 1_000_000_000).to_string(), name);
        }
    }
}
