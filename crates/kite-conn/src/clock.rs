//! A monotonic timestamp in eight bytes, and the process's clocks.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::wall_time::{Reading, WallTime};

/// Replaces durations that are too long to add to a clock, which some use for "never".
pub(crate) const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// An instant of this process's monotonic clock, in nanoseconds since the clock's first use.
///
/// Half the size of an [`Instant`], because one is stored with every frame. Stamps of different
/// processes cannot be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(u64);

/// The instant of first use, and the wall clock since then.
struct Clocks {
    start: Instant,
    wall_time: Arc<WallTime>,
}

fn clocks() -> &'static Clocks {
    static CLOCKS: LazyLock<Clocks> = LazyLock::new(|| {
        let start = Instant::now();
        Clocks { start, wall_time: Arc::new(WallTime::new(&read_since(start))) }
    });
    &CLOCKS
}

/// Returns the wall clock of this process's stamps.
pub(crate) fn wall_time() -> Arc<WallTime> {
    Arc::clone(&clocks().wall_time)
}

/// Reads all clocks.
pub(crate) fn read() -> Reading {
    read_since(clocks().start)
}

fn read_since(start: Instant) -> Reading {
    let mut reading = read_once(start);
    for _ in 0..3 {
        if reading.is_usable() {
            break;
        }
        reading = read_once(start);
    }
    reading
}

fn read_once(start: Instant) -> Reading {
    let now = Instant::now();
    let (asleep, wall) = (asleep(), SystemTime::now());
    // The monotonic clock does not show a sleep in between.
    let spread = now.elapsed() + asleep_since(asleep);
    Reading { at: Stamp::since_start(start, now), wall, asleep, spread }
}

/// Returns how much the machine has slept since an earlier [`asleep`].
fn asleep_since(before: Option<Duration>) -> Duration {
    let slept = before.zip(asleep());
    slept.map_or(Duration::ZERO, |(before, now)| now.saturating_sub(before))
}

/// Returns how long the machine has slept since it was started, by the boot clock, which counts
/// that time, and the monotonic clock, which does not.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn asleep() -> Option<Duration> {
    use rustix::time::{ClockId, clock_gettime};

    // In this order the difference cannot be negative.
    let monotonic = Duration::try_from(clock_gettime(ClockId::Monotonic)).ok()?;
    let boot = Duration::try_from(clock_gettime(ClockId::Boottime)).ok()?;
    Some(boot.saturating_sub(monotonic))
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn asleep() -> Option<Duration> {
    None
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
        Self::since_start(clocks().start, instant)
    }

    fn since_start(start: Instant, instant: Instant) -> Self {
        let since = instant.saturating_duration_since(start);
        // 2^64 ns are 584 years. Never 0, which the counters read as "never": a stamp of the
        // instant that started the clock is one nanosecond late instead.
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX).max(1))
    }

    /// Returns the instant.
    #[must_use]
    pub fn to_instant(self) -> Instant {
        clocks().start + Duration::from_nanos(self.0)
    }

    /// Returns the wall-clock time, by the offset of the two clocks that was in force when the stamp
    /// was taken.
    ///
    /// Every connection compares the clocks once a second; stamps taken after that have the new
    /// offset: changes of 5 ms or more are followed silently, steps of 500 ms or more are reported
    /// ([`Event::ClockStepped`](crate::Event::ClockStepped)). Stamps taken in the second before
    /// keep the old one, so that the time of a stamp does not change later. Between two changes,
    /// differences are exactly those of the stamps. The last 1,023 changes are remembered; stamps
    /// from before have the oldest offset of these. Without a connection, the offset is that of the
    /// clock's first use.
    #[must_use]
    pub fn to_system_time(self) -> SystemTime {
        clocks().wall_time.system_time(self)
    }

    /// Returns the wall-clock time in nanoseconds since the Unix epoch, as tapes have it, by
    /// [`Stamp::to_system_time`]; 0 for an earlier one.
    ///
    /// # Examples
    /// ```
    /// use kite_conn::Stamp;
    /// use kite_wire::ist::IstDateTime;
    ///
    /// let now = IstDateTime::from_unix_ns(Stamp::now().to_unix_ns());
    /// println!("received at {now} in India");
    /// ```
    #[must_use]
    pub fn to_unix_ns(self) -> u64 {
        let since = self.to_system_time().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
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
        assert_eq!(later.to_unix_ns() - stamp.to_unix_ns(), 5_000_000_000);
        let since_epoch = Duration::from_nanos(stamp.to_unix_ns());
        assert_eq!(UNIX_EPOCH + since_epoch, stamp.to_system_time());
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
