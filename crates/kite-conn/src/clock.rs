//! A monotonic timestamp in eight bytes.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

/// Replaces durations that are too long to add to a clock, which some use for "never".
pub(crate) const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// An instant of this process's monotonic clock, in nanoseconds since the clock's first use.
///
/// Half the size of an [`Instant`], because one is stored with every frame. Stamps of different
/// processes cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

/// The instant of first use, by both clocks.
#[derive(Debug, Clone, Copy)]
struct Anchor {
    instant: Instant,
    system_time: SystemTime,
}

fn anchor() -> Anchor {
    static ANCHOR: OnceLock<Anchor> = OnceLock::new();
    *ANCHOR.get_or_init(|| Anchor { instant: Instant::now(), system_time: SystemTime::now() })
}

impl Stamp {
    /// Reads the clock.
    #[must_use]
    pub fn now() -> Self {
        Self::at(Instant::now())
    }

    /// Converts an instant; one before the first use of the clock becomes that first use.
    #[must_use]
    pub fn at(instant: Instant) -> Self {
        let since = instant.saturating_duration_since(anchor().instant);
        // 2^64 ns are 584 years. Never 0, which the counters read as "never": a stamp of the
        // instant that started the clock is one nanosecond late instead.
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1))
    }

    /// Returns the instant.
    #[must_use]
    pub fn to_instant(self) -> Instant {
        anchor().instant + Duration::from_nanos(self.0)
    }

    /// Returns the wall-clock time, based on the wall clock at the first use of this process's
    /// clock.
    ///
    /// Later steps and corrections of the wall clock are not included, so differences between two
    /// such times are as accurate as those between their stamps.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        anchor().system_time + Duration::from_nanos(self.0)
    }

    /// Returns the time elapsed since this stamp, zero if it is in the future.
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Self::now().since(self)
    }

    /// Returns the time from `earlier` to this stamp, zero if it is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Returns the nanoseconds since the first use of the clock.
    #[must_use]
    pub fn as_nanos(self) -> u64 {
        self.0
    }

    /// Creates a stamp from the value of [`Stamp::as_nanos`].
    #[must_use]
    pub fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_keeps_the_instant_and_never_goes_negative() {
        let earlier = Stamp::now();
        let later = Stamp::at(earlier.to_instant() + Duration::from_micros(5));
        assert_eq!(later.since(earlier), Duration::from_micros(5));
        assert_eq!(earlier.since(later), Duration::ZERO);
        assert_eq!(Stamp::from_nanos(later.as_nanos()), later);
    }

    #[test]
    fn a_stamp_converts_to_wall_clock_time() {
        let stamp = Stamp::now();
        let later = Stamp::at(stamp.to_instant() + Duration::from_secs(5));
        let between = later.to_system_time().duration_since(stamp.to_system_time()).unwrap();
        assert_eq!(between, Duration::from_secs(5));
        let now = SystemTime::now();
        let off =
            now.duration_since(stamp.to_system_time()).unwrap_or_else(|early| early.duration());
        assert!(off < Duration::from_secs(60 * 60), "{off:?}");
    }

    #[test]
    fn a_stamp_taken_as_the_clock_starts_is_not_zero() {
        let before = Instant::now();
        assert!(Stamp::at(before).as_nanos() > 0);
        let Some(long_before) = before.checked_sub(Duration::from_secs(1)) else { return };
        assert!(Stamp::at(long_before).as_nanos() > 0);
    }
}
