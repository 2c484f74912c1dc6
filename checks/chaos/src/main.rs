//! The command: see `--help`.

use std::error::Error;
use std::io::Write;
use std::process::ExitCode;

use kite_chaos::{Invocation, Options, run};

/// Some promises were not kept.
const BROKEN: u8 = 1;
/// The run was not possible.
const IMPOSSIBLE: u8 = 2;

fn main() -> ExitCode {
    match start() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(BROKEN),
        Err(error) => {
            let mut causes = error.to_string();
            let mut source = error.source();
            while let Some(cause) = source {
                causes = format!("{causes}: {cause}");
                source = cause.source();
            }
            eprintln!("{causes}");
            ExitCode::from(IMPOSSIBLE)
        }
    }
}

/// Runs the command line; returns whether every promise was kept.
fn start() -> Result<bool, Box<dyn Error>> {
    let options = match Options::parse(std::env::args().skip(1))? {
        Invocation::Run(options) => options,
        _ => {
            std::io::stdout().write_all(Options::help().as_bytes())?;
            return Ok(true);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&options, |line| eprintln!("{line}")))?;
    write!(std::io::stdout(), "{report}")?;
    Ok(report.is_good())
}
