//! The length of bars.

use core::fmt;
use core::str::FromStr;

/// Seconds per day.
const DAY_S: u32 = 86_400;

/// The length of bars, from one second to a day.
///
/// Reads and prints as a number with a unit: `15s`, `5m`, `1h`, `1d`.
///
/// ```
/// use kite_candles::Every;
///
/// let every: Every = "5m".parse()?;
/// assert_eq!((every.as_secs(), every.to_string().as_str()), (300, "5m"));
/// assert_eq!("1d".parse(), Ok(Every::DAY));
/// # Ok::<(), kite_candles::EveryError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Every(u32);

/// A text or a number that is not the length of a bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the length of a bar; must be 1s to 1d, such as 15s, 5m or 1h")]
pub struct EveryError;

impl Every {
    /// One minute.
    pub const MINUTE: Self = Self(60);
    /// One day: all trades of the day, whatever the session.
    pub const DAY: Self = Self(DAY_S);

    /// Returns the length of this many seconds.
    ///
    /// # Errors
    /// Returns [`EveryError`] if it is zero or longer than a day.
    pub const fn from_secs(secs: u32) -> Result<Self, EveryError> {
        if secs >= 1 && secs <= DAY_S { Ok(Self(secs)) } else { Err(EveryError) }
    }

    /// Returns the length in seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }
}

impl FromStr for Every {
    type Err = EveryError;

    fn from_str(text: &str) -> Result<Self, EveryError> {
        let unit = [("s", 1), ("m", 60), ("h", 3600), ("d", DAY_S)];
        let read = |(name, secs): (&str, u32)| {
            let digits = text.strip_suffix(name)?;
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let number = is_number.then(|| digits.parse::<u32>().ok()).flatten()?;
            number.checked_mul(secs)
        };
        unit.into_iter().find_map(read).ok_or(EveryError).and_then(Self::from_secs)
    }
}

impl fmt::Display for Every {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            DAY_S => f.write_str("1d"),
            secs if secs.is_multiple_of(3600) => write!(f, "{}h", secs / 3600),
            secs if secs.is_multiple_of(60) => write!(f, "{}m", secs / 60),
            secs => write!(f, "{secs}s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::string::ToString;

    use super::*;

    #[test]
    fn every_length_reads_back_as_it_prints() {
        for secs in 1..=DAY_S {
            let every = Every::from_secs(secs).unwrap();
            assert_eq!(every.to_string().parse(), Ok(every));
        }
    }

    #[test]
    fn texts_that_are_no_length_are_rejected() {
        for text in ["", "m", "0s", "5", "+5m", "1.5m", "25h", "2d", "-1m", "99999999999m", "5 m"] {
            assert_eq!(text.parse::<Every>(), Err(EveryError), "{text}");
        }
    }
}
