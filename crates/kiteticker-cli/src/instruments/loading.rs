//! Finds the lists that name the instruments of a feed or of tapes.
//!
//! For a day of tapes, in this order: a list named on the command line, the names on the tapes, the
//! cached list of that day, and only if there is none of them the latest cached list.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kite_conn::{Endpoint, ErrorChain};
use kite_instruments::{Date, Instruments};
use kite_tape::{InstrumentRow, Reel, TapeFile};
use kite_wire::ist::Day;

use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::Feed;
use crate::instruments::lists::{self, ListCredentials, Request};
use crate::instruments::names::{Lists, Names, is_number};
use crate::instruments::{known, rows};

/// Advice if the instrument list cannot be fetched.
const ADVICE: &str = "name instruments by their tokens, or pass a list with --instruments-file";

/// Whether the names of the day must be found even if only tokens are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Need {
    /// They are shown, so those of an older list are good enough for tokens.
    Shown,
    /// They are recorded.
    Recorded,
}

impl Names {
    /// Loads the names that the named instruments need: those of a file if one is named; for the
    /// simulator the built-in ones; else today's list, or for tokens only the cached one.
    pub(crate) async fn load(
        file: Option<&Path>,
        feed: &Feed,
        inputs: &[String],
        need: Need,
        output: Output,
    ) -> Result<Self, CliError> {
        if let Some(path) = file {
            return Ok(Self::of_today(Some(lists::from_file(path, output).await?)));
        }
        let built_in = Self::built_in();
        let is_built_in = inputs.iter().all(|input| built_in.resolve(input).is_ok());
        let is_foreign = match feed {
            Feed::Live(live) => live.endpoint != Endpoint::default(),
            Feed::Sim(_) | Feed::Replay(_) => true,
        };
        if matches!(feed, Feed::Sim(_)) && is_built_in {
            return Ok(built_in);
        }
        let is_tokens = inputs.iter().all(|input| is_number(input));
        let takes_any = is_tokens && (need == Need::Shown || is_foreign);
        if matches!(feed, Feed::Sim(_)) || takes_any {
            return Ok(Self::of_today(lists::latest().await?.map(|(list, _)| list)));
        }
        let request = match feed {
            Feed::Live(live) => Request {
                network: live.network.clone(),
                // Those of another server are none of Kite's.
                credentials: (!is_foreign)
                    .then(|| ListCredentials::Ambient(live.account.credentials.clone())),
                ..Default::default()
            },
            Feed::Sim(_) | Feed::Replay(_) => Request::default(),
        };
        match lists::today(request, ADVICE, output).await {
            Ok(list) => Ok(Self::of_today(Some(list))),
            Err(error) if is_built_in => {
                output.warn(format_args!("{}: using the built-in names", ErrorChain(&error)));
                Ok(built_in)
            }
            Err(error) => Err(error),
        }
    }

    /// Loads the names of the days of tapes; downloads nothing. Warns of days for which there is
    /// only a list of another day.
    pub(crate) async fn of_tapes(
        reel: &Reel,
        file: Option<&Path>,
        output: Output,
    ) -> Result<Self, CliError> {
        let given = match file {
            Some(path) => Some(lists::from_file(path, output).await?),
            None => None,
        };
        let reading = {
            let reel = reel.clone();
            blocking::run("reading the names on the tapes", move || {
                reel.files().iter().filter_map(TapeNames::of).collect::<Vec<_>>()
            })
        };
        let tapes = reading.await?;
        let lists = lists::of_days(incomplete_days(&tapes)).await?;
        let latest = match given {
            Some(_) => None,
            None if unnamed_days(&tapes, &lists).is_empty() => None,
            None => lists::latest().await?,
        };
        if let Some((_, date)) = &latest {
            output.warn(warning(&unnamed_days(&tapes, &lists), *date));
        }
        let last_resort = latest.map(|(list, _)| list);
        let days = by_day(given.as_ref(), &tapes, &lists, last_resort.as_ref());
        let mut names = Self::of_days(days);
        names.is_given = given.is_some();
        Ok(names)
    }
}

/// The names on one tape.
#[derive(Debug)]
struct TapeNames {
    first: Day,
    last: Day,
    list: Option<Instruments>,
    /// Whether the names of all noted instruments are known.
    is_complete: bool,
}

impl TapeNames {
    /// Reads the notes of a file; `None` if it has no records.
    fn of(file: &TapeFile) -> Option<Self> {
        let (from, to) = file.span()?;
        let notes = Reel::from(file.clone()).instruments();
        let noted: Vec<InstrumentRow> = notes.into_iter().flat_map(|note| note.rows).collect();
        let is_named = |row: &InstrumentRow| row.listing.is_some();
        Some(Self {
            first: Day::at_unix_ns(from),
            last: Day::at_unix_ns(to),
            list: rows::list(noted.iter()),
            is_complete: !noted.is_empty() && noted.iter().all(is_named),
        })
    }

    fn days(&self) -> impl Iterator<Item = Day> + use<> {
        let days = self.first.unix_days()..=self.last.unix_days();
        days.filter_map(|day| Day::from_unix_days(day.into()))
    }
}

/// Returns the days of tapes on which some name is not on the tape.
fn incomplete_days(tapes: &[TapeNames]) -> BTreeSet<Day> {
    tapes.iter().filter(|tape| !tape.is_complete).flat_map(TapeNames::days).collect()
}

/// Returns the days of which there are no names, neither on a tape nor in a list of that day.
fn unnamed_days(tapes: &[TapeNames], lists: &BTreeMap<Day, Instruments>) -> BTreeSet<Day> {
    let named: BTreeSet<Day> =
        tapes.iter().filter(|tape| tape.list.is_some()).flat_map(TapeNames::days).collect();
    let all = tapes.iter().flat_map(TapeNames::days);
    all.filter(|day| !named.contains(day) && !lists.contains_key(day)).collect()
}

/// Orders the lists of each day.
fn by_day(
    given: Option<&Instruments>,
    tapes: &[TapeNames],
    lists: &BTreeMap<Day, Instruments>,
    last_resort: Option<&Instruments>,
) -> BTreeMap<Day, Lists> {
    let unnamed = unnamed_days(tapes, lists);
    let mut days: BTreeMap<Day, Lists> = BTreeMap::new();
    for tape in tapes {
        for day in tape.days() {
            let first = || given.cloned().into_iter().collect();
            days.entry(day).or_insert_with(first).extend(tape.list.clone());
        }
    }
    for (day, named) in &mut days {
        named.extend(lists.get(day).cloned());
        named.extend(last_resort.filter(|_| unnamed.contains(day)).cloned());
        named.push(known::list());
    }
    days
}

/// Returns the warning that the names of days come from a list of another day.
fn warning(days: &BTreeSet<Day>, list: Date) -> String {
    let which = match (days.first(), days.last()) {
        (Some(first), Some(last)) if first != last => {
            format!("{} days from {first} to {last}", days.len())
        }
        (Some(only), _) => only.to_string(),
        (None, _) => String::new(),
    };
    format!(
        "the names of {which} are neither on the tapes nor cached: using the list of {list}, in \
         which tokens may have been reused for other instruments"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(token: u32, symbol: &str) -> Instruments {
        let csv = format!("{}{token},1,{symbol},,0,,0,0,0,FUT,NFO,NFO\n", rows::HEADER);
        Instruments::from_csv(csv).unwrap().instruments
    }

    fn day(date: u8) -> Day {
        Day::from_date(2026, 10, date).unwrap()
    }

    fn tape(first: u8, last: u8, list: Option<Instruments>) -> TapeNames {
        let is_complete = list.is_some();
        TapeNames { first: day(first), last: day(last), list, is_complete }
    }

    /// Returns the name of token 1,000 on a day.
    fn name(days: BTreeMap<Day, Lists>, date: u8) -> Option<String> {
        Names::of_days(days).known_on(day(date), 1_000)
    }

    #[test]
    fn a_given_list_precedes_the_tape_which_precedes_the_list_of_the_day() {
        let tapes = [tape(5, 5, Some(list(1_000, "TAPE")))];
        let lists = BTreeMap::from([(day(5), list(1_000, "DAY"))]);
        let (given, latest) = (list(1_000, "GIVEN"), list(1_000, "LATEST"));
        let all = by_day(Some(&given), &tapes, &lists, Some(&latest));
        assert_eq!(name(all, 5).as_deref(), Some("NFO:GIVEN"));
        assert_eq!(
            name(by_day(None, &tapes, &lists, Some(&latest)), 5).as_deref(),
            Some("NFO:TAPE")
        );
        let tapes = [tape(5, 5, None)];
        assert_eq!(
            name(by_day(None, &tapes, &lists, Some(&latest)), 5).as_deref(),
            Some("NFO:DAY")
        );
        let none = BTreeMap::new();
        assert_eq!(
            name(by_day(None, &tapes, &none, Some(&latest)), 5).as_deref(),
            Some("NFO:LATEST")
        );
        assert_eq!(name(by_day(None, &tapes, &none, None), 5), None);
    }

    #[test]
    fn the_latest_list_never_names_instruments_of_a_day_that_has_names() {
        let latest = list(1_000, "LATEST");
        let tapes = [tape(5, 5, Some(list(2_000, "OTHER"))), tape(6, 7, None)];
        let days = by_day(None, &tapes, &BTreeMap::new(), Some(&latest));
        assert_eq!(name(days.clone(), 5), None, "unknown rather than wrong");
        assert_eq!(name(days, 7).as_deref(), Some("NFO:LATEST"));
        assert_eq!(unnamed_days(&tapes, &BTreeMap::new()), BTreeSet::from([day(6), day(7)]));
    }

    #[test]
    fn a_list_of_the_day_is_read_if_the_tape_does_not_have_all_names() {
        let partly = TapeNames { is_complete: false, ..tape(5, 5, Some(list(2_000, "A"))) };
        let tapes = [partly, tape(6, 6, Some(list(2_000, "B")))];
        assert_eq!(incomplete_days(&tapes), BTreeSet::from([day(5)]));
        let lists = BTreeMap::from([(day(5), list(1_000, "DAY"))]);
        assert_eq!(name(by_day(None, &tapes, &lists, None), 5).as_deref(), Some("NFO:DAY"));
    }

    #[test]
    fn the_warning_names_the_days_and_the_list() {
        let latest = "2026-11-30".parse().unwrap();
        assert!(warning(&BTreeSet::from([day(5)]), latest).starts_with(
            "the names of 2026-10-05 are neither on the tapes nor cached: using the list of 2026-11-30"
        ));
        let days = BTreeSet::from([day(5), day(6), day(9)]);
        assert!(
            warning(&days, latest)
                .starts_with("the names of 3 days from 2026-10-05 to 2026-10-09 ")
        );
    }
}
