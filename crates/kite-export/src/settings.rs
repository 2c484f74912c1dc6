//! What an export can be asked for: the format, and how prices and times are written.

use std::path::Path;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Parquet, compressed with zstd.
    Parquet,
    /// CSV with a header row.
    Csv,
    /// One JSON object a line, without the fields that are null.
    JsonLines,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Parquet, Self::Csv, Self::JsonLines];

    /// Gives the usual ending of such a file's name, without the point.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    /// Gives the format that a file's name asks for: `.parquet`, `.csv`, `.jsonl` or `.ndjson`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let named = Self::ALL.into_iter().find(|format| format.extension() == extension);
        named.or_else(|| (extension == "ndjson").then_some(Self::JsonLines))
    }
}

/// What prices are in Parquet. CSV and JSON lines always carry their exact digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prices {
    /// Decimals of 18 digits, 7 of them behind the point: exact for every segment.
    #[default]
    Decimal,
    /// The nearest `f64`: what most numeric libraries are fastest with.
    Float,
}

/// How times are written in CSV and JSON lines. Parquet has types for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Times {
    /// `2026-11-23T03:45:00.123456789Z`, and without a fraction where the exchange gives seconds.
    #[default]
    Rfc3339,
    /// Nanoseconds since the Unix epoch, a number. JSON readers that hold numbers as `f64` round
    /// them.
    EpochNanoseconds,
}
