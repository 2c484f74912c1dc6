//! The exchange segment, which is the low byte of an instrument token.

use core::fmt;
use core::str::FromStr;

use crate::amount::Amount;
use crate::error::UnknownSegment;
use crate::price::Price;

/// Exchange segment of an instrument, the low byte of its token.
///
/// The segment decides the divisor of prices and whether the instrument is tradable. It does not
/// decide the layout of a packet; the packet's length does (Kite's Python, Go, Node and Java
/// clients agree).
///
/// With the feature `serde` it serialises as its number ([`Segment::code`]), so that a segment
/// without a name today still reads back once it has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(from = "u8", into = "u8"))]
#[non_exhaustive]
pub enum Segment {
    /// National Stock Exchange, equity (1).
    Nse,
    /// NSE futures and options (2).
    Nfo,
    /// NSE currency derivatives (3). Prices have seven decimals.
    Cds,
    /// Bombay Stock Exchange, equity (4).
    Bse,
    /// BSE futures and options (5).
    Bfo,
    /// BSE currency derivatives (6). Prices have four decimals.
    Bcd,
    /// Multi Commodity Exchange (7).
    Mcx,
    /// MCX stock exchange (8).
    McxSx,
    /// Indices of all exchanges (9); not tradable.
    Indices,
    /// NSE commodities (12). Prices have four decimals.
    Nco,
    /// A segment that this crate has no name for; prices are assumed to have two decimals.
    Other(UnnamedSegment),
}

/// The number of a segment that this crate has no name for.
///
/// Only [`Segment::from_code`] creates one, so a segment with a name is never [`Segment::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnnamedSegment(u8);

impl UnnamedSegment {
    /// Returns the segment's number on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        self.0
    }
}

impl Segment {
    /// Returns the segment of an instrument token (`token & 0xff`).
    #[inline]
    #[must_use]
    pub const fn of_token(instrument_token: u32) -> Self {
        Self::from_code(instrument_token.to_be_bytes()[3])
    }

    /// Returns the segment with this number.
    #[inline]
    #[must_use]
    pub const fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Nse,
            2 => Self::Nfo,
            3 => Self::Cds,
            4 => Self::Bse,
            5 => Self::Bfo,
            6 => Self::Bcd,
            7 => Self::Mcx,
            8 => Self::McxSx,
            9 => Self::Indices,
            12 => Self::Nco,
            other => Self::Other(UnnamedSegment(other)),
        }
    }

    /// Returns the segment's number on the wire.
    #[inline]
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Nse => 1,
            Self::Nfo => 2,
            Self::Cds => 3,
            Self::Bse => 4,
            Self::Bfo => 5,
            Self::Bcd => 6,
            Self::Mcx => 7,
            Self::McxSx => 8,
            Self::Indices => 9,
            Self::Nco => 12,
            Self::Other(unnamed) => unnamed.code(),
        }
    }

    /// Returns the segment's name as Kite writes it; `None` for [`Segment::Other`].
    #[inline]
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        Some(match self {
            Self::Nse => "NSE",
            Self::Nfo => "NFO",
            Self::Cds => "CDS",
            Self::Bse => "BSE",
            Self::Bfo => "BFO",
            Self::Bcd => "BCD",
            Self::Mcx => "MCX",
            Self::McxSx => "MCXSX",
            Self::Indices => "INDICES",
            Self::Nco => "NCO",
            Self::Other(_) => return None,
        })
    }

    /// Returns the segment with this name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        (0..=u8::MAX).map(Self::from_code).find(|segment| segment.name() == Some(name))
    }

    /// Returns the number of decimals in this segment's prices: 7 for CDS, 4 for BCD and NCO, else
    /// 2.
    #[inline]
    #[must_use]
    pub const fn decimals(self) -> u8 {
        match self {
            Self::Cds => 7,
            Self::Bcd | Self::Nco => 4,
            _ => 2,
        }
    }

    /// Returns the smallest unit of this segment's prices, such as 0.01 rupees. It is not the tick
    /// size, which each instrument has.
    #[inline]
    #[must_use]
    pub const fn price_unit(self) -> Amount {
        Price::new(1, self).amount()
    }

    /// Returns whether instruments of this segment can be traded: all except indices.
    #[inline]
    #[must_use]
    pub const fn is_tradable(self) -> bool {
        !matches!(self, Self::Indices)
    }
}

impl fmt::Display for Segment {
    /// Prints the segment's name, or its number if it has no name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.pad(name),
            None => self.code().fmt(f),
        }
    }
}

impl FromStr for Segment {
    type Err = UnknownSegment;

    /// Reads a segment as `Display` prints it: its name, or its number.
    fn from_str(text: &str) -> Result<Self, UnknownSegment> {
        let by_number = || text.parse().ok().map(Self::from_code);
        Self::from_name(text).or_else(by_number).ok_or(UnknownSegment)
    }
}

impl From<u8> for Segment {
    #[inline]
    fn from(code: u8) -> Self {
        Self::from_code(code)
    }
}

impl From<Segment> for u8 {
    #[inline]
    fn from(segment: Segment) -> Self {
        segment.code()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_round_trips() {
        for code in 0..=u8::MAX {
            assert_eq!(Segment::from_code(code).code(), code);
        }
    }

    #[test]
    fn every_name_reads_back_and_a_segment_without_one_prints_its_number() {
        use std::string::ToString;

        for code in 0..=u8::MAX {
            let segment = Segment::from_code(code);
            let name = segment.to_string();
            let is_named = matches!(code, 1..=9 | 12);
            assert_eq!(Segment::from_name(&name), is_named.then_some(segment), "{name}");
            assert_eq!(name.parse() == Ok(code), !is_named, "{name}");
            assert_eq!(name.parse(), Ok(segment));
        }
        assert_eq!("256".parse::<Segment>(), Err(UnknownSegment));
        assert_eq!((Segment::from_name("nse"), Segment::from_name("")), (None, None));
        assert_eq!(std::format!("[{:>4}]", Segment::Nse), "[ NSE]");
    }

    #[cfg(feature = "serde")]
    #[test]
    fn serde_writes_a_segment_as_its_number_and_reads_it_back() {
        for code in 0..=u8::MAX {
            let segment = Segment::from_code(code);
            let json = serde_json::to_string(&segment).unwrap();
            assert_eq!(json, std::format!("{code}"));
            assert_eq!(serde_json::from_str::<Segment>(&json).unwrap(), segment);
        }
        assert!(serde_json::from_str::<Segment>("256").is_err());
        assert!(serde_json::from_str::<Segment>(r#"{"Other":3}"#).is_err());
    }

    #[test]
    fn decimals_follow_the_official_clients() {
        let decimals = |token| Segment::of_token(token).decimals();
        assert_eq!(decimals(408_065), 2);
        assert_eq!(decimals(0x0000_0103), 7);
        assert_eq!(decimals(0x0000_0106), 4);
        assert_eq!(decimals(31_132_428), 4, "ALUMINI, an NCO contract");
        assert_eq!(decimals(0x0000_010a), 2, "unnamed segments");
    }
}
