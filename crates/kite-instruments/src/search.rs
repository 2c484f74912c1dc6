//! Finds instruments by what a user types.

use std::cmp::Reverse;

use kite_wire::Amount;

use crate::date::Date;
use crate::exchange::Exchange;
use crate::instrument::Instrument;
use crate::instruments::Instruments;
use crate::list::{List, Row, Stored};

/// Months as symbols and users write them.
const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];

impl Instruments {
    /// Finds at most `limit` instruments by words, starting with the best match: `infy`, `nifty
    /// 24500 ce`, `reliance dec fut`, `NSE:INFY`, `408065`.
    ///
    /// An instrument matches if each word is part of its symbol or name, or is its token, exchange,
    /// segment, type, strike or expiry (`2026-12-31`, `2026-12`, `dec`, `31dec`). Case is ignored.
    /// The instrument with the token comes first, then symbols equal to the query, then symbols that
    /// start with it. Within these groups, instruments that never expire come first, then those that
    /// match the words better, then those that expire earlier.
    #[must_use]
    pub fn search(&self, words: &str, limit: usize) -> Vec<Instrument<'_>> {
        let list = self.list();
        let typed = words.to_ascii_uppercase();
        let query = Query::new(list, typed.trim());
        if query.words.is_empty() {
            return Vec::new();
        }
        let mut found: Vec<(Rank<'_>, u32)> = Vec::new();
        for (number, row) in list.rows.iter().enumerate() {
            if let Some(rank) = query.rank(list, row) {
                // The list stores row numbers in 32 bits.
                found.push((rank, number as u32));
            }
        }
        if limit < found.len() && limit > 0 {
            found.select_nth_unstable(limit - 1);
        }
        found.truncate(limit);
        found.sort_unstable();
        found.into_iter().map(|(_, row)| self.at(row as usize)).collect()
    }
}

/// The match of a row. Less is better, compared in the order of the fields.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank<'a> {
    whole: Whole,
    // Before the words, because users mean an index or a share more often than its derivatives.
    expires: bool,
    words: u32,
    expiry: Option<Date>,
    exchange: Exchange,
    symbol_len: usize,
    strike: Stored,
    symbol: &'a str,
}

/// How the whole query matches the symbol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Whole {
    Token,
    Equal,
    Begins,
    Not,
}

/// How a word matches a row, from best to worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Fit {
    /// The word is the symbol, the name or the token.
    Equal,
    /// The word is the strike, expiry, type, exchange or segment, or the symbol starts with it.
    Attribute,
    /// A word of the name starts with it.
    NameWord,
    InSymbol,
    InName,
}

struct Query<'a> {
    whole: &'a str,
    words: Vec<Word<'a>>,
}

struct Word<'a> {
    text: &'a str,
    token: Option<u32>,
    number: Option<Amount>,
    expiry: Option<ExpiryWord<'a>>,
    /// For each class of the list, whether the word is its exchange, segment or type.
    classes: Vec<bool>,
}

/// A word that matches expiries.
enum ExpiryWord<'a> {
    /// The beginning of an ISO date, including at least the month.
    Iso(&'a str),
    /// A day with the year last.
    On(Date),
    /// A month by name, optionally with a day.
    Month { month: u8, day: Option<u8> },
}

impl<'a> Query<'a> {
    /// Creates a query from a string in upper case.
    fn new(list: &List, typed: &'a str) -> Self {
        // In `NSE:INFY` the exchange is a separate word.
        let (exchange, whole) = typed.split_once(':').unwrap_or(("", typed));
        let texts = exchange.split_whitespace().chain(whole.split_whitespace());
        // In descending order of length, because the longest word rules out most rows.
        let mut words: Vec<Word<'_>> = texts.map(|text| Word::new(list, text)).collect();
        words.sort_by_key(|word| Reverse(word.text.len()));
        Self { whole: whole.trim(), words }
    }

    fn rank<'l>(&self, list: &'l List, row: &Row) -> Option<Rank<'l>> {
        let symbol = list.text(row.tradingsymbol);
        let name = list.text(row.name);
        let mut words = 0;
        for word in &self.words {
            words += word.fit(row, symbol, name)? as u32;
        }
        let whole = match begins(symbol.as_bytes(), self.whole.as_bytes()) {
            _ if self.whole.parse() == Ok(row.instrument_token) => Whole::Token,
            true if symbol.len() == self.whole.len() => Whole::Equal,
            true => Whole::Begins,
            false => Whole::Not,
        };
        Some(Rank {
            whole,
            expires: row.expiry.is_some(),
            words,
            expiry: row.expiry,
            exchange: list.class(row).exchange,
            symbol_len: symbol.len(),
            strike: row.strike,
            symbol,
        })
    }
}

impl<'a> Word<'a> {
    fn new(list: &List, text: &'a str) -> Self {
        let classes = list.classes.iter().map(|class| {
            [class.exchange.as_str(), class.instrument_type.as_str(), list.text(class.segment)]
                .iter()
                .any(|value| value.eq_ignore_ascii_case(text))
        });
        Self {
            text,
            token: text.parse().ok(),
            number: text.parse().ok().filter(|number: &Amount| !number.is_zero()),
            expiry: ExpiryWord::new(text),
            classes: classes.collect(),
        }
    }

    fn fit(&self, row: &Row, symbol: &str, name: &str) -> Option<Fit> {
        let (word, symbol, name) = (self.text.as_bytes(), symbol.as_bytes(), name.as_bytes());
        let is_token = self.token == Some(row.instrument_token);
        if is_token || symbol.eq_ignore_ascii_case(word) || name.eq_ignore_ascii_case(word) {
            return Some(Fit::Equal);
        }
        let is_attribute = self.classes.get(row.class as usize) == Some(&true)
            || self.number == Some(row.strike.into())
            || self
                .expiry
                .as_ref()
                .is_some_and(|word| row.expiry.is_some_and(|day| word.matches(day)));
        if is_attribute || begins(symbol, word) {
            return Some(Fit::Attribute);
        }
        let mut in_name = false;
        for at in places(name, word) {
            if at == 0 || !name[at - 1].is_ascii_alphanumeric() {
                return Some(Fit::NameWord);
            }
            in_name = true;
        }
        if places(symbol, word).next().is_some() {
            return Some(Fit::InSymbol);
        }
        in_name.then_some(Fit::InName)
    }
}

impl<'a> ExpiryWord<'a> {
    fn new(word: &'a str) -> Option<Self> {
        if word.len() >= "2026-12".len() && word.as_bytes().get(4) == Some(&b'-') {
            return Some(Self::Iso(word));
        }
        if let Ok(day) = word.parse() {
            return Some(Self::On(day));
        }
        let letters = word.trim_start_matches(|char: char| char.is_ascii_digit());
        let month = MONTHS.iter().position(|&month| month == letters)?;
        let digits = &word[..word.len() - letters.len()];
        let day = if digits.is_empty() { None } else { Some(digits.parse().ok()?) };
        Some(Self::Month { month: u8::try_from(month + 1).ok()?, day })
    }

    fn matches(&self, expiry: Date) -> bool {
        match *self {
            Self::On(day) => expiry == day,
            Self::Iso(beginning) => expiry.to_string().starts_with(beginning),
            Self::Month { month, day } => {
                expiry.month() == month && day.is_none_or(|day| expiry.day() == day)
            }
        }
    }
}

/// Returns whether a string starts with `word`, which is in upper case.
fn begins(text: &[u8], word: &[u8]) -> bool {
    text.get(..word.len()).is_some_and(|beginning| beginning.eq_ignore_ascii_case(word))
}

/// Returns the positions in a string of `word`, which is in upper case.
fn places(text: &[u8], word: &[u8]) -> impl Iterator<Item = usize> {
    let first = word.first().copied().unwrap_or(0);
    let last_start = (text.len() + 1).saturating_sub(word.len());
    text[..last_start].iter().enumerate().filter_map(move |(at, byte)| {
        (byte.to_ascii_uppercase() == first && begins(&text[at..], word)).then_some(at)
    })
}
