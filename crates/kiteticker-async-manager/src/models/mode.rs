//! The streaming mode of a subscription, under its old names.

use serde::de::{Error as _, Unexpected};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The amount of an instrument's state that the server sends.
///
/// Serde uses the number, as release 0.4 did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Mode {
    /// Last price only.
    LTP = 1,
    /// Last trade, volumes and OHLC; the server's default.
    #[default]
    Quote = 2,
    /// Quote with timestamps, open interest and market depth.
    Full = 3,
}

impl Mode {
    /// Returns the mode's name in commands: `ltp`, `quote` or `full`.
    #[must_use]
    pub fn to_websocket_string(&self) -> &'static str {
        kite_wire::Mode::from(*self).as_str()
    }
}

impl From<Mode> for kite_wire::Mode {
    #[inline]
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::LTP => Self::Ltp,
            Mode::Quote => Self::Quote,
            Mode::Full => Self::Full,
        }
    }
}

impl From<kite_wire::Mode> for Mode {
    #[inline]
    fn from(mode: kite_wire::Mode) -> Self {
        match mode {
            kite_wire::Mode::Ltp => Self::LTP,
            kite_wire::Mode::Quote => Self::Quote,
            kite_wire::Mode::Full => Self::Full,
        }
    }
}

impl Serialize for Mode {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(*self as u8)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match u8::deserialize(deserializer)? {
            1 => Ok(Self::LTP),
            2 => Ok(Self::Quote),
            3 => Ok(Self::Full),
            other => Err(D::Error::invalid_value(
                Unexpected::Unsigned(other.into()),
                &"1 (ltp), 2 (quote) or 3 (full)",
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_convert_both_ways_and_keep_name_number_and_order() {
        for (mode, wire, name, number) in [
            (Mode::LTP, kite_wire::Mode::Ltp, "ltp", "1"),
            (Mode::Quote, kite_wire::Mode::Quote, "quote", "2"),
            (Mode::Full, kite_wire::Mode::Full, "full", "3"),
        ] {
            assert_eq!((kite_wire::Mode::from(mode), Mode::from(wire)), (wire, mode));
            assert_eq!(mode.to_websocket_string(), name);
            assert_eq!(serde_json::to_string(&mode).unwrap(), number);
            assert_eq!(serde_json::from_str::<Mode>(number).unwrap(), mode);
        }
        assert!(Mode::LTP < Mode::Quote && Mode::Quote < Mode::Full);
        assert_eq!(Mode::default(), Mode::Quote);
    }

    #[test]
    fn an_unknown_number_is_rejected_and_named() {
        let error = serde_json::from_str::<Mode>("4").unwrap_err().to_string();
        assert!(error.contains("4") && error.contains("3 (full)"), "{error}");
    }
}
