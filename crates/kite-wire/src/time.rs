//! The exchange's clock as the wire carries it: whole seconds.

/// Seconds since the Unix epoch (UTC), as packets carry them.
///
/// The wire's 0 means "none" and is never wrapped in this type by the accessors of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct UnixSeconds(pub u32);

impl UnixSeconds {
    /// Wraps a value of the wire, where 0 means that there is none.
    #[inline]
    #[must_use]
    pub const fn from_wire(seconds: u32) -> Option<Self> {
        if seconds == 0 { None } else { Some(Self(seconds)) }
    }

    /// Gives the seconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }
}
