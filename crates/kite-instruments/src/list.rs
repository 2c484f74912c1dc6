//! The list in memory, as one string, flat rows, and two indices of row numbers.
//!
//! Parsing is in `load.rs`. A row takes 64 bytes; values that many rows share (names, and exchange
//! with segment and type) are stored once.

use std::hash::{BuildHasher, Hasher, RandomState};

use hashbrown::HashTable;
use kite_wire::Amount;

use crate::date::Date;
use crate::exchange::{Exchange, InstrumentType};

/// A piece of the list's string.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Span {
    start: u32,
    len: u32,
}

/// An amount of up to 922 billion rupees in half the space, in units of 10⁻⁷ rupees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Stored(i64);

impl Stored {
    /// Returns `None` if the amount is too large.
    pub(crate) fn new(amount: Amount) -> Option<Self> {
        amount.units().try_into().ok().map(Self)
    }

    /// Returns the amount; `None` for 0, which stands for a missing one.
    pub(crate) fn unless_zero(self) -> Option<Amount> {
        (self.0 != 0).then_some(self.into())
    }
}

impl From<Stored> for Amount {
    fn from(stored: Stored) -> Self {
        Self::from_units(stored.0.into())
    }
}

/// One instrument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) last_price: Stored,
    pub(crate) strike: Stored,
    pub(crate) tick_size: Stored,
    pub(crate) instrument_token: u32,
    pub(crate) exchange_token: u32,
    pub(crate) tradingsymbol: Span,
    pub(crate) name: Span,
    pub(crate) expiry: Option<Date>,
    pub(crate) lot_size: u32,
    /// Index of its class in the list.
    pub(crate) class: u32,
}

/// Values that thousands of rows share. Kite's list has about thirty classes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Class {
    pub(crate) exchange: Exchange,
    pub(crate) instrument_type: InstrumentType,
    pub(crate) segment: Span,
}

/// All rows, with their indices.
///
/// The hashes are seeded at random, so that no file can be crafted to collide.
#[derive(Debug, Default)]
pub(crate) struct List {
    text: String,
    pub(crate) rows: Vec<Row>,
    pub(crate) classes: Vec<Class>,
    tokens: HashTable<u32>,
    symbols: HashTable<u32>,
    seed: RandomState,
}

/// The row that has the same token and symbol as a rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeated {
    pub(crate) row: usize,
}

impl List {
    pub(crate) fn with_capacity(rows: usize) -> Self {
        Self {
            text: String::with_capacity(rows * 20),
            rows: Vec::with_capacity(rows),
            classes: Vec::new(),
            tokens: HashTable::with_capacity(rows),
            symbols: HashTable::with_capacity(rows),
            seed: RandomState::new(),
        }
    }

    pub(crate) fn text(&self, span: Span) -> &str {
        let start = span.start as usize;
        // Only `add_text` creates spans, each of a whole string.
        self.text.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// Appends a string. A list is far smaller than 4 GiB (`MAX_LIST_BYTES`), so the offsets fit.
    pub(crate) fn add_text(&mut self, text: &str) -> Span {
        let start = self.text.len() as u32;
        self.text.push_str(text);
        Span { start, len: text.len() as u32 }
    }

    pub(crate) fn class(&self, row: &Row) -> &Class {
        &self.classes[row.class as usize]
    }

    /// Finds the row that names a token.
    pub(crate) fn row_of_token(&self, instrument_token: u32) -> Option<usize> {
        let hash = self.seed.hash_one(instrument_token);
        let row = self
            .tokens
            .find(hash, |&row| self.rows[row as usize].instrument_token == instrument_token)?;
        Some(*row as usize)
    }

    /// Finds `EXCHANGE:SYMBOL`, preferring an exact match, else ignoring case; of several rows, the
    /// first in the list.
    pub(crate) fn row_of_symbol(&self, key: &str) -> Option<usize> {
        // The order of the table is not that of the list.
        let best = self.rows_of_symbol(key).map(|(row, is_exact)| (!is_exact, row)).min();
        best.map(|(_, row)| row)
    }

    /// Iterates over the rows of `EXCHANGE:SYMBOL`, ignoring case, in any order, with whether the
    /// symbol is exactly this.
    pub(crate) fn rows_of_symbol<'a>(
        &'a self,
        key: &'a str,
    ) -> impl Iterator<Item = (usize, bool)> + 'a {
        let (exchange, symbol) = key.split_once(':').unwrap_or_default();
        let rows = self.symbols.iter_hash(symbol_hash(&self.seed, exchange, symbol));
        rows.filter_map(move |&row| {
            let has = self.text(self.rows[row as usize].tradingsymbol);
            let in_exchange = self.class(&self.rows[row as usize]).exchange;
            let is_named = in_exchange.as_str().eq_ignore_ascii_case(exchange)
                && has.eq_ignore_ascii_case(symbol);
            is_named.then_some((row as usize, has == symbol))
        })
    }

    /// Adds a row unless another row has its token and symbol. The row's strings are stored already,
    /// except its symbol.
    ///
    /// Of several rows of a token, the first without a series names it, else the first.
    pub(crate) fn add(&mut self, mut row: Row, symbol: &str) -> Result<(), Repeated> {
        let exchange = self.class(&row).exchange;
        let hash = symbol_hash(&self.seed, exchange.as_str(), symbol);
        let same = self.symbols.find(hash, |&other| {
            let other = &self.rows[other as usize];
            other.instrument_token == row.instrument_token
                && self.text(other.tradingsymbol) == symbol
                && self.class(other).exchange == exchange
        });
        if let Some(&row) = same {
            return Err(Repeated { row: row as usize });
        }
        row.tradingsymbol = self.add_text(symbol);
        let number = self.rows.len() as u32;
        let Self { text, rows, classes, tokens, symbols, seed } = self;
        rows.push(row);
        let symbol_of = |row: u32| {
            let span = rows[row as usize].tradingsymbol;
            &text[span.start as usize..(span.start + span.len) as usize]
        };
        let token_of = |row: u32| rows[row as usize].instrument_token;
        let token_hash = seed.hash_one(row.instrument_token);
        match tokens.find_mut(token_hash, |&other| token_of(other) == row.instrument_token) {
            Some(naming) if has_series(symbol_of(*naming)) && !has_series(symbol) => {
                *naming = number;
            }
            Some(_) => {}
            None => {
                tokens.insert_unique(token_hash, number, |&row| seed.hash_one(token_of(row)));
            }
        }
        symbols.insert_unique(hash, number, |&row| {
            let exchange = classes[rows[row as usize].class as usize].exchange;
            symbol_hash(seed, exchange.as_str(), symbol_of(row))
        });
        Ok(())
    }

    /// Releases unused capacity.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.rows.shrink_to_fit();
    }
}

/// Returns whether a symbol ends with a series, such as that of trade for trade in `INFY-BE`.
fn has_series(symbol: &str) -> bool {
    let is_code = |byte: &u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
    matches!(symbol.as_bytes(), [_, .., b'-', first, second] if is_code(first) && is_code(second))
}

/// Hashes `EXCHANGE:SYMBOL` ignoring case, without building that string.
fn symbol_hash(seed: &RandomState, exchange: &str, symbol: &str) -> u64 {
    let mut hasher = seed.build_hasher();
    // Portions must depend only on the string, because a hasher may distinguish how bytes are
    // split.
    let mut portion = [0_u8; 32];
    for part in [exchange.as_bytes(), symbol.as_bytes()] {
        for bytes in part.chunks(portion.len()) {
            let portion = &mut portion[..bytes.len()];
            portion.copy_from_slice(bytes);
            portion.make_ascii_uppercase();
            hasher.write(portion);
        }
        hasher.write_u8(b':');
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_takes_one_cache_line() {
        assert!(size_of::<Row>() <= 64);
    }
}
