//! The `kite` command: watches, records, replays and exports Kite Connect market data.

mod args;
mod demo;
mod exit;
mod feed;
mod names;
mod signals;
mod watch;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser as _;
use kite_wire::Mode;

use crate::args::{Cli, Color, Command};
use crate::exit::{CliError, Status};
use crate::feed::{Feed, ReplayFeed, SimFeed, Speed};
use crate::names::Names;
use crate::signals::Stop;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(status) => status.into(),
        Err(error) if error.is_closed_pipe() => Status::Done.into(),
        Err(error) => {
            exit::report(&error);
            error.status().into()
        }
    }
}

fn run(cli: Cli) -> Result<Status, CliError> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| CliError::unable("cannot start the runtime").because(error))?;
    runtime.block_on(async {
        let stop = Stop::on_signals()?;
        let color = match cli.global.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => std::io::stdout().is_terminal(),
        };
        let ascii = cli.global.ascii;
        match cli.command.unwrap_or(Command::Demo) {
            Command::Demo => {
                let feed = SimFeed::default();
                demo::run(demo::DemoOptions { feed, color, ascii, stop }).await?;
            }
            Command::Watch(asked) => {
                let names = Names::built_in();
                let instruments = asked
                    .instruments
                    .iter()
                    .map(|text| names.resolve(text))
                    .collect::<Result<Vec<_>, _>>()
                    .map_err(|error| CliError::usage("cannot watch").because(error))?;
                let feed = match asked.replay.is_empty() {
                    true => Feed::Sim(SimFeed::default()),
                    false => Feed::Replay(ReplayFeed {
                        paths: asked.replay,
                        speed: Speed::Times(1.0),
                        from: None,
                    }),
                };
                let mode = Mode::Full;
                watch::run(watch::WatchOptions {
                    instruments,
                    names,
                    mode,
                    feed,
                    color,
                    ascii,
                    stop,
                })
                .await?;
            }
        }
        Ok(Status::Done)
    })
}
