//! `kite replay`: serves recorded tapes over Kite's protocol.

pub(crate) mod print;
mod report;
mod serve;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kite_sim::MAX_SOCKETS;
use kite_tape::{Reel, Windows};

use self::print::Printing;
use crate::args::period::Period;
use crate::args::range::within;
use crate::clients;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::Speed;
use crate::feed::tapes;
use crate::format::times;
use crate::instruments::names::Names;

const EXAMPLES: &str = "\
Examples:
  kite replay tapes --speed 10
  kite replay kite-2026-11-23.ktape --from 09:15 --until 09:30
  kite replay tapes --speed max --stdout | head

Any Kite client can connect to the printed endpoint. It receives the instruments
and modes to which it subscribes. The replay starts with the first subscription,
or once N sockets have subscribed (--sockets N). At its end every client gets a
close frame (1001, \"the tape has ended\"), and this command waits until each has
read everything and closed its connection, at most --linger. It names those that
have not, prints a summary and exits. The official clients reconnect after any
close and then find no server; with --stay they find one that sends heartbeats.

Times are India's: 09:15 on each day of the tapes, 2026-11-23 (its midnight), or
2026-11-23T09:15; with an offset, 2026-11-23T03:45:00Z. The time between two
days' windows is skipped.";

/// Serve tapes over Kite's protocol, or print their ticks
#[derive(Debug, Args)]
#[command(after_help = clients::help(EXAMPLES))]
pub(crate) struct ReplayArgs {
    /// Tape files, or directories that contain them
    #[arg(value_name = "TAPE", required = true)]
    tapes: Vec<PathBuf>,
    /// Speed factor, or max [1]
    #[arg(long, value_name = "N", default_value = "1", hide_default_value = true)]
    #[arg(allow_hyphen_values = true)]
    speed: Speed,
    #[command(flatten)]
    period: Period,
    /// Shorten longer pauses to this
    #[arg(long, value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    longest_pause: Option<Duration>,
    /// Print the ticks as JSON lines instead
    #[arg(long, conflicts_with_all = ["port", "sockets", "linger", "stay", "verbatim", "lasts", "json"])]
    stdout: bool,
    /// Kite's instruments CSV [names on the tapes, or the list of the day]
    #[arg(long, value_name = "CSV", requires = "stdout")]
    instruments_file: Option<PathBuf>,
    /// Port on 127.0.0.1 [any free port]
    #[arg(long, value_name = "PORT", default_value_t = 0, hide_default_value = true)]
    #[arg(value_parser = within(0..=u16::MAX), allow_hyphen_values = true)]
    port: u16,
    /// Start once N sockets have subscribed, at most 3 [1]
    #[arg(long, value_name = "N", default_value_t = 1, hide_default_value = true)]
    #[arg(value_parser = sockets, allow_hyphen_values = true)]
    sockets: usize,
    /// Wait this long at the end for clients to read everything [30s]
    #[arg(long, value_name = "DURATION", default_value = "30s", hide_default_value = true)]
    #[arg(value_parser = times::duration, allow_hyphen_values = true)]
    linger: Duration,
    /// Stay after the end of the tape and send heartbeats
    #[arg(long)]
    stay: bool,
    /// Stop after this long
    #[arg(long = "for", value_name = "DURATION", value_parser = times::duration, allow_hyphen_values = true)]
    lasts: Option<Duration>,
    /// Send frames as recorded to every client
    #[arg(long)]
    verbatim: bool,
    /// Print the endpoint and statistics as JSON
    #[arg(long)]
    json: bool,
}

/// Parses the number of sockets to wait for.
fn sockets(text: &str) -> Result<usize, String> {
    let sockets = text.parse().ok().filter(|sockets| (1..=MAX_SOCKETS).contains(sockets));
    sockets.ok_or_else(|| format!("expected 1 to {MAX_SOCKETS}, as many as an account may open"))
}

/// Replays until the tapes end or the user stops the replay.
pub(crate) async fn run(args: ReplayArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let reel = tapes::open_and_warn(&args.tapes, output).await?;
    tapes::report_ends(&reel, output);
    let windows = args.period.windows(&reel)?;
    match args.stdout {
        true => print(&args, reel, windows, output, stop).await,
        false => serve::run(&args, &reel, windows, output, stop).await,
    }
}

/// Prints the ticks instead of serving them.
async fn print(
    args: &ReplayArgs,
    reel: Reel,
    windows: Option<Windows>,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    let names = Names::of_tapes(&reel, args.instruments_file.as_deref(), output).await?;
    let printing = Printing {
        speed: args.speed,
        windows,
        longest_pause: args.longest_pause,
        tokens: Vec::new(),
    };
    print::run(reel, printing, names, output, stop).await
}
