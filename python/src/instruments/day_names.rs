//! The names of instruments on the days of tapes, found as `kite export` finds them.

use std::collections::{BTreeMap, BTreeSet};

use kite_instruments::{Instruments, Source, TapeNames};
use kite_tape::Reel;
use kite_wire::ist::Day;
use pyo3::PyResult;

use super::list;
use super::wanted::Wanted;

/// The lists of each day, in the order in which they name its instruments.
#[derive(Debug)]
pub(crate) struct DayNames {
    days: BTreeMap<Day, Vec<Instruments>>,
}

impl DayNames {
    /// Finds the names of the days of tapes: a given list, the tapes' own names, the cached list of
    /// the day. Also returns warnings. Downloads nothing.
    pub(crate) fn of_tapes(reel: &Reel, given: Option<&Instruments>) -> (Self, Vec<String>) {
        let tapes = TapeNames::read(reel);
        let source = list::source(None);
        let lists = kept_on(&source, &tapes.incomplete_days());
        let unnamed = tapes.unnamed_days(&lists);
        let latest = (given.is_none() && !unnamed.is_empty()).then(|| source.kept()).flatten();
        let warnings = latest.as_ref().zip(unnamed.first()).map(|((_, date), first)| {
            format!(
                "the names of {} days from {first} are neither on the tapes nor cached: using the \
                 list of {date}, in which tokens may have been reused for other instruments",
                unnamed.len()
            )
        });
        let latest = latest.map(|(loaded, _)| loaded.instruments);
        let mut days = tapes.lists_by_day(given, &lists, latest.as_ref());
        days.values_mut().for_each(|lists| lists.push(Instruments::built_in()));
        (Self { days }, warnings.into_iter().collect())
    }

    /// Returns the name that a token has on a day.
    pub(crate) fn known_on(&self, day: Day, token: u32) -> Option<String> {
        let mut lists = self.days.get(&day)?.iter();
        lists.find_map(|list| list.by_token(token)).map(|one| one.to_string())
    }

    /// Returns the name that a token has on the last day on which it has one, else the token.
    pub(crate) fn label(&self, token: u32) -> String {
        let name = self.days.keys().rev().find_map(|&day| self.known_on(day, token));
        name.unwrap_or_else(|| token.to_string())
    }

    /// Returns the token of a name on the last day that has it, or why there is none.
    pub(crate) fn newest(&self, wanted: &Wanted) -> Result<u32, String> {
        let found = |lists: &Vec<Instruments>| match (wanted.token(), wanted.symbol()) {
            (Some(token), _) => Some(token),
            (None, Some(symbol)) => by_symbol(lists, &symbol).first().copied(),
            (None, None) => None,
        };
        let token = self.days.values().rev().find_map(found);
        token.ok_or_else(|| wanted.unknown_text(self.days.values().rev().flatten()))
    }

    /// Returns the tokens of names on each day. A plain token is taken on every day.
    pub(crate) fn resolve_by_day(&self, wanted: &[Wanted]) -> PyResult<BTreeSet<(Day, u32)>> {
        let mut tokens = BTreeSet::new();
        for one in wanted {
            let before = tokens.len();
            let mut is_known = false;
            for (&day, lists) in &self.days {
                let found = match (one.token(), one.symbol()) {
                    (Some(token), _) => vec![token],
                    (None, Some(symbol)) => by_symbol(lists, &symbol),
                    (None, None) => Vec::new(),
                };
                is_known |= !found.is_empty();
                tokens.extend(found.into_iter().map(|token| (day, token)));
            }
            if !is_known && tokens.len() == before && !self.days.is_empty() {
                return Err(one.unknown(self.days.values().rev().flatten()));
            }
        }
        Ok(tokens)
    }
}

/// Returns the tokens of a symbol in the first list that has it.
fn by_symbol(lists: &[Instruments], symbol: &str) -> Vec<u32> {
    let found = lists.iter().map(|list| list.all_by_symbol(symbol)).find(|it| !it.is_empty());
    found.iter().flatten().map(|one| one.instrument_token).collect()
}

/// Returns the cached lists of those days that have one.
fn kept_on(source: &Source, days: &BTreeSet<Day>) -> BTreeMap<Day, Instruments> {
    if days.is_empty() {
        return BTreeMap::new();
    }
    let kept = source.kept_days().into_iter().filter_map(|date| {
        let day = Day::from_unix_days(date.days().into())?;
        let loaded = days.contains(&day).then(|| source.kept_on(date)).flatten()?;
        Some((day, loaded.instruments))
    });
    kept.collect()
}
