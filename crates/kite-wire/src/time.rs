//! Exchange time as on the wire: whole seconds.

/// Seconds since the Unix epoch (UTC), as packets carry them.
///
/// 0 on the wire means no time; the accessors of this crate return `None` for it.
///
/// `From` and `TryFrom` convert to and from India's date and time ([`IstDateTime`]), `SystemTime`
/// (feature `std`) and the types of `chrono` and `time` (features of these names). The direction to
/// seconds drops a fraction of a second.
///
/// [`IstDateTime`]: crate::ist::IstDateTime
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct UnixSeconds(pub u32);

impl UnixSeconds {
    /// Wraps a value from the wire; `None` for 0.
    #[inline]
    #[must_use]
    pub const fn from_wire(seconds: u32) -> Option<Self> {
        if seconds == 0 { None } else { Some(Self(seconds)) }
    }

    /// Returns the seconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// Returns the nanoseconds since the Unix epoch, the unit of receive times.
    #[inline]
    #[must_use]
    pub const fn unix_ns(self) -> u64 {
        self.0 as u64 * 1_000_000_000
    }

    /// Converts seconds since the Unix epoch, which may be too few or too many.
    pub(crate) fn from_i64(unix_s: i64) -> Result<Self, UnixSecondsError> {
        u32::try_from(unix_s).map(Self).map_err(|_| UnixSecondsError)
    }
}

/// A time that 32 bits of Unix seconds cannot hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("time is before 1970-01-01 or after 2106-02-07, the range of 32 bits of Unix seconds")]
pub struct UnixSecondsError;

impl core::fmt::Display for UnixSeconds {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        self.0.fmt(f)
    }
}

impl From<UnixSeconds> for core::time::Duration {
    /// Converts to the time since the Unix epoch.
    fn from(seconds: UnixSeconds) -> Self {
        Self::from_secs(u64::from(seconds.0))
    }
}

#[cfg(feature = "std")]
impl From<UnixSeconds> for std::time::SystemTime {
    fn from(seconds: UnixSeconds) -> Self {
        Self::UNIX_EPOCH + core::time::Duration::from(seconds)
    }
}

#[cfg(feature = "std")]
impl TryFrom<std::time::SystemTime> for UnixSeconds {
    type Error = UnixSecondsError;

    fn try_from(time: std::time::SystemTime) -> Result<Self, UnixSecondsError> {
        let since = time.duration_since(std::time::UNIX_EPOCH).map_err(|_| UnixSecondsError)?;
        u32::try_from(since.as_secs()).map(Self).map_err(|_| UnixSecondsError)
    }
}

#[cfg(feature = "chrono")]
impl<Tz: chrono::TimeZone> TryFrom<chrono::DateTime<Tz>> for UnixSeconds {
    type Error = UnixSecondsError;

    fn try_from(time: chrono::DateTime<Tz>) -> Result<Self, UnixSecondsError> {
        Self::from_i64(time.timestamp())
    }
}

#[cfg(feature = "time")]
impl TryFrom<time::OffsetDateTime> for UnixSeconds {
    type Error = UnixSecondsError;

    fn try_from(time: time::OffsetDateTime) -> Result<Self, UnixSecondsError> {
        Self::from_i64(time.unix_timestamp())
    }
}

#[cfg(feature = "chrono")]
impl From<UnixSeconds> for chrono::DateTime<chrono::Utc> {
    fn from(seconds: UnixSeconds) -> Self {
        Self::UNIX_EPOCH + chrono::TimeDelta::seconds(i64::from(seconds.0))
    }
}

#[cfg(feature = "time")]
impl From<UnixSeconds> for time::OffsetDateTime {
    fn from(seconds: UnixSeconds) -> Self {
        Self::UNIX_EPOCH + time::Duration::seconds(i64::from(seconds.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_on_the_wire_is_no_time() {
        assert_eq!(UnixSeconds::from_wire(0), None);
        assert_eq!(UnixSeconds::from_wire(1).map(UnixSeconds::get), Some(1));
    }

    #[cfg(feature = "std")]
    #[test]
    fn system_times_convert_without_their_fraction() {
        use std::time::{Duration, SystemTime};

        let last = SystemTime::from(UnixSeconds(u32::MAX)) + Duration::from_millis(999);
        assert_eq!(UnixSeconds::try_from(last), Ok(UnixSeconds(u32::MAX)));
        let too_late = last + Duration::from_millis(1);
        let too_early = SystemTime::UNIX_EPOCH - Duration::from_millis(1);
        for time in [too_late, too_early] {
            assert_eq!(UnixSeconds::try_from(time), Err(UnixSecondsError));
        }
    }

    #[cfg(feature = "chrono")]
    #[test]
    fn the_whole_range_converts_to_chrono() {
        let last = chrono::DateTime::<chrono::Utc>::from(UnixSeconds(u32::MAX));
        assert_eq!(last.timestamp(), i64::from(u32::MAX));
        assert_eq!(UnixSeconds::try_from(last), Ok(UnixSeconds(u32::MAX)));
        let too_late = last + chrono::TimeDelta::seconds(1);
        assert_eq!(UnixSeconds::try_from(too_late), Err(UnixSecondsError));
    }

    #[cfg(feature = "time")]
    #[test]
    fn the_whole_range_converts_to_time() {
        let last = time::OffsetDateTime::from(UnixSeconds(u32::MAX));
        assert_eq!(last.unix_timestamp(), i64::from(u32::MAX));
        assert_eq!(UnixSeconds::try_from(last), Ok(UnixSeconds(u32::MAX)));
        let too_early = time::OffsetDateTime::UNIX_EPOCH - time::Duration::NANOSECOND;
        assert_eq!(UnixSeconds::try_from(too_early), Err(UnixSecondsError));
    }
}
