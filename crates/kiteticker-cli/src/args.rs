//! The command line, as clap reads it.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Watch, record, replay and export Kite Connect market data.
#[derive(Debug, Parser)]
#[command(name = "kite", version, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// Use colours: NO_COLOR counts too
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "Global options"
    )]
    pub(crate) color: Color,
    /// Draw with ASCII only
    #[arg(long, global = true, help_heading = "Global options")]
    pub(crate) ascii: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Color {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show the live table over the simulator (what `kite` alone does)
    Demo,
    /// Show live prices in a table
    Watch(Watch),
}

#[derive(Debug, Args)]
pub(crate) struct Watch {
    /// Instruments: NSE:INFY, or tokens
    #[arg(value_name = "INSTRUMENT")]
    pub(crate) instruments: Vec<String>,
    /// Take ticks from the simulator
    #[arg(long)]
    pub(crate) sim: bool,
    /// Take ticks from a tape
    #[arg(long, value_name = "TAPE", conflicts_with = "sim")]
    pub(crate) replay: Vec<PathBuf>,
}
