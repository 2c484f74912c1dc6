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

/// The row that already has the token or symbol of a rejected row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duplicate {
    Token { by: usize },
    Symbol { by: usize },
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

    pub(crate) fn row_of_token(&self, instrument_token: u32) -> Option<usize> {
        let hash = self.seed.hash_one(instrument_token);
        let row = self
            .tokens
            .find(hash, |&row| self.rows[row as usize].instrument_token == instrument_token)?;
        Some(*row as usize)
    }

    /// Finds `EXCHANGE:SYMBOL`, preferring an exact match, else ignoring case.
    pub(crate) fn row_of_symbol(&self, key: &str) -> Option<usize> {
        let (exchange, symbol) = key.split_once(':')?;
        let mut folded = None;
        for &row in self.symbols.iter_hash(symbol_hash(&self.seed, exchange, symbol)) {
            let row = row as usize;
            let has = self.text(self.rows[row].tradingsymbol);
            let in_exchange = self.class(&self.rows[row]).exchange;
            if in_exchange.as_str().eq_ignore_ascii_case(exchange)
                && has.eq_ignore_ascii_case(symbol)
            {
                if has == symbol {
                    return Some(row);
                }
                // Among several spellings the first in the list, regardless of the order of the
                // table.
                folded = Some(folded.map_or(row, |earlier: usize| earlier.min(row)));
            }
        }
        folded
    }

    /// Adds a row unless another row has its token or symbol. The row's strings are stored already,
    /// except its symbol.
    pub(crate) fn add(&mut self, mut row: Row, symbol: &str) -> Result<(), Duplicate> {
        if let Some(by) = self.row_of_token(row.instrument_token) {
            return Err(Duplicate::Token { by });
        }
        let exchange = self.class(&row).exchange;
        let hash = symbol_hash(&self.seed, exchange.as_str(), symbol);
        let same = self.symbols.find(hash, |&other| {
            let other = &self.rows[other as usize];
            self.text(other.tradingsymbol) == symbol && self.class(other).exchange == exchange
        });
        if let Some(&by) = same {
            return Err(Duplicate::Symbol { by: by as usize });
        }
        row.tradingsymbol = self.add_text(symbol);
        let number = self.rows.len() as u32;
        let Self { text, rows, classes, tokens, symbols, seed } = self;
        rows.push(row);
        tokens.insert_unique(seed.hash_one(row.instrument_token), number, |&row| {
            seed.hash_one(rows[row as usize].instrument_token)
        });
        symbols.insert_unique(hash, number, |&row| {
            let row = &rows[row as usize];
            let start = row.tradingsymbol.start as usize;
            let symbol = &text[start..start + row.tradingsymbol.len as usize];
            symbol_hash(seed, classes[row.class as usize].exchange.as_str(), symbol)
        });
        Ok(())
    }

    /// Releases unused capacity.
    pub(crate) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.rows.shrink_to_fit();
    }
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
