//! The file names of a recorder: `kite-2026-01-31.ktape`, then `kite-2026-01-31.1.ktape`.

use std::path::Path;

use kite_wire::ist::Day;

/// The extension of a tape's file name.
pub const EXTENSION: &str = "ktape";

/// Returns the name of a recorder's file.
pub(crate) fn file_name(prefix: &str, day: Day, number: u32) -> String {
    match number {
        0 => format!("{prefix}-{day}.{EXTENSION}"),
        _ => format!("{prefix}-{day}.{number}.{EXTENSION}"),
    }
}

/// The parts of a recorder's file name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name<'n> {
    pub(crate) prefix: &'n str,
    /// The day in India, such as `2026-01-31`, so that text order is time order.
    pub(crate) day: &'n str,
    /// Its number among the files of the day.
    pub(crate) number: u32,
}

impl<'n> Name<'n> {
    /// Parses a file name; `None` if it is not a recorder's.
    pub(crate) fn of(path: &'n Path) -> Option<Self> {
        let stem = path.file_name()?.to_str()?.strip_suffix(EXTENSION)?.strip_suffix('.')?;
        if let Some((stem, number)) = stem.rsplit_once('.')
            && let Ok(number @ 1..) = number.parse()
            && let Some((prefix, day)) = split_day(stem)
        {
            return Some(Self { prefix, day, number });
        }
        let (prefix, day) = split_day(stem)?;
        Some(Self { prefix, day, number: 0 })
    }
}

/// Splits `kite-2026-01-31` before its day.
fn split_day(stem: &str) -> Option<(&str, &str)> {
    let (prefix, day) = stem.split_at_checked(stem.len().checked_sub("2026-01-31".len())?)?;
    let is_day = day.bytes().enumerate().all(|(at, byte)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    });
    is_day.then_some((prefix.strip_suffix('-')?, day))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_as_written() {
        let day = Day::at_unix_ns(1_767_585_600_000_000_000);
        for (prefix, number) in [("kite", 0), ("kite", 1), ("my.tapes-2", 12), ("a-2025-01-01", 3)]
        {
            let name = file_name(prefix, day, number);
            let read = Name::of(Path::new(&name)).unwrap();
            assert_eq!(read, Name { prefix, day: "2026-01-05", number }, "{name}");
        }
    }

    #[test]
    fn other_names_are_not_parsed() {
        for name in ["day.ktape", "kite-2026-01-05.txt", "2026-01-05.ktape", "kite-2026-1-5.ktape"]
        {
            assert_eq!(Name::of(Path::new(name)), None, "{name}");
        }
    }
}
