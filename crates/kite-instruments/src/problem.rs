//! Problems in single rows of a list.

use std::fmt;

/// Maximum number of characters of an invalid value that a problem keeps.
const MAX_VALUE_CHARS: usize = 60;

/// A row that was skipped, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
#[non_exhaustive]
pub struct Problem {
    /// The line number in the file; the header is line 1.
    pub line: u64,
    /// What is wrong with the row.
    pub fault: Fault,
}

/// What is wrong with a row.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// A field is not valid for its column.
    #[error("{column} is {value:?}; expected {expected}")]
    Value {
        /// The column.
        column: Column,
        /// The first 60 characters of the field.
        value: String,
        /// A description of valid values.
        expected: &'static str,
    },
    /// The row has more or fewer fields than the header, perhaps because a name with a comma is not
    /// quoted.
    #[error("{found} fields; expected {expected} as in the header")]
    FieldCount {
        /// Number of fields in the row.
        found: usize,
        /// Number of fields in the header.
        expected: usize,
    },
    /// A quoted field does not end on its line.
    #[error("a quoted field does not end on its line, which begins {beginning:?}")]
    OpenQuote {
        /// The first 60 characters of the line.
        beginning: String,
    },
    /// An earlier row has the same exchange, trading symbol and instrument token; that one is kept.
    #[error(
        "{} with the instrument_token {instrument_token} is already on line {first_line}",
        symbol.escape_debug()
    )]
    Repeated {
        /// Exchange and trading symbol, such as `NSE:INFY`.
        symbol: String,
        /// The token.
        instrument_token: u32,
        /// The line of the row that is kept.
        first_line: u64,
    },
}

impl Fault {
    pub(crate) fn value(column: Column, value: &[u8], expected: &'static str) -> Self {
        Self::Value { column, value: shown(value), expected }
    }
}

/// Returns the beginning of an untrusted string, for use in a message.
pub(crate) fn shown(text: &[u8]) -> String {
    // At most four bytes per character, so that a line of megabytes is not converted whole.
    let text = &text[..text.len().min(4 * MAX_VALUE_CHARS)];
    String::from_utf8_lossy(text).chars().take(MAX_VALUE_CHARS).collect()
}

/// A column of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Column {
    /// The number used to subscribe to the instrument.
    InstrumentToken,
    /// The exchange's own number.
    ExchangeToken,
    /// The symbol, unique within the exchange.
    Tradingsymbol,
    /// The company or the underlying.
    Name,
    /// The last price when the list was created.
    LastPrice,
    /// The day on which a derivative expires.
    Expiry,
    /// The strike of an option.
    Strike,
    /// The smallest price step.
    TickSize,
    /// The number of units in one lot.
    LotSize,
    /// Equity, future, call or put.
    InstrumentType,
    /// The segment's name.
    Segment,
    /// The exchange.
    Exchange,
}

impl Column {
    /// All columns, in Kite's order. A list may have them in any order.
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

    /// The columns that a list must have.
    pub const REQUIRED: [Self; 3] = [Self::InstrumentToken, Self::Tradingsymbol, Self::Exchange];

    /// Returns the names that a header may use for the column, Kite's first.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::InstrumentToken => &["instrument_token", "token"],
            Self::Tradingsymbol => &["tradingsymbol", "trading_symbol", "symbol"],
            Self::ExchangeToken => &["exchange_token"],
            Self::Name => &["name"],
            Self::LastPrice => &["last_price"],
            Self::Expiry => &["expiry"],
            Self::Strike => &["strike"],
            Self::TickSize => &["tick_size"],
            Self::LotSize => &["lot_size"],
            Self::InstrumentType => &["instrument_type"],
            Self::Segment => &["segment"],
            Self::Exchange => &["exchange"],
        }
    }

    /// Returns Kite's name of the column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.names()[0]
    }
}

impl fmt::Display for Column {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// Column names, separated by commas.
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
