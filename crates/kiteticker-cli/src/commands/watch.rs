//! `kite watch`: the arguments of the live table.

use std::time::Duration;

use clap::Args;
use kite_conn::MAX_INSTRUMENTS;
use kite_manager::MAX_CONNECTIONS;

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::exit::CliError;
use crate::feed::Feed;
use crate::names::{Named, Names};
use crate::output::Output;
use crate::signals::Stop;
use crate::tapes;
use crate::watch::{self, WatchOptions};

const EXAMPLES: &str = "\
Examples:
  kite watch --sim
  kite watch NSE:INFY NSE:RELIANCE 'NSE:NIFTY 50'
  kite watch --replay tapes --speed 10 --from 09:15
  kite watch --endpoint ws://127.0.0.1:8765 408065";

/// So much of a tape is looked through for its instruments where none is named.
const GLANCE: Duration = Duration::from_secs(60);

/// Show live prices in a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    #[command(flatten)]
    instruments: InstrumentArgs,
    #[command(flatten)]
    feed: FeedArgs,
}

/// Shows it until the user ends it.
pub(crate) async fn run(asked: &Watch, output: Output, stop: Stop) -> Result<(), CliError> {
    let wanted = asked.instruments.asked()?;
    let names = Names::load(&asked.instruments, &asked.feed, &wanted, output).await?;
    let mut instruments = names.resolve_all(&wanted)?;
    let feed = asked.feed.feed(output)?;
    if instruments.is_empty() {
        instruments = usual(&feed, &names, output, &stop).await?;
    }
    watch::run(WatchOptions {
        instruments,
        names,
        mode: asked.instruments.mode,
        feed,
        color: output.color,
        ascii: output.ascii,
        stop,
    })
    .await
}

/// What is shown where nothing was named: what a tape has at its beginning, else a few well known.
async fn usual(
    feed: &Feed,
    names: &Names,
    output: Output,
    stop: &Stop,
) -> Result<Vec<Named>, CliError> {
    let Feed::Replay(feed) = feed else { return Ok(names.usual()) };
    let reel = tapes::open(&feed.paths)?;
    let from = feed.from.map_or(0, |from| tapes::on_first_day(from, &reel));
    let cast = tapes::cast(&reel, from, Some(GLANCE), output, stop).await?;
    let named = |token| Named { token, name: names.label(token) };
    let most = MAX_INSTRUMENTS * MAX_CONNECTIONS;
    Ok(cast.instruments.into_iter().take(most).map(named).collect())
}
