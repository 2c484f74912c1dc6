//! Instrument lists as the commands get them: from a file, from today's cache, from Kite.

use std::path::Path;

use kite_instruments::{Instruments, Loaded};

use crate::exit::CliError;
use crate::output::{self, Output};

/// How many wrong rows are named; all are counted.
const PROBLEMS_TOLD: usize = 5;

/// Loads a list from a file; wrong rows are told and left out.
pub(crate) fn from_file(path: &Path, output: Output) -> Result<Instruments, CliError> {
    let loaded = Instruments::from_file(path).map_err(|error| {
        CliError::unable("cannot use the instrument list")
            .because(error)
            .help("get one from https://api.kite.trade/instruments")
    })?;
    Ok(taken(loaded, output))
}

/// Tells what was wrong with a list, and gives the rest.
fn taken(loaded: Loaded, output: Output) -> Instruments {
    if loaded.problem_count > 0 {
        output.warn(format_args!(
            "{} of {} left out of the instrument list",
            output::counted(loaded.problem_count, "row"),
            output::grouped(loaded.row_count())
        ));
        for problem in loaded.problems.iter().take(PROBLEMS_TOLD) {
            output.warn(problem);
        }
    }
    loaded.instruments
}

/// Gives the list of today, from the cache or from Kite.
pub(crate) async fn today(refresh: bool, output: Output) -> Result<Instruments, CliError> {
    let _ = (refresh, output);
    Err(CliError::unable("no instrument list").help("pass a file"))
}

/// Gives the list that is there already, whatever its day; nothing is fetched.
pub(crate) fn cached() -> Option<Instruments> {
    None
}
