//! The `kite` command: watches, records, replays and exports Kite Connect market data.
#![allow(
    rustdoc::broken_intra_doc_links,
    reason = "clap builds help from doc comments, in which defaults are in brackets"
)]

mod args;
mod bars;
mod blocking;
mod chart;
mod clients;
mod commands;
mod console;
mod exit;
mod faults;
mod feed;
mod format;
mod instruments;
mod network;
mod plain_text;
mod recording;
mod session;
mod watch;

use std::io::{self, IsTerminal as _};
use std::process::ExitCode;

use crate::args::{Cli, Command};
use crate::console::log_line::{self, LogFormat};
use crate::console::logs;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};

fn main() -> ExitCode {
    let arguments = std::env::args_os().collect::<Vec<_>>();
    let log = args::requested_log(arguments.clone());
    if log == LogFormat::Json {
        log_line::report_panics();
    }
    let cli = match args::parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            match log {
                LogFormat::Json if error.use_stderr() => log_line::write("error", &error, None),
                // Help and the version are "errors" too. A closed output is not worth reporting.
                _ => drop(error.print()),
            }
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(Status::Usage as u8));
        }
    };
    let global = &cli.global;
    let output = Output::new(global.color, global.ascii, global.quiet).with_log(global.log);
    match run(cli, output) {
        Ok(status) => status.into(),
        Err(error) if error.is_closed_pipe() => Status::Done.into(),
        Err(error) => {
            output.error(&error);
            error.status().into()
        }
    }
}

fn run(mut cli: Cli, output: Output) -> Result<Status, CliError> {
    let draws = matches!(cli.command, None | Some(Command::Demo(_) | Command::Watch(_)));
    if cli.global.verbose > 0 && draws && io::stdout().is_terminal() && io::stderr().is_terminal() {
        return Err(CliError::usage("-v would write its logs over the table")
            .help("redirect them: kite watch -v … 2>kite.log"));
    }
    logs::show(cli.global.verbose, cli.global.log)?;
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    if let Some(Command::Serve(args)) = &mut cli.command {
        args.load(output)?;
        runtime.worker_threads(args.threads());
    }
    let runtime = runtime
        .enable_all()
        .build()
        .map_err(|error| CliError::unable("cannot start the runtime").because(error))?;
    let done = runtime.block_on(async {
        let stop = Stop::new();
        let done = |()| Status::Done;
        match cli.command.unwrap_or_else(|| Command::Demo(Default::default())) {
            Command::Demo(args) => commands::demo::run(&args, output, stop).await,
            Command::Watch(args) => commands::watch::run(&args, output, stop).await,
            Command::Record(args) => commands::record::run(args, output, stop).await,
            Command::Replay(args) => commands::replay::run(args, output, stop).await,
            Command::Inspect(args) => commands::inspect::run(args, output, stop).await,
            Command::Export(args) => commands::export::run(args, output, stop).await,
            Command::Candles(args) => commands::candles::run(args, output, stop).await,
            Command::Chart(args) => commands::chart::run(args, output, stop).await,
            Command::Cut(args) => commands::edit::cut(args, output, stop).await,
            Command::Merge(args) => commands::edit::merge(args, output, stop).await,
            Command::Repair(args) => commands::edit::repair(args, output, stop).await,
            Command::Pack(args) => commands::pack::run(args, output, stop).await,
            Command::Instruments(args) => commands::instruments::run(&args, output, stop).await,
            Command::Serve(args) => commands::serve::run(*args, output, stop).await,
            Command::Login(args) => commands::login::run(&args, output, stop).await,
            Command::Logout(args) => commands::logout::run(&args, output, stop).await,
            Command::Sim(args) => commands::sim::run(&args, output, stop).await.map(done),
            Command::Doctor(args) => commands::doctor::run(&args, output, stop).await,
            Command::Completions(args) => commands::completions::run(&args, output).map(done),
            Command::Man(args) => commands::man::run(&args, output).map(done),
        }
    });
    // Work that a signal has ended early must not delay the exit.
    runtime.shutdown_background();
    done
}
