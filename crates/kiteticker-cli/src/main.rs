//! The `kite` command: watches, records, replays and exports Kite Connect market data.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "clap takes help from documentation, and defaults stand in brackets there"
)]

mod args;
mod blocking;
mod commands;
mod console;
mod exit;
mod faults;
mod feed;
mod format;
mod instruments;
mod watch;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::console::logs;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};

fn main() -> ExitCode {
    let cli = match args::parse(std::env::args_os().collect::<Vec<_>>()) {
        Ok(cli) => cli,
        Err(told) => {
            // Help and the version come this way too. A reader that has gone misses nothing.
            let _ = told.print();
            return ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(Status::Usage as u8));
        }
    };
    let output = Output::new(cli.global.color, cli.global.ascii, cli.global.quiet);
    match run(cli, output) {
        Ok(status) => status.into(),
        Err(error) if error.is_closed_pipe() => Status::Done.into(),
        Err(error) => {
            output.error(&error);
            error.status().into()
        }
    }
}

fn run(cli: Cli, output: Output) -> Result<Status, CliError> {
    let draws = matches!(cli.command, None | Some(Command::Demo(_) | Command::Watch(_)));
    if cli.global.verbose > 0 && draws && io::stdout().is_terminal() && io::stderr().is_terminal() {
        return Err(CliError::usage("the logs of -v would be written over the table")
            .help("send them elsewhere: kite watch -v … 2>kite.log"));
    }
    logs::show(cli.global.verbose)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::unable("cannot start the runtime").because(error))?;
    runtime.block_on(async {
        let stop = Stop::new();
        let done = |()| Status::Done;
        match cli.command.unwrap_or_else(|| Command::Demo(Default::default())) {
            Command::Demo(asked) => commands::demo::run(&asked, output, stop).await,
            Command::Watch(asked) => commands::watch::run(&asked, output, stop).await.map(done),
            Command::Record(asked) => commands::record::run(asked, output, stop).await,
            Command::Replay(asked) => commands::replay::run(asked, output, stop).await.map(done),
            Command::Inspect(asked) => commands::inspect::run(asked, output, stop).await,
            Command::Export(asked) => commands::export::run(asked, output, stop).await,
            Command::Instruments(asked) => commands::instruments::run(&asked, output).await,
            Command::Sim(asked) => commands::sim::run(&asked, output, stop).await.map(done),
            Command::Doctor(asked) => commands::doctor::run(&asked, output, stop).await,
            Command::Completions(asked) => commands::completions::run(&asked, output).map(done),
        }
    })
}
