//! Disturbs a recorder for a while, and compares its tapes with what was sent.
//!
//! `tape-soak DIRECTORY SECONDS SEED [fill] [FAKETIME]`: `fill` if the file system of the directory
//! may be filled, and the library that sets the clock. Exits with 1 if something does not add up.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the check")]
#![expect(clippy::print_stdout, reason = "a program may print")]

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use tape_checks::recording::record;
use tape_checks::soak::{Options, run};

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["record", directory, endpoint] => {
            record(Path::new(directory), endpoint).await;
            ExitCode::SUCCESS
        }
        [directory, seconds, seed, ref rest @ ..] => {
            let fills_disk = rest.contains(&"fill");
            let options = Options {
                program: std::env::current_exe().unwrap(),
                directory: directory.into(),
                fills_disk,
                faketime: rest.get(usize::from(fills_disk)).map(PathBuf::from),
                seed: seed.parse().unwrap(),
                lasts: Duration::from_secs(seconds.parse().unwrap()),
            };
            let report = run(&options, |_| {}).await;
            println!("{report:#?}");
            ExitCode::from(u8::from(report.account.is_err()))
        }
        _ => {
            eprintln!("usage: tape-soak DIRECTORY SECONDS SEED [fill] [FAKETIME]");
            ExitCode::from(2)
        }
    }
}
