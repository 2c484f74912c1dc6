//! What is wrong with single rows of a list.

use std::fmt;

/// The most characters of a wrong value that a problem keeps.
const MAX_VALUE_CHARS: usize = 60;

/// A row that was left out of the list, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct Problem {
    /// The line of the file; the header is line 1.
    pub line: u64,
    /// What is wrong with it.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A field does not hold what its column must.
    #[error("{column} is {value:?}, expected {expected}")]
    Value {
        /// The column.
        column: Column,
        /// The field, its first 60 characters.
        value: String,
        /// What the column holds, in words.
        expected: &'static str,
    },
    /// The row has more or fewer fields than the header; perhaps a comma in a name without quotes.
    #[error("{found} fields, expected {expected} as in the header")]
    FieldCount {
        /// The fields of the row.
        found: usize,
        /// The fields of the header.
        expected: usize,
    },
    /// A quoted field does not end on its line.
    #[error("a quoted field does not end on its line, which begins {beginning:?}")]
    OpenQuote {
        /// The first 60 characters of the line.
        beginning: String,
    },
    /// An earlier row has the same instrument token; that one is kept.
    #[error("instrument_token {instrument_token} is that of line {first_line} already")]
    RepeatedToken {
        /// The token.
        instrument_token: u32,
        /// The line of the row that is kept.
        first_line: u64,
    },
    /// An earlier row has the same exchange and trading symbol; that one is kept.
    #[error("{symbol} is on line {first_line} already")]
    RepeatedSymbol {
        /// Exchange and trading symbol, as `NSE:INFY`.
        symbol: String,
        /// The line of the row that is kept.
        first_line: u64,
    },
}

impl Fault {
    pub(crate) fn value(column: Column, value: &[u8], expected: &'static str) -> Self {
        Self::Value { column, value: shown(value), expected }
    }
}

/// Gives the beginning of a text from outside, for a message.
pub(crate) fn shown(text: &[u8]) -> String {
    // Four bytes a character at most, so that a line of megabytes is not converted whole.
    let text = &text[..text.len().min(4 * MAX_VALUE_CHARS)];
    String::from_utf8_lossy(text).chars().take(MAX_VALUE_CHARS).collect()
}

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Column {
    /// The number by which an instrument is subscribed.
    InstrumentToken,
    /// The exchange's own number.
    ExchangeToken,
    /// The symbol, unique within the exchange.
    Tradingsymbol,
    /// The company or the underlying.
    Name,
    /// The last price, if the list has one.
    LastPrice,
    /// The last day of a derivative.
    Expiry,
    /// The strike of an option.
    Strike,
    /// The smallest step of a price.
    TickSize,
    /// The units in one lot.
    LotSize,
    /// Equity, future, call or put.
    InstrumentType,
    /// The segment's name.
    Segment,
    /// The exchange.
    Exchange,
}

impl Column {
    /// All columns, in Kite's order; a list must have each, in any order.
    pub const ALL: [Self; 12] = [
        Self::InstrumentToken,
        Self::ExchangeToken,
        Self::Tradingsymbol,
        Self::Name,
        Self::LastPrice,
        Self::Expiry,
        Self::Strike,
        Self::TickSize,
        Self::LotSize,
        Self::InstrumentType,
        Self::Segment,
        Self::Exchange,
    ];

    /// Gives the column's name in the header.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InstrumentToken => "instrument_token",
            Self::ExchangeToken => "exchange_token",
            Self::Tradingsymbol => "tradingsymbol",
            Self::Name => "name",
            Self::LastPrice => "last_price",
            Self::Expiry => "expiry",
            Self::Strike => "strike",
            Self::TickSize => "tick_size",
            Self::LotSize => "lot_size",
            Self::InstrumentType => "instrument_type",
            Self::Segment => "segment",
            Self::Exchange => "exchange",
        }
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Column names with commas between.
pub(crate) struct Names<'a>(pub(crate) &'a [Column]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, column) in self.0.iter().enumerate() {
            f.write_str(if at == 0 { "" } else { ", " })?;
            f.write_str(column.name())?;
        }
        Ok(())
    }
}
