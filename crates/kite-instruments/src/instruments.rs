//! The list: loading it and looking instruments up.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use crate::date::Date;
use crate::error::LoadError;
use crate::instrument::Instrument;
use crate::list::{List, Row};
use crate::load::{Loaded, load};
use crate::unpack::{MAX_LIST_BYTES, read_file, unpack};

/// Kite's instrument list: all instruments of one day, to be looked up, searched and filtered.
///
/// A clone is cheap and shares the list. Nothing in it changes.
#[derive(Clone, Default)]
pub struct Instruments {
    list: Arc<List>,
}

impl Instruments {
    pub(crate) fn new(list: List) -> Self {
        Self { list: Arc::new(list) }
    }

    /// Loads a list from Kite's CSV, plain or packed by gzip.
    ///
    /// Columns are found by their names in the first line, in any order; others are passed over.
    /// Rows that do not read, and those whose token or symbol an earlier row has, are left out and
    /// told in [`Loaded::problems`]: `Ok` does not mean that all rows are there.
    ///
    /// # Errors
    /// The bytes are empty, are no such list, are damaged gzip, or are more than 256 MiB
    /// ([`MAX_LIST_BYTES`]).
    ///
    /// # Examples
    /// ```
    /// use kite_instruments::{Decimal, Instruments};
    ///
    /// let csv = "\
    /// instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
    /// 408065,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,NSE,NSE
    /// bad,1594,INFY,INFOSYS,0.0,,0.0,0.05,1,EQ,BSE,BSE
    /// ";
    /// let loaded = Instruments::from_csv(csv)?;
    /// let infosys = loaded.instruments.by_symbol("NSE:INFY").ok_or("unknown")?;
    /// assert_eq!(infosys.instrument_token, 408_065);
    /// assert_eq!(
    ///     loaded.problems[0].to_string(),
    ///     r#"line 3: instrument_token is "bad", expected a whole number below 4294967296"#
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_csv(bytes: impl AsRef<[u8]>) -> Result<Loaded, LoadError> {
        load(&unpack(bytes.as_ref(), MAX_LIST_BYTES)?)
    }

    /// Loads a list from a file, as [`Instruments::from_csv`] does from its bytes.
    ///
    /// # Errors
    /// The file cannot be read or is no list; the error names the path.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Loaded, LoadError> {
        let path = path.as_ref();
        Self::from_csv(read_file(path, MAX_LIST_BYTES)?)
            .map_err(|source| LoadError::File { path: path.to_owned(), source: Box::new(source) })
    }

    /// Counts the instruments.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.rows.len()
    }

    /// Says whether there is no instrument.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.rows.is_empty()
    }

    /// Finds the instrument that a tick's token means.
    #[must_use]
    pub fn by_token(&self, instrument_token: u32) -> Option<Instrument<'_>> {
        self.list.row_of_token(instrument_token).map(|row| self.at(row))
    }

    /// Finds an instrument by exchange and trading symbol, as `NSE:INFY` or `NFO:NIFTY26DECFUT`.
    ///
    /// If none is written so, one that differs in upper and lower case is taken. Nothing is
    /// allocated.
    #[must_use]
    pub fn by_symbol(&self, symbol: &str) -> Option<Instrument<'_>> {
        self.list.row_of_symbol(symbol).map(|row| self.at(row))
    }

    /// Goes through all instruments in the order of the file.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Instrument<'_>> + ExactSizeIterator {
        self.list.rows.iter().map(|row| self.view(row))
    }

    /// Gives the days on which derivatives of an underlying expire, earliest first, each once.
    ///
    /// The name is that of the list's column `name`, whatever its case.
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
            exchange_token: row.exchange_token,
            tradingsymbol: self.list.text(row.tradingsymbol),
            name: self.list.text(row.name),
            last_price: row.last_price,
            expiry: row.expiry,
            strike: row.strike,
            tick_size: row.tick_size,
            lot_size: row.lot_size,
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
