//! One instrument, as a view into the list.

use std::fmt;

use kite_wire::{Amount, Segment};

use crate::date::Date;
use crate::exchange::{Exchange, InstrumentType};

/// One row of the list. Fields are named after its columns, and strings are borrowed from the list.
///
/// What the list lacks is `None` or an empty string. Kite also writes 0 for a missing number, which
/// is `None` as well.
///
/// Prints as `NSE:INFY`, the form that [`Instruments::by_symbol`](crate::Instruments::by_symbol)
/// accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Instrument<'a> {
    /// The number that identifies the instrument in subscriptions and ticks.
    pub instrument_token: u32,
    /// The number that the exchange assigned.
    pub exchange_token: Option<u32>,
    /// The symbol, unique within the exchange.
    pub tradingsymbol: &'a str,
    /// The company's name, or the underlying of a derivative (`NIFTY`).
    pub name: &'a str,
    /// The last price when the list was created. Kite usually writes 0, so it is not a source of
    /// prices.
    pub last_price: Option<Amount>,
    /// The day on which a derivative expires.
    pub expiry: Option<Date>,
    /// The strike of an option.
    pub strike: Option<Amount>,
    /// The smallest price step; an index has none.
    pub tick_size: Option<Amount>,
    /// The number of units in one lot; an index has none.
    pub lot_size: Option<u32>,
    /// Equity, future, call or put; `Other` with an empty name if the list does not have it.
    pub instrument_type: InstrumentType,
    /// The segment as the list names it: `NSE`, `NFO-OPT`, `INDICES` and others.
    pub segment: &'a str,
    /// The exchange.
    pub exchange: Exchange,
}

impl Instrument<'_> {
    /// Returns the segment of the feed, the low byte of the token, which determines the decimals of
    /// prices.
    #[must_use]
    pub const fn wire_segment(&self) -> Segment {
        Segment::of_token(self.instrument_token)
    }

    /// Returns whether this is an index, which has no depth and cannot be traded.
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
