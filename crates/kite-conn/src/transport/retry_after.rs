//! The `Retry-After` header: seconds or a date (RFC 9110, section 10.2.3).

use std::fmt;
use std::time::{Duration, SystemTime};

/// The longest delay that is reported. A larger value is a mistake.
const MAX_DELAY: Duration = Duration::from_secs(24 * 3600);

/// The longest delay that is followed. Anything on the path may send the header, and a longer
/// outage must end within minutes of its cause.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(5 * 60);

/// When to retry, as the server specified it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RetryAfter {
    Delay(Duration),
    At(SystemTime),
}

impl RetryAfter {
    /// Reads seconds or a date; `None` for anything else.
    pub(super) fn parse(value: &[u8]) -> Option<Self> {
        if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
            return parse_date(value).map(Self::At);
        }
        // Parsing fails only for too many digits.
        let seconds = std::str::from_utf8(value).ok()?.parse();
        Some(Self::Delay(seconds.map_or(MAX_DELAY, Duration::from_secs)))
    }

    /// Returns the delay from `now`, which must be of the clock that a date refers to: zero for the
    /// past, at most a day.
    pub(super) fn delay(self, now: SystemTime) -> Duration {
        let delay = match self {
            Self::Delay(delay) => delay,
            Self::At(at) => at.duration_since(now).unwrap_or_default(),
        };
        delay.min(MAX_DELAY)
    }
}

/// The end of a sentence about a refusal: the requested delay, or nothing.
pub(super) struct Asked(pub(super) Option<Duration>);

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |delay| write!(f, " (retry after {} s)", delay.as_secs()))
    }
}

/// Reads a date in any of the three forms of RFC 9110, section 5.6.7.
pub(super) fn parse_date(value: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// 06 Nov 1994 08:49:37, the example of the RFC.
    const UNIX: Duration = Duration::from_secs(784_111_777);

    fn delay(value: &str, now: SystemTime) -> Option<u64> {
        RetryAfter::parse(value.as_bytes()).map(|it| it.delay(now).as_secs())
    }

    #[test]
    fn seconds_are_capped_at_a_day() {
        let now = SystemTime::UNIX_EPOCH;
        assert_eq!(delay("0", now), Some(0));
        assert_eq!(delay("7", now), Some(7));
        assert_eq!(delay("99999999", now), Some(86_400));
        assert_eq!(delay("99999999999999999999999", now), Some(86_400));
    }

    #[test]
    fn a_date_in_each_form_counts_from_now() {
        let at = SystemTime::UNIX_EPOCH + UNIX;
        for value in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
        ] {
            assert_eq!(delay(value, at - Duration::from_secs(90)), Some(90), "{value}");
            assert_eq!(delay(value, at), Some(0), "{value}");
            assert_eq!(delay(value, at + Duration::from_secs(1)), Some(0), "{value}");
            assert_eq!(delay(value, SystemTime::UNIX_EPOCH), Some(86_400), "{value}");
        }
    }

    #[test]
    fn anything_else_is_absent() {
        for value in ["", "-1", "+1", "1.5", "soon", "Sun, 06 Nov 1994 08:49:37 +0530", "é"] {
            assert_eq!(delay(value, SystemTime::UNIX_EPOCH), None, "{value:?}");
        }
        assert_eq!(RetryAfter::parse(b"\xff"), None);
    }

    proptest! {
        #[test]
        fn any_value_is_at_most_a_day(
            value in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                "[A-Z][a-z]{2}, [0-9]{2} (Jan|Dec) [0-9]{4} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT"
                    .prop_map(String::into_bytes),
            ],
            now in 0..=u64::from(u32::MAX),
        ) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            let delay = RetryAfter::parse(&value).map(|it| it.delay(now));
            prop_assert!(delay.is_none_or(|delay| delay <= MAX_DELAY));
        }
    }
}
