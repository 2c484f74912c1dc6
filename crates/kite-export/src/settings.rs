//! The format of an export, and how prices and times are written.

use std::path::Path;

/// The format of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Format {
    /// Parquet, compressed with zstd.
    Parquet,
    /// CSV with a header row.
    Csv,
    /// One JSON object per line, without null fields.
    JsonLines,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 3] = [Self::Parquet, Self::Csv, Self::JsonLines];

    /// Returns the usual file name extension, without the dot.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Parquet => "parquet",
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
        }
    }

    /// Returns the format for a file name extension: `.parquet`, `.csv`, `.jsonl` or `.ndjson`.
    #[must_use]
    pub fn of_path(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        let named = Self::ALL.into_iter().find(|format| format.extension() == extension);
        named.or_else(|| (extension == "ndjson").then_some(Self::JsonLines))
    }
}

/// The type of prices in Parquet. CSV and JSON lines always carry their exact digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Prices {
    /// Decimals of 18 digits, 7 of them after the point: exact for every segment.
    #[default]
    Decimal,
    /// The nearest `f64`, which most numeric libraries process fastest.
    Float,
}

/// The format of times in CSV and JSON lines. Parquet has its own types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Times {
    /// `2026-11-23T03:45:00.123456789Z`, without a fraction if the exchange sends seconds.
    #[default]
    Rfc3339,
    /// Nanoseconds since the Unix epoch, as a number. JSON readers that parse numbers as `f64`
    /// round them.
    EpochNanoseconds,
}
