//! One instrument, as a view into the list.

use std::fmt;

use kite_wire::Segment;

use crate::date::Date;
use crate::decimal::Decimal;
use crate::exchange::{Exchange, InstrumentType};

/// One row of the list, by the names of its columns. The texts are the list's own: no copy.
///
/// Prints as `NSE:INFY`, which is what [`Instruments::by_symbol`](crate::Instruments::by_symbol)
/// takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instrument<'a> {
    /// The number by which ticks are subscribed and marked.
    pub instrument_token: u32,
    /// The number that the exchange gave.
    pub exchange_token: u32,
    /// The symbol, unique within the exchange.
    pub tradingsymbol: &'a str,
    /// The company's name; of a derivative, its underlying (`NIFTY`). Can be empty.
    pub name: &'a str,
    /// The last price when the list was made; Kite mostly writes 0. No source of prices.
    pub last_price: Decimal,
    /// The last day of a derivative.
    pub expiry: Option<Date>,
    /// The strike of an option, else 0.
    pub strike: Decimal,
    /// The smallest step of a price; 0 for an index.
    pub tick_size: Decimal,
    /// The units in one lot; 0 for an index.
    pub lot_size: u32,
    /// Equity, future, call or put.
    pub instrument_type: InstrumentType,
    /// The segment as the list names it: `NSE`, `NFO-OPT`, `INDICES` and others.
    pub segment: &'a str,
    /// The exchange.
    pub exchange: Exchange,
}

impl Instrument<'_> {
    /// Gives the segment of the wire, the low byte of the token: it decides the decimals of prices.
    #[must_use]
    pub const fn wire_segment(&self) -> Segment {
        Segment::of_token(self.instrument_token)
    }

    /// Says whether this is an index, which has no depth and cannot be traded.
    #[must_use]
    pub const fn is_index(&self) -> bool {
        !self.wire_segment().is_tradable()
    }
}

impl fmt::Display for Instrument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if f.width().is_some() {
            return f.pad(&format!("{}:{}", self.exchange, self.tradingsymbol));
        }
        write!(f, "{}:{}", self.exchange, self.tradingsymbol)
    }
}
