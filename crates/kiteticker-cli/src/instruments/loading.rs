//! Finds the lists that name the instruments of a feed or of tapes.
//!
//! For a day of tapes, in this order: a list named on the command line, the names on the tapes, the
//! cached list of that day, and only if there is none of them the latest cached list.

use std::collections::BTreeSet;
use std::path::Path;

use kite_conn::{Endpoint, ErrorChain};
use kite_instruments::{Date, Instruments, TapeNames};
use kite_tape::Reel;
use kite_wire::ist::Day;

use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::Feed;
use crate::instruments::lists::{self, ListCredentials, Request};
use crate::instruments::names::{Names, is_number};

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
            blocking::run("reading the names on the tapes", move || TapeNames::read(&reel))
        };
        let tapes = reading.await?;
        let lists = lists::of_days(tapes.incomplete_days()).await?;
        let latest = match given {
            Some(_) => None,
            None if tapes.unnamed_days(&lists).is_empty() => None,
            None => lists::latest().await?,
        };
        if let Some((_, date)) = &latest {
            output.warn(warning(&tapes.unnamed_days(&lists), *date));
        }
        let last_resort = latest.map(|(list, _)| list);
        let mut days = tapes.lists_by_day(given.as_ref(), &lists, last_resort.as_ref());
        days.values_mut().for_each(|lists| lists.push(Instruments::built_in()));
        let mut names = Self::of_days(days);
        names.is_given = given.is_some();
        Ok(names)
    }
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

    fn day(date: u8) -> Day {
        Day::from_date(2026, 10, date).unwrap()
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
