//! Resolves many symbols at once and suggests alternatives for those that do not exist.

use std::fmt;

use kite_wire::plain::trimmed;

use crate::instrument::Instrument;
use crate::instruments::Instruments;

/// Maximum number of suggestions for one symbol.
const MAX_NEAR: usize = 3;

/// Maximum number of unknown symbols that get suggestions, because each requires a scan of the
/// whole list.
const MAX_WITH_NEAR: usize = 20;

/// Maximum number of unknown symbols that the message names.
const MAX_NAMED: usize = 10;

/// Longer symbols, in bytes, are not compared; real ones have less than 30.
const MAX_COMPARED_BYTES: usize = 48;

/// Some of the requested symbols are not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownSymbols {
    /// The unknown symbols, in the order requested.
    pub unknown: Vec<UnknownSymbol>,
    /// Number of symbols requested.
    pub asked: usize,
}

/// A symbol that is not in the list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownSymbol {
    /// The symbol as requested.
    pub asked: String,
    /// Similar symbols in the list, from the most similar, at most three. Empty for unknown symbols
    /// after the first 20.
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
    /// Finds many instruments by their symbols, in the order requested.
    ///
    /// Each is `EXCHANGE:SYMBOL` as for [`Instruments::by_symbol`], or an instrument token.
    ///
    /// # Errors
    /// Returns an error if some are not in the list. It names all of them, with similar symbols.
    pub fn resolve<S: AsRef<str>>(
        &self,
        symbols: impl IntoIterator<Item = S>,
    ) -> Result<Vec<Instrument<'_>>, UnknownSymbols> {
        let mut found = Vec::new();
        let mut unknown: Vec<UnknownSymbol> = Vec::new();
        for symbol in symbols {
            let asked = symbol.as_ref();
            let by_token = || trimmed(asked).parse().ok().and_then(|token| self.by_token(token));
            match self.by_symbol(trimmed(asked)).or_else(by_token) {
                Some(instrument) => found.push(instrument),
                None => {
                    let suggests = unknown.len() < MAX_WITH_NEAR;
                    let near = if suggests { self.similar(asked) } else { Vec::new() };
                    let near = near.iter().map(Instrument::to_string).collect();
                    unknown.push(UnknownSymbol { asked: asked.to_owned(), near });
                }
            }
        }
        if unknown.is_empty() {
            return Ok(found);
        }
        Err(UnknownSymbols { asked: found.len() + unknown.len(), unknown })
    }

    /// Finds the instruments, at most three, that someone who mistyped a symbol or the name of a
    /// company may have meant: `NSE:INFI`, `infosis`. The most similar one comes first.
    ///
    /// Scans the whole list. Instruments of other exchanges than the given one are found only by the
    /// same symbol.
    ///
    /// # Examples
    /// ```
    /// use kite_instruments::Instruments;
    ///
    /// let csv = "token,exchange,symbol,name\n408065,NSE,INFY,INFOSYS\n";
    /// let list = Instruments::from_csv(csv)?.instruments;
    /// assert_eq!(list.similar("infosis")[0].to_string(), "NSE:INFY");
    /// # Ok::<(), kite_instruments::LoadError>(())
    /// ```
    #[must_use]
    pub fn similar(&self, typed: &str) -> Vec<Instrument<'_>> {
        let (exchange, symbol) = match typed.split_once(':') {
            Some((exchange, symbol)) => (Some(trimmed(exchange)), symbol),
            None => (None, typed),
        };
        let target = trimmed(symbol).to_ascii_uppercase();
        if target.is_empty() {
            return Vec::new();
        }
        let mut near = Vec::new();
        // Neighbours, such as the options of one underlying, usually share a name.
        let (mut name_before, mut name_distance) = ("", None);
        for (row, one) in self.iter().enumerate() {
            if one.name != name_before {
                (name_before, name_distance) = (one.name, distance_of_name(&target, one.name));
            }
            let by_symbol = distance(&target, one.tradingsymbol).map(|edits| (edits, false));
            let by_name = name_distance.map(|edits| (edits, true));
            let Some((edits, is_name)) = by_symbol.into_iter().chain(by_name).min() else {
                continue;
            };
            let is_elsewhere =
                exchange.is_some_and(|it| !one.exchange.as_str().eq_ignore_ascii_case(it));
            if is_elsewhere && (edits, is_name) != (0, false) {
                continue;
            }
            let expires = one.expiry.is_some();
            near.push((edits, is_name, expires, one.tradingsymbol.len(), one.exchange, row));
        }
        near.sort_unstable();
        near.iter().take(MAX_NEAR).map(|&(.., row)| self.at(row)).collect()
    }
}

/// Returns those of some names, at most three, that someone who mistyped one may have meant, ignoring
/// case. The most similar one comes first.
///
/// ```
/// use kite_instruments::similar_names;
///
/// assert_eq!(similar_names("NZE", ["BFO", "MCX", "NSE"]), ["NSE"]);
/// ```
#[must_use]
pub fn similar_names<'a>(typed: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let target = trimmed(typed).to_ascii_uppercase();
    if target.is_empty() {
        return Vec::new();
    }
    let near = names.into_iter().filter_map(|name| Some((distance(&target, name)?, name)));
    let mut near: Vec<_> = near.collect();
    near.sort_unstable();
    near.dedup();
    near.into_iter().map(|(_, name)| name).take(MAX_NEAR).collect()
}

/// Returns the distance of a symbol from `target` (in upper case), which is the number of edits, or
/// one more than the maximum if the symbol only starts with `target`. `None` if it is not similar.
pub(crate) fn distance(target: &str, symbol: &str) -> Option<usize> {
    // Two edits turn a short symbol into nearly any other.
    distance_within(target, symbol, if target.len() <= 4 { 1 } else { 2 })
}

fn distance_within(target: &str, symbol: &str, most: usize) -> Option<usize> {
    let (target, symbol) = (target.as_bytes(), symbol.as_bytes());
    let begins =
        || symbol.get(..target.len()).is_some_and(|start| start.eq_ignore_ascii_case(target));
    edits(target, symbol, most).or_else(|| begins().then_some(most + 1))
}

/// Returns the distance of the name of a company, or of as many of its first words as `target` has.
fn distance_of_name(target: &str, name: &str) -> Option<usize> {
    let blanks = name.match_indices(' ').map(|(at, _)| at);
    let end = blanks.chain([name.len()]).nth(target.matches(' ').count());
    let words = name.get(..end.unwrap_or(name.len()))?;
    // There are more words in names than symbols, so fewer edits turn one into another.
    let most = (target.len() / 4).clamp(1, 2);
    // One edit also turns a letter into an empty name.
    let named = [words, name].into_iter().filter(|text| !text.is_empty());
    named.filter_map(|text| distance_within(target, text, most)).min()
}

/// Counts the letters to change, insert, remove or swap with a neighbour; `None` if more than
/// `most`.
fn edits(target: &[u8], symbol: &[u8], most: usize) -> Option<usize> {
    let too_long = target.len().max(symbol.len()) > MAX_COMPARED_BYTES;
    if too_long || target.len().abs_diff(symbol.len()) > most {
        return None;
    }
    // Three rows of the table of distances between the prefixes of both.
    let mut before_last = [0; MAX_COMPARED_BYTES + 1];
    let mut last: [usize; MAX_COMPARED_BYTES + 1] = std::array::from_fn(|at| at);
    for (i, a) in target.iter().enumerate() {
        let mut row = [0; MAX_COMPARED_BYTES + 1];
        row[0] = i + 1;
        let mut least = row[0];
        for (j, symbol_byte) in symbol.iter().enumerate() {
            let b = symbol_byte.to_ascii_uppercase();
            let mut edits = (last[j] + usize::from(*a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == symbol[j - 1].to_ascii_uppercase() && target[i - 1] == b {
                edits = edits.min(before_last[j - 1] + 1);
            }
            row[j + 1] = edits;
            least = least.min(edits);
        }
        // A swap refers to the row before the last, so both must exceed the maximum.
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
    fn a_name_is_similar_by_its_first_words_and_short_ones_only_by_one_edit() {
        for (target, name, expected) in [
            ("INFOSIS", "INFOSYS", Some(1)),
            ("INFOSIS", "INFOSYS LIMITED", Some(1)),
            ("TATA CONSULTANSY", "TATA CONSULTANCY SERVICES", Some(1)),
            ("TATA CONSULTACNYS", "TATA CONSULTANCY SERVICES", Some(2)),
            ("INFYY", "INFRA FUND", None),
            ("TATA", "TATA MOTORS", Some(0)),
            ("CONSULTANCY", "TATA CONSULTANCY SERVICES", None),
            ("TATA MOT", "TATA MOTORS", Some(3)),
            ("X", "", None),
        ] {
            assert_eq!(distance_of_name(target, name), expected, "{target}, {name}");
        }
    }

    #[test]
    fn edits_count_changes_insertions_removals_and_swaps() {
        for (target, symbol, expected) in [
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
            assert_eq!(edits(target.as_bytes(), symbol.as_bytes(), 2), expected, "{target}");
        }
    }
}
