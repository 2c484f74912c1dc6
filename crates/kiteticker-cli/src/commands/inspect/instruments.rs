//! Counts the ticks of each instrument, for a limited number of instruments.

use std::cmp::Reverse;
use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use kite_tape::{Reel, Source, Windows};
use kite_wire::ist::Day;

use crate::instruments::names::Names;

/// Maximum number of instruments that are not noted as subscribed, of each connection on each day:
/// twenty times what a connection can have subscribed. A tape with the ticks of a server that sends
/// any token must not exhaust memory.
pub(super) const MOST_OTHERS: usize = 65_536;

/// The ticks of each instrument.
#[derive(Debug)]
pub(super) struct Instruments {
    /// By day in India and token: a token is reused for another instrument.
    ticks: HashMap<(Day, u32), u64>,
    /// Tokens that the tapes note as subscribed. All of them are counted.
    subscribed: BTreeSet<u32>,
    /// Number of the others that are counted.
    others: HashMap<(Day, Source), usize>,
    most_others: usize,
    /// Ticks of instruments that are not counted.
    ticks_left_out: u64,
}

/// The ticks of an instrument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Ticked {
    pub(super) token: u32,
    pub(super) name: Option<String>,
    pub(super) ticks: u64,
}

/// Returns the busiest instruments; equally busy ones in their order.
pub(super) fn busiest(mut all: Vec<Ticked>, count: usize) -> Vec<Ticked> {
    all.sort_by_key(|one| Reverse(one.ticks));
    all.truncate(count);
    all
}

impl Instruments {
    /// Starts with what the tapes note as subscribed on the days of the windows.
    pub(super) fn of(reel: &Reel, windows: Option<&Windows>) -> Self {
        Self::new(subscribed(reel, windows), MOST_OTHERS)
    }

    fn new(subscribed: BTreeSet<u32>, most_others: usize) -> Self {
        let (ticks, others) = (HashMap::new(), HashMap::new());
        Self { ticks, subscribed, others, most_others, ticks_left_out: 0 }
    }

    /// Counts a tick.
    pub(super) fn add(&mut self, day: Day, source: Source, token: u32) {
        match self.ticks.entry((day, token)) {
            Entry::Occupied(ticks) => *ticks.into_mut() += 1,
            Entry::Vacant(place) => {
                if !self.subscribed.contains(&token) {
                    let others = self.others.entry((day, source)).or_default();
                    if *others >= self.most_others {
                        self.ticks_left_out += 1;
                        return;
                    }
                    *others += 1;
                }
                place.insert(1);
            }
        }
    }

    /// Returns the instruments by ascending token. One that had the token on other days is another.
    pub(super) fn named(&self, names: &Names) -> Vec<Ticked> {
        let mut all: BTreeMap<(u32, Option<String>), u64> = BTreeMap::new();
        for (&(day, token), ticks) in &self.ticks {
            *all.entry((token, names.known_on(day, token))).or_default() += ticks;
        }
        all.into_iter().map(|((token, name), ticks)| Ticked { token, name, ticks }).collect()
    }

    /// Returns the instruments that are noted as subscribed and have no tick, by ascending token.
    pub(super) fn unseen(&self) -> Vec<u32> {
        let seen: BTreeSet<u32> = self.ticks.keys().map(|&(_, token)| token).collect();
        self.subscribed.difference(&seen).copied().collect()
    }

    /// Returns the number of ticks of instruments that are not counted.
    pub(super) fn ticks_left_out(&self) -> u64 {
        self.ticks_left_out
    }
}

/// Returns the tokens that the tapes note as subscribed on the days of the windows.
fn subscribed(reel: &Reel, windows: Option<&Windows>) -> BTreeSet<u32> {
    let day = |unix_ns| Day::at_unix_ns(unix_ns);
    let is_covered = |from: u64, to: u64| {
        let days = |window: std::ops::Range<u64>| {
            day(from) <= day(window.end) && day(window.start) <= day(to)
        };
        windows.is_none_or(|windows| windows.iter().any(days))
    };
    let files =
        reel.files().iter().filter(|file| file.span().is_some_and(|(a, b)| is_covered(a, b)));
    let notes = files.flat_map(|file| Reel::from(file.clone()).instruments());
    notes.flat_map(|note| note.rows).map(|row| row.instrument_token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_not_subscribed_are_counted_up_to_a_limit_per_connection_and_day() {
        let day = |days: u64| Day::at_unix_ns(days * 86_400 * 1_000_000_000);
        let source = |connection| Source { account: 0, connection };
        let mut instruments = Instruments::new(BTreeSet::from([408_065, 738_561]), 2);
        // The third is too many, the first is known, and what is subscribed has always room.
        for token in [1, 2, 3, 1, 408_065, 3] {
            instruments.add(day(1), source(0), token);
        }
        assert_eq!((instruments.ticks.len(), instruments.ticks_left_out()), (3, 2));
        for (day, source) in [(day(1), source(1)), (day(2), source(0))] {
            (3..6).for_each(|token| instruments.add(day, source, token));
        }
        assert_eq!((instruments.ticks.len(), instruments.ticks_left_out()), (7, 4));
        assert_eq!(instruments.ticks[&(day(1), 1)], 2);
        assert_eq!(instruments.unseen(), [738_561]);
    }
}
