//! Symbols of instruments, looked up once each.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Returns the symbol of an instrument token, such as `NSE:INFY`.
type Lookup = dyn Fn(u32) -> Option<String> + Send + Sync;

/// The source of symbols.
#[derive(Clone)]
pub(crate) struct Symbols(Arc<Lookup>);

impl Symbols {
    pub(crate) fn new(lookup: impl Fn(u32) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    pub(crate) fn cached(&self) -> CachedSymbols {
        CachedSymbols { symbols: self.clone(), keys: HashMap::new(), names: Vec::new() }
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
    keys: HashMap<u32, Option<i32>>,
    names: Vec<String>,
}

impl CachedSymbols {
    /// Returns the number of the symbol.
    pub(crate) fn key(&mut self, instrument_token: u32) -> Option<i32> {
        *self.keys.entry(instrument_token).or_insert_with(|| {
            let name = (self.symbols.0)(instrument_token)?;
            // At most as many names as tokens; beyond 2³¹ they are omitted.
            let key = i32::try_from(self.names.len()).ok()?;
            self.names.push(name);
            Some(key)
        })
    }

    pub(crate) fn name(&mut self, instrument_token: u32) -> Option<&str> {
        let key = usize::try_from(self.key(instrument_token)?).ok()?;
        self.names.get(key).map(String::as_str)
    }

    /// Returns the names by their numbers.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }
}
