//! Errors for a whole list, and for parsing its types.

use std::io;
use std::path::PathBuf;

use crate::problem::{Column, Names};

/// An error loading a list.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// The input is empty, without a header.
    #[error("the list is empty: expected a CSV with a header of the columns {}", Names(&Column::REQUIRED))]
    Empty,
    /// The header lacks required columns.
    #[error(
        "the list lacks {} {}; its first line is {header:?}: is it Kite's instruments CSV?",
        if missing.len() == 1 { "the column" } else { "the columns" },
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
        "the gzip data is damaged or truncated after {unpacked_bytes} decompressed bytes: {source}; \
         fetch it again"
    )]
    Gzip {
        /// Number of bytes that could be decompressed.
        unpacked_bytes: u64,
        /// The decompressor's error.
        r#source: io::Error,
    },
    /// The list is larger than the limit.
    #[error("the list is larger than {limit_bytes} bytes decompressed")]
    TooLarge {
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// A file cannot be read.
    #[error("{} cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
    /// A file was read but is not a valid list.
    #[error("{} is not a valid instrument list: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        r#source: Box<LoadError>,
    },
}

/// An error creating or parsing a [`Date`](crate::Date).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DateError {
    /// The string is not a valid date.
    #[error("{text:?} is not a valid date; expected YYYY-MM-DD or DD-MM-YYYY")]
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

#[cfg(test)]
mod tests {
    use std::error::Error;

    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let io = || io::Error::other("the system's words");
        let path = || PathBuf::from("list.csv");
        for error in [
            LoadError::Empty,
            LoadError::MissingColumns { missing: vec![Column::ALL[0]], header: "x".into() },
            LoadError::RepeatedColumn { column: Column::ALL[0] },
            LoadError::Gzip { unpacked_bytes: 5, source: io() },
            LoadError::TooLarge { limit_bytes: 5 },
            LoadError::Read { path: path(), source: io() },
            LoadError::File { path: path(), source: Box::new(LoadError::Empty) },
        ] {
            let cause: Option<&dyn Error> = match &error {
                LoadError::Gzip { source, .. } | LoadError::Read { source, .. } => Some(source),
                LoadError::File { source, .. } => Some(source),
                LoadError::Empty
                | LoadError::MissingColumns { .. }
                | LoadError::RepeatedColumn { .. }
                | LoadError::TooLarge { .. } => None,
            };
            assert_chain(&error, cause);
        }
    }
}
