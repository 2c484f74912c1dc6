//! Instrument lists as the commands get them: from a file, from today's cache, from Kite.

use std::path::Path;

use kite_conn::ErrorChain;
use kite_instruments::{Instruments, Loaded, Origin, Source};

use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::format::numbers;

/// Names another place of the list, such as a mirror.
pub(crate) const URL_VARIABLE: &str = "KITE_INSTRUMENTS_URL";

/// How many wrong rows are named; all are counted.
const PROBLEMS_TOLD: usize = 5;

/// Loads a list from a file; wrong rows are told and left out.
pub(crate) async fn from_file(path: &Path, output: Output) -> Result<Instruments, CliError> {
    let path = path.to_owned();
    let read = blocking::run("reading the instrument list", move || Instruments::from_file(path));
    let loaded = read.await?.map_err(|error| {
        CliError::unable("cannot use the instrument list")
            .because(error)
            .help("get one from https://api.kite.trade/instruments")
    })?;
    Ok(taken(loaded, output))
}

/// Gives the list of today: the one that is kept, unless it is to be refreshed, or Kite's. Where
/// that cannot be had, an older one with a warning.
pub(crate) async fn today(refresh: bool, output: Output) -> Result<Instruments, CliError> {
    let fetching = blocking::run("fetching the instrument list", move || {
        let source = source();
        if refresh { source.refresh() } else { source.today() }
    });
    let fetched = fetching.await?.map_err(|error| {
        CliError::unable("cannot get the instrument list").because(error).help(
            "name instruments by their tokens, or pass a list by --instruments-file (--file for \
             kite instruments)",
        )
    })?;
    if let Origin::Stale { day, why, .. } = &fetched.origin {
        let why = ErrorChain(why.as_ref());
        output.warn(format_args!("the instrument list is that of {day}, for {why}"));
    }
    if let Some(why) = &fetched.not_kept {
        output.warn(format_args!("the instrument list is not kept: {}", ErrorChain(why)));
    }
    Ok(taken(fetched.loaded, output))
}

/// Gives the list that is there already, whatever its day; nothing is fetched.
pub(crate) async fn cached() -> Result<Option<Instruments>, CliError> {
    let read = blocking::run("reading the instrument list", || source().kept());
    Ok(read.await?.map(|(loaded, _)| loaded.instruments))
}

fn source() -> Source {
    match std::env::var(URL_VARIABLE) {
        Ok(url) if !url.is_empty() => Source::new().url(url),
        _ => Source::new(),
    }
}

/// Tells what was wrong with a list, and gives the rest.
fn taken(loaded: Loaded, output: Output) -> Instruments {
    if loaded.problem_count > 0 {
        output.warn(format_args!(
            "{} of {} left out of the instrument list",
            numbers::counted(loaded.problem_count, "row"),
            numbers::grouped(loaded.row_count())
        ));
        for problem in loaded.problems.iter().take(PROBLEMS_TOLD) {
            output.warn(problem);
        }
    }
    loaded.instruments
}
