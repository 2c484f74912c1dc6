//! The streaming mode of a subscription.

/// Streaming mode: which part of an instrument's state the server sends.
///
/// A bare subscribe means [`Mode::Quote`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
pub enum Mode {
    /// Last price only: packets of 8 bytes.
    Ltp,
    /// Last trade, volumes and OHLC: packets of 44 bytes (28 for an index).
    #[default]
    Quote,
    /// Quote with timestamps, open interest and market depth: 184 bytes (32 for an index).
    Full,
}

impl Mode {
    /// All modes, from the smallest packets to the largest.
    pub const ALL: [Self; 3] = [Self::Ltp, Self::Quote, Self::Full];

    /// Returns the mode's name in commands: `ltp`, `quote` or `full`.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ltp => "ltp",
            Self::Quote => "quote",
            Self::Full => "full",
        }
    }

    /// Returns the mode with this name in commands.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name)
    }
}

impl core::fmt::Display for Mode {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}
