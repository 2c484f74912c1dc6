//! Loads instrument lists: from a file, from the cache, from Kite.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use kite_conn::ErrorChain;
use kite_instruments::{Date, Fetched, Instruments, Loaded, Origin, Source};
use kite_wire::ist::Day;

use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::numbers;
use crate::plain_text;

/// Environment variable with another URL of the list, such as a mirror.
pub(crate) const URL_VARIABLE: &str = "KITE_INSTRUMENTS_URL";

/// Number of invalid rows shown; all are counted.
const PROBLEMS_SHOWN: usize = 5;

/// Loads a list from a file; invalid rows are reported and skipped.
pub(crate) async fn from_file(path: &Path, output: Output) -> Result<Instruments, CliError> {
    let path = path.to_owned();
    let read = blocking::run("reading the instrument list", move || Instruments::from_file(path));
    let loaded = read.await?.map_err(|error| {
        CliError::unable("cannot use the instrument list")
            .because(error)
            .help("download one from https://api.kite.trade/instruments")
    })?;
    Ok(warn_of_problems(loaded, output))
}

/// How today's list is requested.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Request {
    /// Whether to download the list even if it is cached.
    pub(crate) refresh: bool,
    /// For how many days lists are kept, if not the default.
    pub(crate) keep_days: Option<u16>,
}

/// Returns today's list: from the cache unless a refresh is requested, else from Kite. If the download
/// fails, returns an older cached list with a warning; if there is none, an error with `advice`.
pub(crate) async fn today(
    request: Request,
    advice: &'static str,
    output: Output,
) -> Result<Instruments, CliError> {
    let fetching = blocking::run("fetching the instrument list", move || {
        let source = match request.keep_days {
            Some(days) => source().keep_days(days),
            None => source(),
        };
        if request.refresh { source.refresh() } else { source.today() }
    });
    let fetched = fetching.await?.map_err(|error| {
        CliError::unable("cannot get the instrument list").because(error).help(advice)
    })?;
    if let Origin::Stale { day, why, .. } = &fetched.origin {
        let why = ErrorChain(why.as_ref());
        output.warn(format_args!("using the instrument list of {day}: {why}"));
    }
    if let Some(why) = &fetched.not_kept {
        output.warn(format_args!("the instrument list was not cached: {}", ErrorChain(why)));
    }
    Ok(warn_of_problems(fetched.loaded, output))
}

/// Downloads today's list; warns if that is not possible.
pub(crate) async fn of_today(output: Output) -> Option<Instruments> {
    let fetching = blocking::run("fetching the instrument list", || source().refresh());
    let why = match fetching.await {
        Ok(Ok(Fetched { origin: Origin::Stale { why, .. }, .. })) => {
            ErrorChain(why.as_ref()).to_string()
        }
        Ok(Ok(fetched)) => return Some(warn_of_problems(fetched.loaded, output)),
        Ok(Err(why)) => ErrorChain(&why).to_string(),
        Err(why) => ErrorChain(&why).to_string(),
    };
    output.warn(format_args!("instruments keep the names of an earlier list: {why}"));
    None
}

/// Returns the latest cached list and its day; downloads nothing.
pub(crate) async fn latest() -> Result<Option<(Instruments, Date)>, CliError> {
    let read = blocking::run("reading the instrument list", || source().kept());
    Ok(read.await?.map(|(loaded, day)| (loaded.instruments, day)))
}

/// Returns the cached lists of those days that have one.
pub(crate) async fn of_days(days: BTreeSet<Day>) -> Result<BTreeMap<Day, Instruments>, CliError> {
    let read = blocking::run("reading the instrument lists", move || {
        let source = source();
        let kept = source.kept_days().into_iter();
        let wanted = kept.filter_map(|date| {
            let day = Day::from_unix_days(date.days().into())?;
            days.contains(&day).then_some((day, date))
        });
        wanted.filter_map(|(day, date)| Some((day, source.kept_on(date)?.instruments))).collect()
    });
    read.await
}

fn source() -> Source {
    match plain_text::variable(URL_VARIABLE) {
        Some(url) => Source::new().url(url),
        None => Source::new(),
    }
}

/// Warns of a list's invalid rows, and returns the rest.
fn warn_of_problems(loaded: Loaded, output: Output) -> Instruments {
    if loaded.problem_count > 0 {
        output.warn(format_args!(
            "{} of {} in the instrument list skipped as invalid",
            numbers::counted(loaded.problem_count, "row"),
            numbers::grouped(loaded.row_count())
        ));
        for problem in loaded.problems.iter().take(PROBLEMS_SHOWN) {
            output.warn(problem);
        }
    }
    loaded.instruments
}
