//! Many symbols at once, and what was meant by those that do not exist.

use std::fmt;

use crate::instrument::Instrument;
use crate::instruments::Instruments;

/// The most suggestions for one symbol.
const MAX_NEAR: usize = 3;

/// The most unknown symbols that suggestions are looked for: each goes through the whole list.
const MAX_WITH_NEAR: usize = 20;

/// The most unknown symbols that the message names.
const MAX_NAMED: usize = 10;

/// Symbols of more bytes are not compared for likeness; real ones have less than 30.
const MAX_COMPARED_BYTES: usize = 48;

/// Some of the symbols asked for are not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownSymbols {
    /// Those that are not, in the order asked.
    pub unknown: Vec<UnknownSymbol>,
    /// How many were asked for.
    pub asked: usize,
}

/// A symbol that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownSymbol {
    /// What was asked for.
    pub asked: String,
    /// Symbols of the list that are like it, the nearest first; three at most. Only the first 20
    /// unknown symbols have any.
    pub near: Vec<String>,
}

impl std::error::Error for UnknownSymbols {}

impl fmt::Display for UnknownSymbols {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} symbols are not in the list: ", self.unknown.len(), self.asked)?;
        for (at, symbol) in self.unknown.iter().take(MAX_NAMED).enumerate() {
            write!(f, "{}{symbol}", if at == 0 { "" } else { ", " })?;
        }
        match self.unknown.len().saturating_sub(MAX_NAMED) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

impl fmt::Display for UnknownSymbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.asked)?;
        match self.near.as_slice() {
            [] if !self.asked.contains(':') => f.write_str(" (symbols are written as NSE:INFY)"),
            [] => Ok(()),
            [first] => write!(f, " (did you mean {first}?)"),
            [firsts @ .., last] => {
                write!(f, " (did you mean {} or {last}?)", firsts.join(", "))
            }
        }
    }
}

impl Instruments {
    /// Finds many instruments by their symbols, in the order asked.
    ///
    /// Each is `EXCHANGE:SYMBOL` as [`Instruments::by_symbol`] takes it, or a number: an instrument
    /// token.
    ///
    /// # Errors
    /// Some are not in the list: the error names all of them, with what is like them.
    pub fn resolve<S: AsRef<str>>(
        &self,
        symbols: impl IntoIterator<Item = S>,
    ) -> Result<Vec<Instrument<'_>>, UnknownSymbols> {
        let mut found = Vec::new();
        let mut unknown: Vec<UnknownSymbol> = Vec::new();
        for symbol in symbols {
            let asked = symbol.as_ref();
            let by_token = || asked.parse().ok().and_then(|token| self.by_token(token));
            match self.by_symbol(asked).or_else(by_token) {
                Some(instrument) => found.push(instrument),
                None => {
                    let near =
                        if unknown.len() < MAX_WITH_NEAR { self.near(asked) } else { Vec::new() };
                    unknown.push(UnknownSymbol { asked: asked.to_owned(), near });
                }
            }
        }
        if unknown.is_empty() {
            return Ok(found);
        }
        Err(UnknownSymbols { asked: found.len() + unknown.len(), unknown })
    }

    /// Gives the symbols that are most like one that does not exist.
    fn near(&self, asked: &str) -> Vec<String> {
        let (exchange, symbol) = match asked.split_once(':') {
            Some((exchange, symbol)) => (Some(exchange), symbol),
            None => (None, asked),
        };
        let wanted = symbol.trim().to_ascii_uppercase();
        if wanted.is_empty() {
            return Vec::new();
        }
        let mut near = Vec::new();
        for (row, instrument) in self.iter().enumerate() {
            let elsewhere = exchange
                .is_some_and(|asked| !instrument.exchange.as_str().eq_ignore_ascii_case(asked));
            let Some(unlike) = unlikeness(&wanted, instrument.tradingsymbol) else { continue };
            // On another exchange only the same symbol is meant.
            if elsewhere && unlike > 0 {
                continue;
            }
            let expires = instrument.expiry.is_some();
            near.push((unlike, expires, instrument.tradingsymbol.len(), instrument.exchange, row));
        }
        near.sort_unstable();
        near.iter().take(MAX_NEAR).map(|&(.., row)| self.at(row).to_string()).collect()
    }
}

/// Says how far a symbol is from the one wanted (in upper case): edits, or more where it only
/// begins so; `None` where it is not like it.
fn unlikeness(wanted: &str, symbol: &str) -> Option<usize> {
    let (wanted, symbol) = (wanted.as_bytes(), symbol.as_bytes());
    // In a short symbol, two edits make any other.
    let most = if wanted.len() <= 4 { 1 } else { 2 };
    let edits = edits(wanted, symbol, most);
    let begins =
        || symbol.get(..wanted.len()).is_some_and(|start| start.eq_ignore_ascii_case(wanted));
    edits.or_else(|| begins().then_some(most + 1))
}

/// Counts the letters to change, insert, remove or swap with their neighbours, if `most` do.
fn edits(wanted: &[u8], symbol: &[u8], most: usize) -> Option<usize> {
    let too_long = wanted.len().max(symbol.len()) > MAX_COMPARED_BYTES;
    if too_long || wanted.len().abs_diff(symbol.len()) > most {
        return None;
    }
    // Three rows of the table of distances between the beginnings of both.
    let mut before_last = [0; MAX_COMPARED_BYTES + 1];
    let mut last: [usize; MAX_COMPARED_BYTES + 1] = std::array::from_fn(|at| at);
    for (i, a) in wanted.iter().enumerate() {
        let mut row = [0; MAX_COMPARED_BYTES + 1];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, symbol_byte) in symbol.iter().enumerate() {
            let b = symbol_byte.to_ascii_uppercase();
            let mut edits = (last[j] + usize::from(*a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == symbol[j - 1].to_ascii_uppercase() && wanted[i - 1] == b {
                edits = edits.min(before_last[j - 1] + 1);
            }
            row[j + 1] = edits;
            least = least.min(edits);
        }
        // A swap reaches back one row more, so the row before must be hopeless too.
        if least > most && last[..=symbol.len()].iter().all(|&edits| edits > most) {
            return None;
        }
        before_last = last;
        last = row;
    }
    Some(last[symbol.len()]).filter(|&edits| edits <= most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_changes_insertions_removals_and_swaps() {
        for (wanted, symbol, expected) in [
            ("INFY", "INFY", Some(0)),
            ("INFY", "infy", Some(0)),
            ("INFI", "INFY", Some(1)),
            ("IFNY", "INFY", Some(1)),
            ("INY", "INFY", Some(1)),
            ("NIFTY50", "NIFTY 50", Some(1)),
            ("RELAINEC", "RELIANCE", Some(2)),
            ("TCS", "INFY", None),
            ("", "AB", Some(2)),
        ] {
            assert_eq!(edits(wanted.as_bytes(), symbol.as_bytes(), 2), expected, "{wanted}");
        }
    }
}
