//! Symbols of instruments, looked up once for each instrument and day.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use kite_wire::ist::Day;

/// Number of instruments without a symbol that are remembered. A faulty server may send any tokens;
/// beyond this they are looked up each time.
const MOST_UNNAMED: usize = 65_536;

/// Returns the symbol of an instrument token on a day in India, such as `NSE:INFY`.
type Lookup = dyn Fn(Day, u32) -> Option<String> + Send + Sync;

/// The source of symbols.
#[derive(Clone)]
pub(crate) struct Symbols(Arc<Lookup>);

impl Symbols {
    pub(crate) fn new(lookup: impl Fn(Day, u32) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    pub(crate) fn cached(&self) -> CachedSymbols {
        CachedSymbols {
            symbols: self.clone(),
            keys: HashMap::new(),
            numbers: HashMap::new(),
            names: Vec::new(),
            unnamed: 0,
        }
    }
}

impl fmt::Debug for Symbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Symbols")
    }
}

/// Symbols found so far, numbered in order of first use.
#[derive(Debug)]
pub(crate) struct CachedSymbols {
    symbols: Symbols,
    /// By day, since a token is reused for another instrument after its contract has expired.
    keys: HashMap<(Day, u32), Option<i32>>,
    numbers: HashMap<String, i32>,
    names: Vec<String>,
    /// Number of keys without a symbol.
    unnamed: usize,
}

impl CachedSymbols {
    /// Returns the number of the symbol that a token had at a time.
    pub(crate) fn key(&mut self, recv_unix_ns: u64, instrument_token: u32) -> Option<i32> {
        let day = Day::at_unix_ns(recv_unix_ns);
        if let Some(key) = self.keys.get(&(day, instrument_token)) {
            return *key;
        }
        let key = (self.symbols.0)(day, instrument_token).and_then(|name| self.number(name));
        if key.is_some() || self.unnamed < MOST_UNNAMED {
            self.keys.insert((day, instrument_token), key);
            self.unnamed += usize::from(key.is_none());
        }
        key
    }

    /// Returns the number of a name. The same instrument has one number on all days.
    fn number(&mut self, name: String) -> Option<i32> {
        if let Some(&number) = self.numbers.get(&name) {
            return Some(number);
        }
        // Beyond 2³¹ names are omitted.
        let number = i32::try_from(self.names.len()).ok()?;
        self.names.push(name.clone());
        self.numbers.insert(name, number);
        Some(number)
    }

    pub(crate) fn name(&mut self, recv_unix_ns: u64, instrument_token: u32) -> Option<&str> {
        let key = usize::try_from(self.key(recv_unix_ns, instrument_token)?).ok()?;
        self.names.get(key).map(String::as_str)
    }

    /// Returns the names by their numbers.
    #[cfg(feature = "files")]
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY_NS: u64 = 86_400_000_000_000;

    #[test]
    fn any_number_of_tokens_without_a_symbol_takes_bounded_memory() {
        let symbols = Symbols::new(|_, token| (token % 2 == 0).then(|| "INFY".to_owned()));
        let mut cached = symbols.cached();
        for token in (1..300_000).step_by(2).chain([2, 1, 299_999]) {
            assert_eq!(cached.name(0, token).is_some(), token == 2);
        }
        assert_eq!((cached.keys.len(), cached.names().len()), (MOST_UNNAMED + 1, 1));
    }

    #[test]
    fn a_reused_token_has_the_symbol_of_its_day_and_a_symbol_has_one_number() {
        let first = Day::at_unix_ns(0);
        let symbols = Symbols::new(move |day, token| match (day == first, token) {
            (true, 1) => Some("OCT".to_owned()),
            (false, 1) => Some("DEC".to_owned()),
            (_, 2) => Some("INFY".to_owned()),
            _ => None,
        });
        let mut cached = symbols.cached();
        assert_eq!(cached.name(0, 1), Some("OCT"));
        assert_eq!(cached.name(DAY_NS, 1), Some("DEC"));
        assert_eq!(cached.key(0, 2), cached.key(DAY_NS, 2));
        assert_eq!(cached.name(0, 3), None);
        assert_eq!(cached.names(), ["OCT", "DEC", "INFY"]);
    }
}
