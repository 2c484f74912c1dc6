//! Compares this project's clients with a bare loop and a published client, from the socket to the
//! application.
//!
//! Without a command, runs everything and prints the tables of benches/RESULTS.md. The load
//! generator and every run of a client are separate processes. The runs are interleaved; compare
//! the ratios within a round.

mod application;
mod client_process;
mod clients;
mod load;
mod machine;
mod processes;
mod reader;
mod reconnect;
mod relay;
mod shown;
mod suite;
mod table;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::application::Work;
use crate::clients::{Client, Run};
use crate::load::Load;
use crate::suite::Suite;

/// Any error ends the program.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(
    about = "Compares clients from the socket to the application; by default runs everything"
)]
struct Arguments {
    #[command(flatten)]
    suite: Suite,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves a load; started by the other commands.
    #[command(hide = true)]
    Serve(Load),
    /// Runs one client once; started by the other commands.
    #[command(hide = true)]
    Client {
        #[arg(long)]
        client: Client,
        #[arg(long)]
        work: Work,
        #[arg(long)]
        port: u16,
        #[arg(long, default_value_t = 64 * 1024)]
        read_buffer: usize,
        #[command(flatten)]
        load: Load,
    },
    /// Runs an idle manager; started by the other commands.
    #[command(hide = true)]
    Idle {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        seconds: u64,
    },
    /// Measures only reconnects.
    Reconnect,
    /// Compares clients under one load.
    Compare(suite::Comparison),
    /// Compares the relay with a bare loop: everything that benches/RESULTS.md shows of it.
    Relay(relay::Suite),
    /// Compares the relay with a bare loop under one load.
    RelayCompare(relay::Comparison),
    /// One process of a run of the relay; started by the other commands.
    #[command(hide = true)]
    RelayProcess {
        #[command(subcommand)]
        role: relay::Role,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Serve(load)) => load::serve(load),
        Some(Command::Client { client, work, port, read_buffer, load }) => {
            client_process::run(Run { client, work, load, port, read_buffer })
        }
        Some(Command::Idle { port, seconds }) => client_process::idle(port, seconds),
        Some(Command::Reconnect) => reconnect::report(),
        Some(Command::Compare(comparison)) => comparison.run(),
        Some(Command::Relay(suite)) => suite.run(),
        Some(Command::RelayCompare(comparison)) => comparison.run(),
        Some(Command::RelayProcess { role }) => role.run(),
        None => arguments.suite.run(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("end-to-end: {error}");
            ExitCode::FAILURE
        }
    }
}
