//! Partitions of a table, as directories that name a key and its value, like those of Hive.

use std::collections::HashMap;

use kite_wire::ist::Day;

use crate::symbols::CachedSymbols;

/// A key by which a table is divided into directories.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Partition {
    /// India's date of the receive time: `date=2026-11-23`.
    Date,
    /// The symbol, percent-encoded: `symbol=NSE%3AINFY`. An instrument without a symbol has its
    /// token in place of it, `symbol=TOKEN%3A408065`: a null would be `__HIVE_DEFAULT_PARTITION__`,
    /// with which pyarrow, and therefore pandas, cannot read the partitions together.
    Symbol,
}

impl Partition {
    /// Returns the key, which readers show as a column.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::Symbol => "symbol",
        }
    }
}

/// Numbers partitions in the order in which they first appear.
#[derive(Debug)]
pub(crate) struct Partitions {
    by: Vec<Partition>,
    symbols: Option<CachedSymbols>,
    /// By day, which also determines the symbol of a token, and by token or 0.
    by_row: HashMap<(Day, u32), usize>,
    by_directory: HashMap<String, usize>,
}

impl Partitions {
    pub(crate) fn new(by: Vec<Partition>, symbols: Option<CachedSymbols>) -> Self {
        Self { by, symbols, by_row: HashMap::new(), by_directory: HashMap::new() }
    }

    /// Returns the number of a row's partition, and its directory if it is new.
    #[inline]
    pub(crate) fn of(
        &mut self,
        recv_unix_ns: u64,
        instrument_token: u32,
    ) -> (usize, Option<String>) {
        let by = |key| self.by.contains(&key);
        let day = Day::at_unix_ns(recv_unix_ns);
        let row = (day, if by(Partition::Symbol) { instrument_token } else { 0 });
        if let Some(&number) = self.by_row.get(&row) {
            return (number, None);
        }
        let directory = self.directory(recv_unix_ns, instrument_token);
        let next = self.by_directory.len();
        let number = *self.by_directory.entry(directory.clone()).or_insert(next);
        self.by_row.insert(row, number);
        (number, (number == next).then_some(directory))
    }

    fn directory(&mut self, recv_unix_ns: u64, instrument_token: u32) -> String {
        let mut parts = Vec::with_capacity(self.by.len());
        for key in &self.by {
            let value = match key {
                Partition::Date => Day::at_unix_ns(recv_unix_ns).to_string(),
                Partition::Symbol => {
                    let symbols = self.symbols.as_mut();
                    let symbol = symbols.and_then(|it| it.name(recv_unix_ns, instrument_token));
                    match symbol.filter(|name| !name.is_empty()) {
                        Some(name) => encoded(name),
                        // Not the token alone, since readers would expect numbers in all partitions.
                        None => encoded(&format!("TOKEN:{instrument_token}")),
                    }
                }
            };
            parts.push(format!("{}={value}", key.key()));
        }
        parts.join("/")
    }
}

/// Percent-encodes everything but letters, digits and `-._~`, as pyarrow does.
fn encoded(value: &str) -> String {
    let mut out = String::with_capacity(value.len());
    for byte in value.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(byte.into());
            }
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::symbols::Symbols;

    /// Midnight in India before 23 November 2026, in nanoseconds since the Unix epoch.
    const MIDNIGHT: u64 = 1_795_372_200_000_000_000;

    fn partitions(by: &[Partition]) -> Partitions {
        let symbols = Symbols::new(|_, token| match token {
            1 => Some("NSE:NIFTY 50".to_owned()),
            2 => Some("NSE:M&M/₹".to_owned()),
            3 => Some(String::new()),
            _ => None,
        });
        Partitions::new(by.to_vec(), Some(symbols.cached()))
    }

    #[test]
    fn directories_are_those_of_hive_with_the_date_in_india() {
        let mut it = partitions(&[Partition::Date, Partition::Symbol]);
        let new = |directory: &str| Some(directory.to_owned());
        assert_eq!(it.of(MIDNIGHT, 1), (0, new("date=2026-11-23/symbol=NSE%3ANIFTY%2050")));
        assert_eq!(it.of(MIDNIGHT - 1, 1), (1, new("date=2026-11-22/symbol=NSE%3ANIFTY%2050")));
        assert_eq!(it.of(MIDNIGHT, 2).1, new("date=2026-11-23/symbol=NSE%3AM%26M%2F%E2%82%B9"));
        assert_eq!(it.of(MIDNIGHT, 3).1, new("date=2026-11-23/symbol=TOKEN%3A3"), "an empty name");
        assert_eq!(it.of(MIDNIGHT, 4), (4, new("date=2026-11-23/symbol=TOKEN%3A4")));
        assert_eq!(it.of(MIDNIGHT + 1, 1), (0, None));
    }

    #[test]
    fn keys_that_are_not_asked_for_do_not_divide() {
        let mut by_date = partitions(&[Partition::Date]);
        assert_eq!(by_date.of(MIDNIGHT, 1), (0, Some("date=2026-11-23".to_owned())));
        assert_eq!(by_date.of(MIDNIGHT, 2), (0, None));
        let mut by_symbol = partitions(&[Partition::Symbol]);
        assert_eq!(by_symbol.of(MIDNIGHT, 9).0, by_symbol.of(MIDNIGHT - 1, 9).0);
    }
}
