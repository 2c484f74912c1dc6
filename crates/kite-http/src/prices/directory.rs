//! The subscribed instruments with their names, in the order of the table of prices.

use std::collections::{BTreeMap, HashMap};

use kite_manager::OneLine;
use kite_wire::Mode;

use super::view::View;

/// An instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) token: u32,
    /// `EXCHANGE:SYMBOL` if it is known, else the token.
    pub(crate) name: String,
    /// The name in capitals, which filters are compared with.
    folded: String,
    pub(crate) mode: Mode,
    is_named: bool,
}

impl Entry {
    fn new(token: u32, mode: Mode, name: Option<String>) -> Self {
        let is_named = name.is_some();
        // Lists of instruments come from outside.
        let name = name.map_or(token.to_string(), |name| OneLine(name).to_string());
        Self { token, folded: name.to_uppercase(), name, mode, is_named }
    }

    /// Returns what the instruments are sorted by.
    fn place(&self) -> (bool, &str, u32) {
        (!self.is_named, if self.is_named { &self.folded } else { "" }, self.token)
    }
}

/// All subscribed instruments, those with names first, by name.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    subscribed: BTreeMap<u32, Mode>,
    entries: Vec<Entry>,
    /// Counts the changes.
    version: u64,
}

/// The rows of a view.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rows<'a> {
    /// How many instruments the filter lets through.
    pub(crate) found: usize,
    pub(crate) shown: Vec<&'a Entry>,
}

impl Directory {
    /// Replaces the instruments. Looks up the names of those that were not subscribed before.
    pub(crate) fn set(
        &mut self,
        subscribed: BTreeMap<u32, Mode>,
        name: impl Fn(u32) -> Option<String>,
    ) {
        if subscribed == self.subscribed {
            return;
        }
        let before = std::mem::take(&mut self.entries).into_iter();
        let mut before: HashMap<u32, Entry> = before.map(|entry| (entry.token, entry)).collect();
        self.entries = subscribed
            .iter()
            .map(|(&token, &mode)| match before.remove(&token) {
                Some(entry) => Entry { mode, ..entry },
                None => Entry::new(token, mode, name(token)),
            })
            .collect();
        self.entries.sort_by(|a, b| a.place().cmp(&b.place()));
        self.subscribed = subscribed;
        self.version += 1;
    }

    /// Returns a number that changes with the instruments.
    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    /// Returns the number of instruments.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Returns an instrument.
    pub(crate) fn get(&self, token: u32) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.token == token)
    }

    /// Returns what a view shows.
    pub(crate) fn rows(&self, view: &View) -> Rows<'_> {
        let is_shown = |entry: &&Entry| view.words.iter().all(|word| entry.folded.contains(word));
        let mut found = 0;
        let mut shown = Vec::with_capacity(view.rows);
        for entry in self.entries.iter().filter(is_shown) {
            if found >= view.from && shown.len() < view.rows {
                shown.push(entry);
            }
            found += 1;
        }
        Rows { found, shown }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory() -> Directory {
        let mut directory = Directory::default();
        let subscribed = [4, 3, 2, 1, 10, 9].map(|token| (token, Mode::Full));
        directory.set(subscribed.into(), |token| match token {
            1 => Some("NSE:SBIN".to_owned()),
            2 => Some("NFO:NIFTY26DECFUT".to_owned()),
            3 => Some("NSE:Nifty 50".to_owned()),
            4 => Some("NSE:A\u{1b}[2J\u{202e}B".to_owned()),
            _ => None,
        });
        directory
    }

    fn names(directory: &Directory, query: &str) -> (usize, Vec<String>) {
        let rows = directory.rows(&View::from_query(query).unwrap());
        (rows.found, rows.shown.iter().map(|entry| entry.name.clone()).collect())
    }

    #[test]
    fn instruments_are_in_order_and_those_without_a_name_last() {
        let all = ["NFO:NIFTY26DECFUT", "NSE:A [2J B", "NSE:Nifty 50", "NSE:SBIN", "9", "10"];
        assert_eq!(names(&directory(), ""), (6, all.map(str::to_owned).to_vec()));
    }

    #[test]
    fn every_word_of_a_filter_must_be_in_the_name() {
        let found = |query| names(&directory(), query);
        assert_eq!(found("filter=nifty").0, 2);
        assert_eq!(found("filter=nifty+nse"), (1, vec!["NSE:Nifty 50".to_owned()]));
        assert_eq!(found("filter=banknifty"), (0, vec![]));
        assert_eq!(found("from=3&rows=1"), (6, vec!["NSE:SBIN".to_owned()]));
        assert_eq!(found("from=6"), (6, vec![]));
        assert_eq!(found("rows=0").1, [""; 0]);
    }

    #[test]
    fn names_are_looked_up_only_of_new_instruments() {
        let mut directory = directory();
        let (version, same) = (directory.version(), directory.subscribed.clone());
        directory.set(same, |_| panic!("nothing has changed"));
        assert_eq!(directory.version(), version);
        directory
            .set([(1, Mode::Ltp), (5, Mode::Full)].into(), |token| Some(format!("NSE:{token}")));
        assert_eq!((directory.version(), directory.len()), (version + 1, 2));
        let entry = |token| directory.get(token).map(|entry| (&*entry.name, entry.mode));
        assert_eq!(entry(1), Some(("NSE:SBIN", Mode::Ltp)));
        assert_eq!(entry(5), Some(("NSE:5", Mode::Full)));
        assert_eq!(entry(2), None);
    }
}
