//! Days in India, by which files are named and begun anew.

use std::fmt;

/// India has no summer time: UTC+5:30 all year.
const IST_OFFSET_S: u64 = 19_800;
const DAY_S: u64 = 86_400;

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
        // Years from 1 March on, in cycles of 400 years, so that a leap day ends its year: the
        // shift is the days from 1 March of year 0 to 1 January 1970.
        let days = self.0 + 719_468;
        let (cycle, of_cycle) = (days / 146_097, days % 146_097);
        let year_of_cycle =
            (of_cycle - of_cycle / 1_460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
        let of_year = of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
        let from_march = (5 * of_year + 2) / 153;
        let day = of_year - (153 * from_march + 2) / 5 + 1;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        let year = cycle * 400 + year_of_cycle + u64::from(month <= 2);
        write!(f, "{year:04}-{month:02}-{day:02}")
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
