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
    /// One JSON object per line, with every column as a key and `null` for a null.
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
    /// A number since the Unix epoch, in the [`TimeUnit`] of the export. JSON readers that parse
    /// numbers as `f64` round nanoseconds.
    Epoch,
}

/// The precision of receive times. The exchange's own times are whole seconds in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeUnit {
    /// Nanoseconds, as on the tape.
    #[default]
    Nanoseconds,
    /// Microseconds, rounded down, for readers without nanoseconds, such as Spark and Java.
    Microseconds,
}

/// The time zone in which times are written. The instants are the same in both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum TimeZone {
    /// Coordinated Universal Time.
    #[default]
    Utc,
    /// Indian Standard Time, UTC+05:30 all year: `2026-11-23T09:15:00+05:30` in text,
    /// `Asia/Kolkata` in Parquet.
    Ist,
}

impl TimeZone {
    /// Returns the name in the IANA time zone database, as in the schema of Parquet files.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Utc => "UTC",
            Self::Ist => "Asia/Kolkata",
        }
    }
}

/// How times are written, in every format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct TimeFormat {
    pub(crate) text: Times,
    pub(crate) unit: TimeUnit,
    pub(crate) zone: TimeZone,
}
