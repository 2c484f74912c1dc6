//! From the socket to the application: ours, a bare loop and a published client, side by side.
//!
//! Without a command it runs all and prints the tables of benches/RESULTS.md. A load generator
//! and every run of a client are processes of their own; the runs are interleaved, and what counts
//! are ratios within a round.

mod application;
mod client;
mod load;
mod machine;
mod processes;
mod reader;
mod reconnect;
mod suite;
mod table;
mod ways;

use std::error::Error;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::application::Work;
use crate::load::Load;
use crate::suite::Suite;
use crate::ways::{Run, Way};

/// What can go wrong here ends the program.
type Failure = Box<dyn Error + Send + Sync>;

#[derive(Debug, Parser)]
#[command(about = "From the socket to the application, side by side; without a command all of it")]
struct Arguments {
    #[command(flatten)]
    suite: Suite,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serves a load; started by the others.
    #[command(hide = true)]
    Serve(Load),
    /// Runs one client once; started by the others.
    #[command(hide = true)]
    Client {
        #[arg(long)]
        way: Way,
        #[arg(long)]
        work: Work,
        #[arg(long)]
        port: u16,
        #[arg(long, default_value_t = 64 * 1024)]
        read_buffer: usize,
        #[command(flatten)]
        load: Load,
    },
    /// Runs an idle manager; started by the others.
    #[command(hide = true)]
    Idle {
        #[arg(long)]
        port: u16,
        #[arg(long)]
        seconds: u64,
    },
    /// Measures reconnects alone.
    Reconnect,
    /// Compares the ways under one load.
    Compare(suite::Comparison),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let result = match arguments.command {
        Some(Command::Serve(load)) => load::serve(load),
        Some(Command::Client { way, work, port, read_buffer, load }) => {
            client::run(Run { way, work, load, port, read_buffer })
        }
        Some(Command::Idle { port, seconds }) => client::idle(port, seconds),
        Some(Command::Reconnect) => reconnect::report(),
        Some(Command::Compare(comparison)) => comparison.run(),
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
