//! The streaming mode of a subscription.

use core::fmt;
use core::str::FromStr;

use crate::error::UnknownMode;

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
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Mode {
    type Err = UnknownMode;

    /// Reads the mode's name in commands: `ltp`, `quote` or `full`, in lower case.
    fn from_str(name: &str) -> Result<Self, UnknownMode> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == name).ok_or(UnknownMode)
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn a_mode_reads_back_as_printed() {
        for mode in Mode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for name in ["", "FULL", " full", "depth"] {
            assert_eq!(name.parse::<Mode>(), Err(UnknownMode), "{name:?}");
        }
        assert_eq!(std::format!("[{:>5}]", Mode::Ltp), "[  ltp]");
    }
}
