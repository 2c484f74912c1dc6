//! The values of faults as text.

use std::str::FromStr;
use std::time::Duration;

use super::InvalidFrame;

/// The value that may follow a fault's kind and a colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FaultArgument {
    /// A placeholder, such as `TIME`.
    pub name: &'static str,
    /// A description, such as "a time such as 3s".
    pub wanted: &'static str,
    /// Whether the value is the time until the sockets are healed. It is then parsed as part of a
    /// [`PlannedFault`](crate::PlannedFault), not of a [`Fault`](crate::Fault).
    pub is_time_to_heal: bool,
}

impl FaultArgument {
    pub(super) const TIME: Option<Self> = Self::of("TIME", "a time such as 3s");
    pub(super) const HEAL: Option<Self> =
        Some(Self { name: "TIME", wanted: "a time such as 3s", is_time_to_heal: true });
    pub(super) const BYTES: Option<Self> = Self::of("BYTES", "a number of bytes");

    pub(super) const fn of(name: &'static str, wanted: &'static str) -> Option<Self> {
        Some(Self { name, wanted, is_time_to_heal: false })
    }
}

/// The text of a value, if there is one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a>(pub(super) Option<&'a str>);

impl Value<'_> {
    /// Returns the fault; `None` if a value is given.
    pub(super) fn none<T>(self, fault: T) -> Option<T> {
        self.0.is_none().then_some(fault)
    }

    pub(super) fn number<N: FromStr>(self, usual: N) -> Option<N> {
        self.0.map_or(Some(usual), |text| text.parse().ok())
    }

    /// Parses a time; `usual`, the default, is in seconds.
    pub(super) fn time(self, usual: u64) -> Option<Duration> {
        self.0.map_or(Some(Duration::from_secs(usual)), read_time)
    }

    pub(super) fn way(self) -> Option<InvalidFrame> {
        let way = |name: &str| InvalidFrame::ALL.into_iter().find(|way| way.name() == name);
        self.0.map_or(Some(InvalidFrame::ReservedOpcode), way)
    }
}

/// Units of times, in microseconds.
const UNITS: [(&str, f64); 7] =
    [("us", 1.0), ("ms", 1e3), ("s", 1e6), ("", 1e6), ("m", 60e6), ("min", 60e6), ("h", 3_600e6)];

/// Parses a time such as `250ms`; a bare number is in seconds.
pub(super) fn read_time(text: &str) -> Option<Duration> {
    let number_len = text.bytes().take_while(|b| b.is_ascii_digit() || *b == b'.').count();
    let (number, unit) = text.split_at(number_len);
    let (_, factor) = UNITS.into_iter().find(|(name, _)| *name == unit)?;
    let time = Duration::try_from_secs_f64(number.parse::<f64>().ok()? * factor / 1e6);
    time.ok().filter(|time| *time <= crate::time::FOREVER)
}

/// Formats a time as [`read_time`] parses it, to the microsecond.
pub(super) fn write_time(time: Duration) -> String {
    let micros = time.as_micros();
    match (micros % 1_000_000, micros % 1_000) {
        (0, _) => format!("{}s", micros / 1_000_000),
        (_, 0) => format!("{}ms", micros / 1_000),
        _ => format!("{micros}us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_and_formatted_with_their_units() {
        let millis = |text| read_time(text).map(|time| time.as_millis());
        let read = ["500ms", "10s", "1.5s", "5m", "2h", "7", "0"].map(millis);
        assert_eq!(read, [500, 10_000, 1_500, 300_000, 7_200_000, 7_000, 0].map(Some));
        for text in ["", "s", "-1s", "1d", "1 s", "1..5s", "NaN", "inf", "99999999999h"] {
            assert_eq!(read_time(text), None, "{text}");
        }
        for text in ["3s", "250ms", "1001us"] {
            assert_eq!(read_time(text).map(write_time).as_deref(), Some(text));
        }
    }
}
