//! How long an access token lives. No clock here.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Tokens die at about this time of day in India; the documentation has no exact time.
const DIES_AT_S: u64 = 6 * 3_600;
const DAY_S: u64 = 86_400;
/// India's time minus UTC.
const INDIA_S: u64 = 5 * 3_600 + 1_800;

/// Returns when a token that was issued at `issued` dies, in Unix seconds: at the next 06:00 in
/// India.
pub(crate) fn dies_at(issued: SystemTime) -> u64 {
    let since_six = unix_s(issued) + INDIA_S + DAY_S - DIES_AT_S;
    unix_s(issued) + DAY_S - since_six % DAY_S
}

/// Returns the age of what was issued at `issued`; zero if that is in the future.
pub(crate) fn age(issued: SystemTime, now: SystemTime) -> Duration {
    now.duration_since(issued).unwrap_or_default()
}

/// Returns whether a token that was issued at `issued` has died.
pub(crate) fn has_died(issued: SystemTime, now: SystemTime) -> bool {
    dies_at(issued) <= unix_s(now)
}

fn unix_s(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_s: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(unix_s)
    }

    /// 2026-12-01 06:00 in India.
    const SIX: u64 = 1_796_085_000;

    #[test]
    fn a_token_dies_at_the_next_six_in_india() {
        assert_eq!(SIX % DAY_S, 1_800, "00:30 UTC");
        for issued in [SIX - DAY_S, SIX - 22 * 3_600, SIX - 1] {
            assert_eq!(dies_at(at(issued)), SIX);
        }
        assert_eq!(dies_at(at(SIX)), SIX + DAY_S);
        assert!(!has_died(at(SIX - 60), at(SIX - 1)) && has_died(at(SIX - 60), at(SIX)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_nothing_older() {
        assert_eq!(age(at(SIX), at(SIX - 60)), Duration::ZERO);
        assert!(!has_died(at(SIX), at(SIX - 60)));
    }
}
