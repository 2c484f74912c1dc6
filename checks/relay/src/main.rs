//! The command: see `--help`.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use relay_checks::{Options, run};

/// Something did not hold.
const BROKEN: u8 = 1;
/// The run was not possible.
const IMPOSSIBLE: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(IMPOSSIBLE)
        }
    }
}

/// Runs the command line; returns whether everything held.
fn start() -> Result<bool, Box<dyn Error + Send + Sync>> {
    let Some(options) = Options::parse(std::env::args().skip(1))? else {
        std::io::stdout().write_all(Options::HELP.as_bytes())?;
        return Ok(true);
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&options, |line| eprintln!("{line}")))?;
    write!(std::io::stdout(), "{report}")?;
    Ok(report.is_good())
}
