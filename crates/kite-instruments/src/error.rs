//! Errors for a whole list, and for parsing its types.

use std::io;
use std::path::PathBuf;

use crate::problem::{Column, Names};

/// An error loading a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The input is empty, without a header.
    #[error("the list is empty: expected a CSV with a header of {} columns", Column::ALL.len())]
    Empty,
    /// The header lacks columns.
    #[error(
        "the list lacks the columns {}; its first line is {header:?}: is it Kite's instruments CSV?",
        Names(missing)
    )]
    MissingColumns {
        /// The missing columns.
        missing: Vec<Column>,
        /// The beginning of the first line.
        header: String,
    },
    /// The header names a column twice, so it is ambiguous which one to read.
    #[error("the header names the column {column} twice")]
    RepeatedColumn {
        /// The column.
        column: Column,
    },
    /// The compressed data is damaged or truncated.
    #[error(
        "the gzip data is damaged or truncated after {unpacked_bytes} decompressed bytes: fetch it again"
    )]
    Gzip {
        /// Number of bytes that could be decompressed.
        unpacked_bytes: u64,
        /// The decompressor's error.
        source: io::Error,
    },
    /// The list is larger than the limit.
    #[error("the list is larger than {limit_bytes} bytes decompressed")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// A file cannot be read.
    #[error("{} cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// A file was read but is not a valid list.
    #[error("{} is not a valid instrument list", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: Box<LoadError>,
    },
}

/// An error creating or parsing a [`Date`](crate::Date).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateError {
    /// The string is not a valid date.
    #[error("{text:?} is not a valid date; expected YYYY-MM-DD")]
    NotADate {
        /// The string.
        text: String,
    },
    /// The day does not exist.
    #[error("the date {year:04}-{month:02}-{day:02} does not exist (years are 1 to 9999)")]
    NoSuchDay {
        /// The year.
        year: u16,
        /// The month.
        month: u8,
        /// The day of the month.
        day: u8,
    },
}

/// An error parsing a [`Decimal`](crate::Decimal).
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecimalError {
    /// The string is not digits with at most one decimal point.
    #[error("not a decimal number")]
    NotANumber,
    /// The number has more than seven decimals.
    #[error("more than 7 decimals")]
    TooFine,
    /// The number is too large to be stored exactly.
    #[error("larger than 922 billion")]
    OutOfRange,
}
