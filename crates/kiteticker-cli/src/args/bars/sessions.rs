//! A file of trading hours that replace the usual ones.
//!
//! One rule a line: who, on which day, when. `#` begins a comment.
//!
//! ```text
//! all 2026-11-08 18:00-19:00                      # Muhurat trading
//! CDS:EURUSD26NOVFUT 09:00-19:30
//! MCX 2026-12-25 17:00-23:55
//! NSE 2026-12-05 09:15-12:30 pre-open 09:00       # a Saturday
//! NFO 2026-12-24 closed
//! "NSE:NIFTY 50" 09:15-15:30                      # names with blanks are in quotes
//! ```

use std::fs;
use std::path::Path;

use kite_candles::Sessions;

use crate::console::paths;
use crate::exit::CliError;
use crate::instruments::names::Names;

/// Reads a file of rules; an instrument has the token that `names` has for it, of tapes the last one.
pub(crate) fn read(path: &Path, names: &Names) -> Result<Sessions, CliError> {
    let resolve = |name: &str| match names.resolve(name) {
        Ok(named) => Ok(named.token),
        Err(error) => Err(error.to_string()),
    };
    Sessions::from_rules(&text(path)?, resolve).map_err(|error| {
        CliError::usage(error.fault.to_string())
            .at(format_args!("{}, line {}", paths::shown(path), error.line))
            .help(
                "write: all, a segment or an instrument; a date, if any; and 09:15-15:30 or closed",
            )
    })
}

/// Reads the text of a file of rules, which may name instruments that are not known yet.
pub(crate) fn text(path: &Path) -> Result<String, CliError> {
    fs::read_to_string(path).map_err(|error| {
        CliError::unable(format!("cannot read {}", paths::shown(path))).because(error)
    })
}
