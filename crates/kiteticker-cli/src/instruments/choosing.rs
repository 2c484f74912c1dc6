//! Chooses the contracts of `--select` from the lists of the day.
//!
//! Performs no I/O: the prices that `ATM` needs are passed in.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;

use kite_conn::OneLine;
use kite_instruments::{
    Amount, Choice, ChoiceError, Contracts, Date, Expiry, Instrument, Instruments,
};
use kite_tape::Windows;
use kite_wire::ist::Day;

use crate::args::select::SelectArgs;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::numbers;
use crate::format::times::{self, SECOND_NS};
use crate::instruments::names::{Named, Names, named};

const DAY_NS: u64 = 86_400 * SECOND_NS;

/// The first prices of underlyings, by the day and the token.
pub(crate) type Prices = BTreeMap<(Day, u32), Amount>;

/// What was found on the days, and the errors of the others.
type OnDays<T> = (Vec<T>, Vec<(Day, ChoiceError)>);

/// Contracts to choose on each day of tapes, or today.
#[derive(Debug)]
pub(crate) struct Choosing<'a> {
    select: &'a SelectArgs,
    days: Vec<(Day, Date, &'a [Instruments])>,
    /// Whether the lists have only what was recorded.
    is_recorded: bool,
}

impl Choosing<'_> {
    /// Leaves out the days of tapes that have no time in the windows.
    pub(crate) fn within(mut self, windows: Option<&Windows>) -> Self {
        if let Some(windows) = windows {
            let start = |day: Day| u64::try_from(day.start_unix_s()).unwrap_or(0) * SECOND_NS;
            self.days.retain(|&(day, ..)| {
                windows.overlap(start(day), start(day).saturating_add(DAY_NS - 1))
            });
        }
        self
    }
}

impl<'a> Choosing<'a> {
    /// Returns the underlyings whose prices are needed and not given.
    ///
    /// # Errors
    /// Returns an error if a text cannot be chosen on any day, whatever the price.
    pub(crate) fn unpriced(&self) -> Result<BTreeSet<(Day, u32)>, CliError> {
        let mut all = BTreeSet::new();
        let needs = |it: &&Contracts| it.is_at_the_money() && self.select.spot(it).is_none();
        for contracts in self.select.contracts.iter().filter(needs) {
            let found = self.on_each_day(contracts, |day, today, lists| {
                Ok((day, underlying(lists, contracts, today)?.instrument_token))
            });
            all.extend(found?.0);
        }
        Ok(all)
    }

    /// Chooses all contracts, with the days on which they were chosen. Reports what was chosen, and
    /// what the lists lack.
    ///
    /// # Errors
    /// Returns an error if nothing could be chosen for a text.
    pub(crate) fn choose(
        &self,
        prices: &Prices,
        output: Output,
    ) -> Result<Vec<(Day, Named)>, CliError> {
        let mut all = Vec::new();
        for contracts in &self.select.contracts {
            let (found, failed) = self.on_each_day(contracts, |day, today, lists| {
                let first_price = || {
                    let underlying = underlying(lists, contracts, today).ok()?;
                    prices.get(&(day, underlying.instrument_token)).copied()
                };
                let needs = contracts.is_at_the_money();
                let given = || self.select.spot(contracts);
                let spot = needs.then(|| given().or_else(first_price)).flatten();
                Ok((day, spot, choose(lists, contracts, today, spot)?))
            })?;
            let on = |day: Day| match self.days.len() {
                1 => String::new(),
                _ => format!("{day}: "),
            };
            for (day, error) in failed {
                let error = format!("{}--select '{contracts}': {error}", on(day));
                output.note(OneLine(error));
            }
            for (day, spot, choice) in found {
                report(&format_args!("{}{contracts}", on(day)), &choice, spot, output);
                all.extend(choice.instruments.iter().map(|one| (day, named(one))));
            }
        }
        Ok(all)
    }

    /// Collects what is found on each day, and the errors of the others.
    ///
    /// # Errors
    /// Returns the error of the last day if nothing is found on any.
    fn on_each_day<T>(
        &self,
        contracts: &Contracts,
        find: impl Fn(Day, Date, &'a [Instruments]) -> Result<T, ChoiceError>,
    ) -> Result<OnDays<T>, CliError> {
        let (mut found, mut failed) = (Vec::new(), Vec::new());
        for &(day, today, lists) in &self.days {
            match find(day, today, lists) {
                Ok(one) => found.push(one),
                Err(error) => failed.push((day, error)),
            }
        }
        if found.is_empty()
            && let Some((day, error)) = failed.pop()
        {
            return Err(self.nothing(contracts, day, &error));
        }
        Ok((found, failed))
    }

    /// Returns the error of a text for which nothing can be chosen on any day, the last of which this
    /// is. A price is missing only on tapes: that of today is waited for.
    fn nothing(&self, contracts: &Contracts, last: Day, error: &ChoiceError) -> CliError {
        let failed = not_chosen(contracts, error);
        if let ChoiceError::Expiry { expiry: Expiry::Next, listed, .. } = error
            && let (true, [only]) = (self.is_recorded, listed.as_slice())
        {
            return failed.help(format!(
                "the tapes have only {only}: write nearest, or pass the list of the day with \
                 --instruments-file"
            ));
        }
        let days = self.days.iter().filter(|_| matches!(error, ChoiceError::Spot { .. }));
        let mut underlyings =
            days.filter(|&&(day, ..)| day == last).filter_map(|&(_, today, lists)| {
                underlying(lists, contracts, today).ok().map(|one| named(&one).name)
            });
        match underlyings.next() {
            Some(name) => failed.help(format!(
                "{name} has no price on the tapes in the chosen times: record it as well, or pass \
                 its price with --spot"
            )),
            None => failed,
        }
    }
}

/// Chooses from the first list from which it is possible.
///
/// # Errors
/// Returns the error of the first list that has the name, else of the first.
fn choose<'a>(
    lists: &'a [Instruments],
    contracts: &Contracts,
    today: Date,
    spot: Option<Amount>,
) -> Result<Choice<'a>, ChoiceError> {
    first_of(lists, contracts, |list| list.choose(contracts, today, spot))
}

/// Returns the underlying, from any of the lists.
fn underlying<'a>(
    lists: &'a [Instruments],
    contracts: &Contracts,
    today: Date,
) -> Result<Instrument<'a>, ChoiceError> {
    first_of(lists, contracts, |list| match list.underlying(contracts, today) {
        // A list of derivatives lacks the indices, which are built in.
        Err(ChoiceError::Underlying { name, symbol }) => lists
            .iter()
            .find_map(|other| other.by_symbol(&symbol))
            .ok_or(ChoiceError::Underlying { name, symbol }),
        found => found,
    })
}

fn first_of<'a, T>(
    lists: &'a [Instruments],
    contracts: &Contracts,
    find: impl Fn(&'a Instruments) -> Result<T, ChoiceError>,
) -> Result<T, ChoiceError> {
    let mut errors = Vec::new();
    for list in lists {
        match find(list) {
            Ok(found) => return Ok(found),
            Err(error) => errors.push(error),
        }
    }
    errors.sort_by_key(|error| matches!(error, ChoiceError::Name { .. }));
    let name = contracts.name().to_owned();
    let no_list = ChoiceError::Name { name, exchange: None, kind: "contracts", near: Vec::new() };
    Err(errors.into_iter().next().unwrap_or(no_list))
}

/// Reports how many contracts were chosen, and warns of strikes that the list lacks.
pub(crate) fn report(
    what: &dyn Display,
    choice: &Choice<'_>,
    spot: Option<Amount>,
    output: Output,
) {
    let (Some(first), Some(last)) = (choice.instruments.first(), choice.instruments.last()) else {
        return;
    };
    let count = numbers::counted(choice.instruments.len() as u64, "contract");
    let expiry = first.expiry.map(|day| format!(" of {day}")).unwrap_or_default();
    let strikes = match (first.strike, last.strike) {
        (Some(from), Some(to)) if from == to => format!(", strike {from}"),
        (Some(from), Some(to)) => format!(", strikes {from} to {to}"),
        _ => String::new(),
    };
    let spot = spot.map(|spot| format!(", underlying at {spot}")).unwrap_or_default();
    output.note(OneLine(format_args!("{what}: {count}{expiry}{strikes}{spot}")));
    for (missing, side) in [(choice.missing_below, "below"), (choice.missing_above, "above")] {
        if missing > 0 {
            let missing = numbers::counted(missing as u64, "strike");
            output.warn(format_args!("{what}: {missing} {side} not in the list"));
        }
    }
}

/// Returns the error of a text for which nothing can be chosen.
pub(crate) fn not_chosen(contracts: &Contracts, error: &ChoiceError) -> CliError {
    let advice = match error {
        ChoiceError::Spot { .. } | ChoiceError::Underlying { .. } => {
            Some("pass the price of the underlying with --spot".to_owned())
        }
        ChoiceError::Name { near, .. } if near.is_empty() => {
            let name = OneLine(contracts.name());
            Some(format!("search contracts with kite instruments --name '{name}'"))
        }
        _ => None,
    };
    let failed = CliError::usage(format!("--select '{contracts}': {error}"));
    match advice {
        Some(advice) => failed.help(advice),
        None => failed,
    }
}

impl Names {
    /// Prepares the choice from the lists of each day of tapes; without tapes from those of today.
    ///
    /// # Errors
    /// Returns an error if a given price is not that of one underlying.
    pub(crate) fn choosing<'a>(&'a self, select: &'a SelectArgs) -> Result<Choosing<'a>, CliError> {
        select.check()?;
        let today = Day::at_unix_ns(times::now_unix_ns());
        let days = self.lists_by_day(today).into_iter();
        let days =
            days.filter_map(|(day, lists)| Some((day, Date::from_days(day.unix_days())?, lists)));
        Ok(Choosing { select, days: days.collect(), is_recorded: self.are_recorded() })
    }
}
