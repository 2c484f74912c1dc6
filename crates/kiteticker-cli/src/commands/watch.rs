//! `kite watch`: the arguments of the live table.

use clap::Args;

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::instruments::wanted::{self, Wanted};
use crate::watch::{self, WatchOptions};

const EXAMPLES: &str = "\
Examples:
  kite watch --sim
  kite watch NSE:INFY NSE:RELIANCE 'NSE:NIFTY 50'
  kite watch --replay tapes --speed 10 --from 09:15
  kite watch --endpoint ws://127.0.0.1:8765 408065";

/// Show live prices in a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    #[command(flatten)]
    instruments: InstrumentArgs,
    #[command(flatten)]
    feed: FeedArgs,
    /// Print ticks as the JSON lines of `kite export` instead
    #[arg(long)]
    json: bool,
}

/// Shows it until the user ends it.
pub(crate) async fn run(asked: &Watch, output: Output, stop: Stop) -> Result<(), CliError> {
    let Wanted { instruments, names, feed } =
        wanted::find(&asked.instruments, &asked.feed, output, &stop).await?;
    watch::run(WatchOptions {
        instruments,
        directory: Box::new(names),
        mode: asked.instruments.mode,
        feed,
        background: Vec::new(),
        hints: Vec::new(),
        color: output.color,
        ascii: output.ascii,
        json: asked.json,
        stop,
    })
    .await
}
