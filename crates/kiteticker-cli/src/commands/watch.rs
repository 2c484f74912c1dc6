//! `kite watch`: the arguments of the live table.

use clap::Args;
use kite_wire::Mode;

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::commands::replay::print::{self, Printing};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::{Feed, tapes};
use crate::format::numbers;
use crate::instruments::loading::Need;
use crate::instruments::selection::{self, Selection};
use crate::watch::watchlists::{Name, Watchlists};
use crate::watch::{self, WatchOptions, Watched};

const EXAMPLES: &str = "\
Examples:
  kite watch --sim
  kite watch NSE:INFY NSE:RELIANCE 'NSE:NIFTY 50'
  kite watch --select 'NIFTY nearest ATM+-10' --select 'NIFTY nearest FUT'
  kite watch --replay tapes --speed 10 --from 09:15
  kite watch --sim --json --for 10s > ticks.jsonl
  kite watch --endpoint ws://127.0.0.1:8765 408065
  kite watch --watchlist bank      saved in the table by the key W

In the table ? shows all keys.

--select takes [EXCHANGE:]NAME EXPIRY STRIKE[+-N] [CE|PE], or NAME EXPIRY FUT.
EXPIRY is nearest, next or a date. STRIKE is in the list, or ATM: the strike
nearest to the underlying's first price, or to --spot. +-N adds N strikes of the
list on either side.

Instruments that never tick are reported after 30 s and at the end if there is
no table. The usual cause is an exchange token in place of an instrument token:
1594 for 408065.";

/// Show live prices in a table
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Watch {
    /// Print JSON lines in the format of `kite export` instead
    #[arg(long)]
    json: bool,
    /// Watch list that was saved in the table, by W
    #[arg(long, value_name = "NAME", conflicts_with = "list")]
    watchlist: Option<Name>,
    #[command(flatten)]
    instruments: InstrumentArgs,
    #[command(flatten)]
    feed: FeedArgs,
}

/// Shows the table until the user quits.
pub(crate) async fn run(args: &Watch, output: Output, stop: Stop) -> Result<Status, CliError> {
    let feed = args.feed.clone().settings();
    let deadline = feed.deadline()?;
    let requested = requested(args)?;
    let finding = selection::find(&requested, &feed, Need::Shown, deadline, output, &stop);
    let Some(Selection { instruments, names, feed, lacks_parts, .. }) =
        stop.until_done(finding).await?
    else {
        return Ok(Status::Done);
    };
    // In full mode the ticks are printed as they are on the tape, with their times.
    if let (Feed::Replay(feed), true, Mode::Full) = (&feed, args.json, args.instruments.mode) {
        let reel = tapes::open(&feed.paths).await?;
        let printing = Printing {
            speed: feed.speed,
            windows: feed.windows.clone(),
            longest_pause: feed.longest_pause,
            tokens: instruments.iter().map(|named| named.token).collect(),
        };
        let at_end = stop.clone();
        tokio::spawn(async move {
            deadline.reached().await;
            at_end.request();
        });
        return print::run(reel, printing, names, output, stop).await;
    }
    let Watched { damages, at_end } = watch::run(WatchOptions {
        instruments,
        names: Some((names.clone(), output)),
        list: args.watchlist.clone(),
        directory: Box::new(names),
        mode: args.instruments.mode,
        feed,
        background: Vec::new(),
        hints: Vec::new(),
        color: output.color,
        ascii: output.ascii,
        json: args.json,
        deadline,
        stop,
    })
    .await?;
    if damages > 0 {
        let places = numbers::counted(damages, "damaged place");
        output.warn(format_args!("{places} skipped; kite inspect lists them"));
    }
    at_end.warn(output);
    Ok(Status::done(lacks_parts || at_end.has_findings() || damages > 0))
}

/// Returns the instruments and their mode, with a watch list as the list.
fn requested(args: &Watch) -> Result<InstrumentArgs, CliError> {
    let mut requested = args.instruments.clone();
    let Some(name) = &args.watchlist else { return Ok(requested) };
    let cannot = |error| CliError::unable("cannot use the watch lists").because(error);
    let lists = Watchlists::of_user().map_err(cannot)?;
    let names = lists.names().map_err(cannot)?;
    if !names.contains(name) {
        let names: Vec<&str> = names.iter().map(Name::as_str).collect();
        return Err(CliError::usage(format!("no watch list is named {name}")).help(
            match names.is_empty() {
                true => "save one in the table of kite watch by the key W".to_owned(),
                false => format!("the saved ones are {}", names.join(", ")),
            },
        ));
    }
    requested.list = Some(lists.path(name));
    Ok(requested)
}
