//! What can go wrong with a whole list, and with texts of its types.

use std::io;
use std::path::PathBuf;

use crate::problem::{Column, Names};

/// Why a list was not loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// There is not even a header.
    #[error("the list is empty: expected a CSV with a header of {} columns", Column::ALL.len())]
    Empty,
    /// The header lacks columns.
    #[error(
        "the list lacks the columns {}; its first line is {header:?}: is it Kite's instruments CSV?",
        Names(missing)
    )]
    MissingColumns {
        /// The columns that are needed and not there.
        missing: Vec<Column>,
        /// The beginning of the first line.
        header: String,
    },
    /// The header names a column twice, so that it is unclear which holds the value.
    #[error("the header names the column {column} twice")]
    RepeatedColumn {
        /// The column.
        column: Column,
    },
    /// The packed data is damaged or cut.
    #[error("the gzip data is damaged or cut after {unpacked_bytes} unpacked bytes: get it again")]
    Gzip {
        /// The bytes that could be unpacked.
        unpacked_bytes: u64,
        /// What the unpacker says.
        source: io::Error,
    },
    /// The list is larger than a list can sensibly be.
    #[error("the list is larger than {limit_bytes} bytes unpacked")]
    TooLarge {
        /// The most bytes that are taken.
        limit_bytes: u64,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file was read and is no list.
    #[error("{} is no instrument list that loads", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why it is no list.
        source: Box<LoadError>,
    },
}

/// Why a text is no [`Date`](crate::Date).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateError {
    /// The text does not read as a day.
    #[error("{text:?} is no day of the calendar as YYYY-MM-DD")]
    NotADate {
        /// The text.
        text: String,
    },
    /// The calendar has no such day.
    #[error("there is no day {year:04}-{month:02}-{day:02} (years are 1 to 9999)")]
    NoSuchDay {
        /// The year.
        year: u16,
        /// The month.
        month: u8,
        /// The day of the month.
        day: u8,
    },
}

/// Why a text is no [`Decimal`](crate::Decimal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// The text is no number of digits and at most one point.
    #[error("not a decimal number")]
    NotANumber,
    /// The number has more than seven decimals.
    #[error("more than 7 decimals")]
    TooFine,
    /// The number is too large to be kept exactly.
    #[error("beyond 922 billion")]
    OutOfRange,
}
