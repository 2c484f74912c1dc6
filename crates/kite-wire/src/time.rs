//! Exchange time as on the wire: whole seconds.

/// Seconds since the Unix epoch (UTC), as packets carry them.
///
/// 0 on the wire means no time; the accessors of this crate return `None` for it.
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
}

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

    #[cfg(feature = "chrono")]
    #[test]
    fn the_whole_range_converts_to_chrono() {
        let last = chrono::DateTime::<chrono::Utc>::from(UnixSeconds(u32::MAX));
        assert_eq!(last.timestamp(), i64::from(u32::MAX));
    }

    #[cfg(feature = "time")]
    #[test]
    fn the_whole_range_converts_to_time() {
        let last = time::OffsetDateTime::from(UnixSeconds(u32::MAX));
        assert_eq!(last.unix_timestamp(), i64::from(u32::MAX));
    }
}
