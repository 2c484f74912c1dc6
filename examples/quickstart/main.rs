//! The main job in one command: thousands of instruments over three connections, live on screen.
//!
//! `cargo run --release --example quickstart` needs no account: it starts the simulator of Kite's
//! ticker server and streams from it over real WebSockets. `-- --help` lists the options. To see
//! how the library is used, read `run.rs` and `consumer.rs`; the rest is for the screen.

mod args;
mod consumer;
mod instruments;
mod latency;
mod numbers;
mod run;
mod sampler;
mod screen;
mod summary;
mod view;

use std::io::{self, ErrorKind, Write as _};
use std::process::ExitCode;

use args::Asked;
use run::RunError;
use screen::Screen;

/// Exit code where something was lost.
const LOST: u8 = 1;
/// Exit code for arguments that are not understood.
const WRONG_ARGUMENTS: u8 = 2;
/// Exit code where the run did not come about or could not be shown to its end.
const FAILED: u8 = 3;

fn main() -> ExitCode {
    let arguments = std::env::args_os().skip(1).map(|one| one.to_string_lossy().into_owned());
    let options = match args::parse(arguments, |name| std::env::var(name).ok()) {
        Ok(Asked::Run(options)) => options,
        Ok(Asked::Help) => return exit_code(io::stdout().write_all(args::HELP.as_bytes()), 0),
        Err(error) => {
            eprintln!("quickstart: {error}");
            return ExitCode::from(WRONG_ARGUMENTS);
        }
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return exit_code(Err(error), 0),
    };
    let mut screen = Screen::new(io::stdout(), screen::is_in_place());
    match runtime.block_on(run::run(options, &mut screen)) {
        Ok(summary) => {
            let lines = summary.lines(screen.style());
            exit_code(screen.say(&lines), if summary.is_lossy() { LOST } else { 0 })
        }
        Err(RunError::Output(error)) => exit_code(Err(error), 0),
        Err(error) => {
            eprintln!("quickstart: {error}");
            ExitCode::from(FAILED)
        }
    }
}

/// Gives the exit code of a run, or of its output if that failed.
fn exit_code(output: io::Result<()>, code: u8) -> ExitCode {
    match output {
        Ok(()) => ExitCode::from(code),
        Err(error) => {
            // The reader of a pipe that has seen enough, as `head` does, needs no telling.
            if error.kind() != ErrorKind::BrokenPipe {
                eprintln!("quickstart: {error}");
            }
            ExitCode::from(FAILED)
        }
    }
}
