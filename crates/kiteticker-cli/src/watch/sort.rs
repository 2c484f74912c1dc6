//! Sorting and filtering of rows.

use std::cmp::Ordering;
use std::time::Instant;

use crate::watch::row::Row;

/// A sort key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// In the order listed and added.
    Listed,
    Symbol,
    Last,
    Change,
    Volume,
    Bid,
    Ask,
    Open,
    High,
    Low,
    NetChange,
    Interest,
    Average,
    Buying,
    Selling,
    Age,
}

impl Key {
    /// The index is the digit that chooses the key, up to 9.
    pub(crate) const ALL: [Self; 16] = [
        Self::Listed,
        Self::Symbol,
        Self::Last,
        Self::Change,
        Self::Volume,
        Self::Bid,
        Self::Ask,
        Self::Open,
        Self::High,
        Self::Low,
        Self::NetChange,
        Self::Interest,
        Self::Average,
        Self::Buying,
        Self::Selling,
        Self::Age,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Listed => "as listed",
            Self::Symbol => "symbol",
            Self::Last => "last",
            Self::Change => "change",
            Self::Volume => "volume",
            Self::Bid => "bid",
            Self::Ask => "ask",
            Self::Open => "open",
            Self::High => "high",
            Self::Low => "low",
            Self::NetChange => "net change",
            Self::Interest => "open interest",
            Self::Average => "average",
            Self::Buying => "buying",
            Self::Selling => "selling",
            Self::Age => "age",
        }
    }

    /// Returns whether a tick can change the order.
    fn is_moving(self) -> bool {
        !matches!(self, Self::Listed | Self::Symbol)
    }
}

/// An order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) key: Key,
    pub(crate) is_descending: bool,
}

impl Default for Sort {
    fn default() -> Self {
        Self::by(Key::Listed)
    }
}

impl Sort {
    /// Sorts by a key in its usual direction: names from A, numbers from the largest.
    pub(crate) fn by(key: Key) -> Self {
        let is_descending = !matches!(key, Key::Listed | Key::Symbol | Key::Age);
        Self { key, is_descending }
    }

    /// Chooses a key; the same key again reverses the order.
    pub(crate) fn choose(&mut self, key: Key) {
        *self = match self.key == key {
            true => Self { is_descending: !self.is_descending, ..*self },
            false => Self::by(key),
        };
    }

    /// Moves to the next key, or to the previous one.
    pub(crate) fn step(&mut self, is_forward: bool) {
        let all = Key::ALL;
        let place = all.iter().position(|&key| key == self.key).unwrap_or_default();
        let step = if is_forward { 1 } else { all.len() - 1 };
        *self = Self::by(all[(place + step) % all.len()]);
    }

    /// Returns whether a tick can change the order.
    pub(crate) fn is_moving(self) -> bool {
        self.key.is_moving()
    }

    /// Sorts indices of rows. Rows without a value come last in both directions; equal rows keep
    /// the order listed.
    pub(crate) fn sort(self, places: &mut [usize], rows: &[Row], now: Instant) {
        places.sort_unstable_by(|&a, &b| {
            self.compare(&rows[a], &rows[b], now).then_with(|| {
                if self.key == Key::Listed && self.is_descending { b.cmp(&a) } else { a.cmp(&b) }
            })
        });
    }

    fn compare(self, a: &Row, b: &Row, now: Instant) -> Ordering {
        match self.key {
            Key::Listed => Ordering::Equal,
            // Two exchanges may list the same symbol.
            Key::Symbol => self.directed(a.symbol().cmp(b.symbol()).then(a.name.cmp(&b.name))),
            Key::Last => self.values(a.last_price(), b.last_price(), Ord::cmp),
            Key::Change => self.values(a.change_percent(), b.change_percent(), f64::total_cmp),
            Key::Volume => self.values(a.volume(), b.volume(), Ord::cmp),
            Key::Bid => self.values(a.bid(), b.bid(), Ord::cmp),
            Key::Ask => self.values(a.ask(), b.ask(), Ord::cmp),
            Key::Open => self.values(ohlc(a, 0), ohlc(b, 0), Ord::cmp),
            Key::High => self.values(ohlc(a, 1), ohlc(b, 1), Ord::cmp),
            Key::Low => self.values(ohlc(a, 2), ohlc(b, 2), Ord::cmp),
            Key::NetChange => self.values(a.net_change(), b.net_change(), Ord::cmp),
            Key::Interest => self.values(a.open_interest(), b.open_interest(), Ord::cmp),
            Key::Average => self.values(a.average(), b.average(), Ord::cmp),
            Key::Buying => self.values(a.buying(), b.buying(), Ord::cmp),
            Key::Selling => self.values(a.selling(), b.selling(), Ord::cmp),
            // In seconds, as shown, so that rows that tick at the same rate do not swap.
            Key::Age => self.values(seconds(a, now), seconds(b, now), Ord::cmp),
        }
    }

    fn values<T>(
        self,
        a: Option<T>,
        b: Option<T>,
        compare: impl Fn(&T, &T) -> Ordering,
    ) -> Ordering {
        match (a, b) {
            (Some(a), Some(b)) => self.directed(compare(&a, &b)),
            (a, b) => b.is_some().cmp(&a.is_some()),
        }
    }

    fn directed(self, ordering: Ordering) -> Ordering {
        if self.is_descending { ordering.reverse() } else { ordering }
    }
}

fn ohlc(row: &Row, place: usize) -> Option<kite_wire::Price> {
    row.ohlc().map(|prices| prices[place])
}

fn seconds(row: &Row, now: Instant) -> Option<u64> {
    row.age(now).map(|age| age.as_secs())
}

/// Returns whether a row's name contains every word of the filter, or its token starts with it.
/// Case is ignored.
pub(crate) fn matches(row: &Row, text: &str) -> bool {
    let mut words = text.split_whitespace().peekable();
    if words.peek().is_none() {
        return true;
    }
    let (name, token) = (row.name.to_lowercase(), row.token.to_string());
    words.all(|word| name.contains(&word.to_lowercase()) || token.starts_with(word))
}

#[cfg(test)]
mod tests {
    use kite_wire::{Fields, Mode, QuoteFields, Tick};

    use super::*;

    fn rows() -> Vec<Row> {
        let now = Instant::now();
        let named =
            [(408_065, "NSE:INFY", 157_370), (738_561, "NSE:RELIANCE", 0), (265, "BSE:SENSEX", 81)];
        named
            .into_iter()
            .map(|(token, name, last_price)| {
                let mut row = Row::new(token, name.into(), Mode::Full);
                if last_price > 0 {
                    let quote = QuoteFields { volume: 100 - last_price as u32 % 7, ..quote() };
                    let fields = Fields::Quote(quote);
                    row.take(Tick { instrument_token: token, last_price, fields }, now, now);
                }
                row
            })
            .collect()
    }

    fn quote() -> QuoteFields {
        QuoteFields::default()
    }

    fn sorted(sort: Sort) -> Vec<usize> {
        let mut places = vec![2, 0, 1];
        sort.sort(&mut places, &rows(), Instant::now());
        places
    }

    #[test]
    fn rows_without_a_value_come_last_in_both_directions() {
        let by = Sort::by(Key::Last);
        assert_eq!(sorted(by), [0, 2, 1]);
        assert_eq!(sorted(Sort { is_descending: false, ..by }), [2, 0, 1]);
        assert_eq!(sorted(Sort::by(Key::Bid)), [0, 1, 2], "none has one");
    }

    #[test]
    fn names_sort_from_a_and_listed_keeps_the_given_order() {
        assert_eq!(sorted(Sort::by(Key::Symbol)), [0, 1, 2]);
        assert_eq!(sorted(Sort::default()), [0, 1, 2]);
        assert_eq!(sorted(Sort { is_descending: true, ..Sort::default() }), [2, 1, 0]);
    }

    #[test]
    fn the_same_key_again_reverses_the_order_and_steps_visit_all_keys() {
        let mut sort = Sort::default();
        sort.choose(Key::Change);
        assert_eq!(sort, Sort { key: Key::Change, is_descending: true });
        sort.choose(Key::Change);
        assert_eq!(sort, Sort { key: Key::Change, is_descending: false });
        let mut seen = Vec::new();
        for _ in Key::ALL {
            sort.step(true);
            seen.push(sort.key.name());
        }
        assert_eq!((sort.key, seen.len()), (Key::Change, Key::ALL.len()));
        sort.step(false);
        assert_eq!(sort.key, Key::Last);
    }

    #[test]
    fn a_filter_matches_all_of_its_words_in_name_or_token() {
        let row = &rows()[0];
        for text in ["", "  ", "infy", "nse fy", "4080"] {
            assert!(matches(row, text), "{text}");
        }
        for text in ["bse", "infy x", "8065"] {
            assert!(!matches(row, text), "{text}");
        }
    }
}
