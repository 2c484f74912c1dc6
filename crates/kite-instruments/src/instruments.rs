//! The list, and look-ups in it.

use std::fmt;
use std::sync::Arc;

use crate::date::Date;
use crate::instrument::Instrument;
use crate::list::{List, Row};

/// Kite's instrument list of one day, with look-ups, search and filters.
///
/// Immutable. A clone is cheap and shares the list.
#[derive(Clone, Default)]
pub struct Instruments {
    list: Arc<List>,
}

impl Instruments {
    pub(crate) fn new(list: List) -> Self {
        Self { list: Arc::new(list) }
    }

    /// Returns the number of instruments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.rows.len()
    }

    /// Returns whether the list has no instruments.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.rows.is_empty()
    }

    /// Finds an instrument by the token that ticks carry.
    ///
    /// If a token has several symbols, the first without a series (`INFY` rather than `INFY-BE`)
    /// names it.
    #[must_use]
    pub fn by_token(&self, instrument_token: u32) -> Option<Instrument<'_>> {
        self.list.row_of_token(instrument_token).map(|row| self.at(row))
    }

    /// Finds an instrument by exchange and trading symbol, such as `NSE:INFY` or
    /// `NFO:NIFTY26DECFUT`.
    ///
    /// An exact match is preferred; otherwise case is ignored. If a symbol has several tokens, this
    /// is the first in the list ([`Instruments::all_by_symbol`] finds all). Does not allocate.
    #[must_use]
    pub fn by_symbol(&self, symbol: &str) -> Option<Instrument<'_>> {
        self.list.row_of_symbol(symbol).map(|row| self.at(row))
    }

    /// Finds all instruments of a symbol, in the order of the list, as [`Instruments::by_symbol`]
    /// does.
    ///
    /// A list has more than one only if it is wrong, or made of the lists of several days.
    #[must_use]
    pub fn all_by_symbol(&self, symbol: &str) -> Vec<Instrument<'_>> {
        let mut rows: Vec<_> = self.list.rows_of_symbol(symbol).collect();
        rows.sort_unstable();
        let has_exact = rows.iter().any(|&(_, is_exact)| is_exact);
        rows.retain(|&(_, is_exact)| is_exact == has_exact);
        rows.into_iter().map(|(row, _)| self.at(row)).collect()
    }

    /// Iterates over all instruments in the order of the file.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Instrument<'_>> + ExactSizeIterator {
        self.list.rows.iter().map(|row| self.view(row))
    }

    /// Returns the days on which derivatives of an underlying expire, in ascending order and
    /// without duplicates.
    ///
    /// `name` is matched with the list's column `name`, ignoring case.
    #[must_use]
    pub fn expiries(&self, name: &str) -> Vec<Date> {
        let of_name =
            self.list.rows.iter().filter(|row| self.list.text(row.name).eq_ignore_ascii_case(name));
        let mut days: Vec<Date> = of_name.filter_map(|row| row.expiry).collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    pub(crate) fn list(&self) -> &List {
        &self.list
    }

    pub(crate) fn at(&self, row: usize) -> Instrument<'_> {
        self.view(&self.list.rows[row])
    }

    pub(crate) fn view(&self, row: &Row) -> Instrument<'_> {
        let class = self.list.class(row);
        Instrument {
            instrument_token: row.instrument_token,
            exchange_token: (row.exchange_token != 0).then_some(row.exchange_token),
            tradingsymbol: self.list.text(row.tradingsymbol),
            name: self.list.text(row.name),
            last_price: row.last_price.unless_zero(),
            expiry: row.expiry,
            strike: row.strike.unless_zero(),
            tick_size: row.tick_size.unless_zero(),
            lot_size: (row.lot_size != 0).then_some(row.lot_size),
            instrument_type: class.instrument_type,
            segment: self.list.text(class.segment),
            exchange: class.exchange,
        }
    }
}

impl fmt::Debug for Instruments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instruments").field("len", &self.len()).finish_non_exhaustive()
    }
}
