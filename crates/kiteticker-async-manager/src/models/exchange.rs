//! The exchange segment of an instrument, under its old names.

use kite_wire::Segment;
use serde::{Deserialize, Serialize};

/// Exchange segment of an instrument: the low byte of its token (`token & 0xff`).
///
/// Serde uses the names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[repr(u8)]
pub enum Exchange {
    /// National Stock Exchange, equity.
    NSE = 1,
    /// NSE futures and options.
    NFO = 2,
    /// NSE currency derivatives.
    CDS = 3,
    /// Bombay Stock Exchange, equity.
    BSE = 4,
    /// BSE futures and options.
    BFO = 5,
    /// BSE currency derivatives.
    BCD = 6,
    /// Multi Commodity Exchange.
    MCX = 7,
    /// MCX stock exchange.
    MCXSX = 8,
    /// Indices of all exchanges, which are not tradable.
    INDICES = 9,
    /// NSE commodities.
    NCO = 12,
    /// An unnamed segment; its number is the low byte of the instrument token.
    #[default]
    Unknown = 0,
}

impl Exchange {
    /// Returns the segment with this name, as used in orders; [`Exchange::Unknown`] if no segment
    /// has it.
    #[must_use]
    pub fn from_name(name: &str) -> Self {
        Segment::from_name(name).map_or(Self::Unknown, Self::from)
    }
}

impl From<Segment> for Exchange {
    #[inline]
    fn from(segment: Segment) -> Self {
        match segment {
            Segment::Nse => Self::NSE,
            Segment::Nfo => Self::NFO,
            Segment::Cds => Self::CDS,
            Segment::Bse => Self::BSE,
            Segment::Bfo => Self::BFO,
            Segment::Bcd => Self::BCD,
            Segment::Mcx => Self::MCX,
            Segment::McxSx => Self::MCXSX,
            Segment::Indices => Self::INDICES,
            Segment::Nco => Self::NCO,
            _ => Self::Unknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_segment_number_becomes_its_exchange_or_unknown() {
        for code in 0..=u8::MAX {
            let exchange = Exchange::from(Segment::from_code(code));
            let named = matches!(code, 1..=9 | 12);
            assert_eq!(exchange as u8, if named { code } else { 0 }, "{code}");
            let name = serde_json::to_value(exchange).unwrap();
            assert_eq!(Exchange::from_name(name.as_str().unwrap()), exchange);
            assert_eq!(serde_json::from_value::<Exchange>(name).unwrap(), exchange);
        }
    }
}
