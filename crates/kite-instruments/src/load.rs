//! Loads a list from its bytes. Finds columns by name; skips and reports invalid rows.

mod records;

use std::collections::HashMap;
use std::path::Path;

use kite_wire::Amount;
use kite_wire::plain::without_mark;

use self::records::{Fields, Record, Records};
use crate::date::Date;
use crate::error::LoadError;
use crate::exchange::{Exchange, InstrumentType};
use crate::instruments::Instruments;
use crate::list::{Class, List, Row, Span, Stored};
use crate::problem::{Column, Fault, Problem, shown};
use crate::unpack::{MAX_LIST_BYTES, read_file, unpack};

/// Maximum number of problems kept for one list; further ones are only counted.
pub const MAX_PROBLEMS: usize = 100;

/// A list and the problems in its file.
///
/// Each row is either in `instruments` or counted in `problem_count`.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Loaded {
    /// The list.
    pub instruments: Instruments,
    /// The problems of the skipped rows, in the order of the file; at most the first 100
    /// ([`MAX_PROBLEMS`]).
    pub problems: Vec<Problem>,
    /// Number of skipped rows, including those beyond the first 100.
    pub problem_count: u64,
}

impl Loaded {
    /// Returns the number of rows in the file, including skipped ones.
    #[must_use]
    pub fn row_count(&self) -> u64 {
        self.instruments.len() as u64 + self.problem_count
    }
}

impl Instruments {
    /// Loads a list from Kite's CSV, plain or compressed with gzip.
    ///
    /// Columns are found by their names in the first line, in any order; unknown columns are
    /// ignored. Only the token, the exchange and the symbol are required; what else the list lacks
    /// is absent from its instruments. A byte order mark and blanks around values are removed.
    ///
    /// Rows that are invalid, or that repeat both the token and the symbol of an earlier row, are
    /// skipped and reported in [`Loaded::problems`], so `Ok` does not mean that all rows were
    /// loaded.
    ///
    /// # Errors
    /// Returns an error if the bytes are empty, are not such a list, are corrupt gzip data, or are
    /// more than 256 MiB ([`MAX_LIST_BYTES`]).
    ///
    /// # Examples
    /// ```
    /// use kite_instruments::Instruments;
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
    ///     r#"line 3: instrument_token is "bad"; expected an integer up to 4,294,967,295"#
    /// );
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn from_csv(bytes: impl AsRef<[u8]>) -> Result<Loaded, LoadError> {
        load(&unpack(bytes.as_ref(), MAX_LIST_BYTES)?)
    }

    /// Loads a list from a file. See [`Instruments::from_csv`].
    ///
    /// # Errors
    /// Returns an error, which names the path, if the file cannot be read or is not a valid list.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Loaded, LoadError> {
        let path = path.as_ref();
        Self::from_csv(read_file(path, MAX_LIST_BYTES)?)
            .map_err(|source| LoadError::File { path: path.to_owned(), source: Box::new(source) })
    }
}

/// Loads plain CSV.
pub(crate) fn load(bytes: &[u8]) -> Result<Loaded, LoadError> {
    let bytes = without_mark(bytes);
    let mut records = Records::new(&bytes);
    let places = match records.next() {
        None => return Err(LoadError::Empty),
        Some(header) => Places::find(&header)?,
    };
    // A row of the full list has about 75 bytes; the estimate need not be exact.
    let mut loader = Loader::new(bytes.len() / 75 + 1);
    while let Some(record) = records.next() {
        loader.take(&record, &places);
    }
    Ok(loader.finish())
}

/// Position of each column in a row; `None` if the list lacks it.
struct Places {
    at: [Option<usize>; Column::ALL.len()],
    field_count: usize,
}

impl Places {
    fn find(header: &Record<'_>) -> Result<Self, LoadError> {
        let field_count = header.fields.map_or(0, Fields::len);
        let mut at = [None; Column::ALL.len()];
        for column in Column::ALL {
            // Kite's name of the column precedes others that may stand for it.
            for name in column.names() {
                let is_named = |place: &usize| {
                    header
                        .fields
                        .is_some_and(|it| it.get(*place).eq_ignore_ascii_case(name.as_bytes()))
                };
                let mut places = (0..field_count).filter(is_named);
                let place = places.next();
                if places.next().is_some() {
                    return Err(LoadError::RepeatedColumn { column });
                }
                at[column as usize] = at[column as usize].or(place);
            }
        }
        let is_missing = |column: &Column| at[*column as usize].is_none();
        let missing: Vec<Column> = Column::REQUIRED.into_iter().filter(is_missing).collect();
        if missing.is_empty() {
            return Ok(Self { at, field_count });
        }
        Err(LoadError::MissingColumns { missing, header: shown(header.line.trim_ascii_end()) })
    }
}

/// The fields of one row, by column.
struct Cells<'a> {
    fields: Fields<'a>,
    places: &'a Places,
}

impl<'a> Cells<'a> {
    /// Returns a value; empty if the list lacks it.
    fn bytes(&self, column: Column) -> &'a [u8] {
        self.places.at[column as usize].map_or(b"", |place| self.fields.get(place))
    }

    fn text(&self, column: Column) -> Result<&'a str, Fault> {
        let bytes = self.bytes(column);
        std::str::from_utf8(bytes).map_err(|_| Fault::value(column, bytes, "valid UTF-8"))
    }

    fn instrument_token(&self) -> Result<u32, Fault> {
        let bytes = self.bytes(Column::InstrumentToken);
        integer(bytes).ok_or_else(|| {
            Fault::value(Column::InstrumentToken, bytes, "an integer up to 4,294,967,295")
        })
    }

    /// Parses an integer. An empty field counts as 0, which Kite also writes for a missing value.
    fn integer(&self, column: Column) -> Result<u32, Fault> {
        match self.bytes(column) {
            [] => Ok(0),
            bytes => integer(bytes).ok_or_else(|| {
                let expected = "an integer up to 4,294,967,295, or an empty field";
                Fault::value(column, bytes, expected)
            }),
        }
    }

    /// Parses an amount. An empty field counts as 0, which Kite also writes for a missing value.
    fn amount(&self, column: Column) -> Result<Stored, Fault> {
        let bytes = self.bytes(column);
        let amount = if bytes.is_empty() { Some(Amount::ZERO) } else { number(bytes) };
        amount.and_then(Stored::new).ok_or_else(|| {
            let expected = "a number up to 922 billion with at most 7 decimals, such as 105.25, or an empty field";
            Fault::value(column, bytes, expected)
        })
    }

    fn expiry(&self) -> Result<Option<Date>, Fault> {
        match self.bytes(Column::Expiry) {
            [] => Ok(None),
            bytes => Date::from_ascii(bytes).map(Some).ok_or_else(|| {
                let expected = "a date such as 2026-11-26 or 26-11-2026, or an empty field";
                Fault::value(Column::Expiry, bytes, expected)
            }),
        }
    }
}

fn number(bytes: &[u8]) -> Option<Amount> {
    Amount::from_ascii(bytes).ok()
}

/// Parses an unsigned integer, which some producers write as `50.0`.
fn integer(bytes: &[u8]) -> Option<u32> {
    whole(bytes).or_else(|| {
        let (units, rupee) = (number(bytes)?.units(), Amount::UNITS_PER_RUPEE);
        if units % rupee == 0 { u32::try_from(units / rupee).ok() } else { None }
    })
}

/// Parses an unsigned integer; only ASCII digits are allowed.
fn whole(text: &[u8]) -> Option<u32> {
    let mut number = None;
    for &byte in text {
        let digit = byte.is_ascii_digit().then(|| u32::from(byte - b'0'))?;
        number = Some(number.unwrap_or(0_u32).checked_mul(10)?.checked_add(digit)?);
    }
    number
}

/// Builds the list.
struct Loader {
    list: List,
    /// The line number of each row.
    lines: Vec<u64>,
    names: HashMap<Box<str>, Span>,
    /// The classes, by exchange, segment and type as written.
    classes: HashMap<[Box<[u8]>; 3], u32>,
    /// The fields and class of the previous row; usually the next row has the same.
    class_before: Option<([Box<[u8]>; 3], u32)>,
    /// The name of the previous row; usually the next row has the same.
    name_before: Span,
    problems: Vec<Problem>,
    problem_count: u64,
}

impl Loader {
    fn new(rows: usize) -> Self {
        Self {
            list: List::with_capacity(rows),
            lines: Vec::with_capacity(rows),
            names: HashMap::new(),
            classes: HashMap::new(),
            class_before: None,
            name_before: Span::default(),
            problems: Vec::new(),
            problem_count: 0,
        }
    }

    /// Adds a row to the list, or its fault to the problems.
    fn take(&mut self, record: &Record<'_>, places: &Places) {
        if let Err(fault) = self.add(record, places) {
            self.problem_count += 1;
            if self.problems.len() < MAX_PROBLEMS {
                self.problems.push(Problem { line: record.line_number, fault });
            }
        }
    }

    fn add(&mut self, record: &Record<'_>, places: &Places) -> Result<(), Fault> {
        let Some(fields) = record.fields else {
            return Err(Fault::OpenQuote { beginning: shown(record.line.trim_ascii_end()) });
        };
        let (found, expected) = (fields.len(), places.field_count);
        if found != expected {
            return Err(Fault::FieldCount { found, expected });
        }
        let cells = Cells { fields, places };
        let instrument_token = cells.instrument_token()?;
        let exchange_token = cells.integer(Column::ExchangeToken)?;
        let symbol = cells.text(Column::Tradingsymbol)?;
        if symbol.is_empty() {
            return Err(Fault::value(Column::Tradingsymbol, b"", "a symbol"));
        }
        let name = cells.text(Column::Name)?;
        let last_price = cells.amount(Column::LastPrice)?;
        let expiry = cells.expiry()?;
        let strike = cells.amount(Column::Strike)?;
        let tick_size = cells.amount(Column::TickSize)?;
        let lot_size = cells.integer(Column::LotSize)?;
        // Intern these last, because entries are not removed again if the row is rejected.
        let class = self.class(&cells)?;
        let name = self.name(name);
        let row = Row {
            last_price,
            strike,
            tick_size,
            instrument_token,
            exchange_token,
            tradingsymbol: Span::default(),
            name,
            expiry,
            lot_size,
            class,
        };
        self.list.add(row, symbol).map_err(|repeated| Fault::Repeated {
            symbol: format!("{}:{symbol}", self.list.classes[class as usize].exchange),
            instrument_token,
            first_line: self.lines[repeated.row],
        })?;
        self.lines.push(record.line_number);
        Ok(())
    }

    fn name(&mut self, name: &str) -> Span {
        if self.list.text(self.name_before) == name {
            return self.name_before;
        }
        let span = match self.names.get(name) {
            Some(&span) => span,
            None => {
                let span = self.list.add_text(name);
                self.names.insert(name.into(), span);
                span
            }
        };
        self.name_before = span;
        span
    }

    fn class(&mut self, cells: &Cells<'_>) -> Result<u32, Fault> {
        let fields = [Column::Exchange, Column::Segment, Column::InstrumentType]
            .map(|column| cells.bytes(column));
        if let Some((before, class)) = &self.class_before
            && before.iter().zip(fields).all(|(before, field)| **before == *field)
        {
            return Ok(*class);
        }
        let key = fields.map(Box::from);
        let class = match self.classes.get(&key) {
            Some(&class) => class,
            None => {
                let class = self.new_class(cells)?;
                self.classes.insert(key.clone(), class);
                class
            }
        };
        self.class_before = Some((key, class));
        Ok(class)
    }

    fn new_class(&mut self, cells: &Cells<'_>) -> Result<u32, Fault> {
        let name = cells.text(Column::Exchange)?;
        // A colon would make `EXCHANGE:SYMBOL` ambiguous.
        let exchange = Some(name)
            .filter(|name| !name.is_empty() && !name.contains(':'))
            .and_then(Exchange::from_name)
            .ok_or_else(|| {
                let expected = "an exchange such as NSE, at most 15 bytes, without a colon";
                Fault::value(Column::Exchange, name.as_bytes(), expected)
            })?;
        let name = cells.text(Column::InstrumentType)?;
        let instrument_type = InstrumentType::from_name(name).ok_or_else(|| {
            let expected = "a type such as EQ, FUT, CE or PE, at most 15 bytes";
            Fault::value(Column::InstrumentType, name.as_bytes(), expected)
        })?;
        let segment = cells.text(Column::Segment)?;
        let segment = self.list.add_text(segment);
        let class = self.list.classes.len() as u32;
        self.list.classes.push(Class { exchange, instrument_type, segment });
        Ok(class)
    }

    fn finish(mut self) -> Loaded {
        self.list.shrink();
        Loaded {
            instruments: Instruments::new(self.list),
            problems: self.problems,
            problem_count: self.problem_count,
        }
    }
}
