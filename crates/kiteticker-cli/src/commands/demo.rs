//! `kite demo`, and `kite` alone: the live table over three sockets of the simulator, or, without a
//! terminal, a comparison of the ticks sent and received.

mod count;
mod market;

use std::time::Duration;

use clap::Args;
use kite_wire::Mode;

use crate::args::range::within;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::faults;
use crate::feed::deadline::Deadline;
use crate::feed::{Feed, SimFeed};
use crate::format::times;
use crate::watch::{self, WatchOptions};

const EXAMPLES: &str = "\
Examples:
  kite
  kite demo --rate 10 --chaos 5s        a busy market on a bad network";

/// Default duration without a terminal, long enough to show that nothing is lost.
const DEFAULT_LENGTH: Duration = Duration::from_secs(10);

/// Show a live table of 9,000 simulated instruments (the default)
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// The market's seed; the same seed produces the same ticks [1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Updates per second per instrument [2]
    #[arg(long, value_name = "N", value_parser = faults::rate, allow_hyphen_values = true)]
    rate: Option<f64>,
    /// Random faults, one per DURATION on average on each socket
    #[arg(long, value_name = "DURATION", value_parser = times::positive_duration, allow_hyphen_values = true)]
    chaos: Option<Duration>,
    /// Print lines for N seconds instead [10 if there is no terminal]
    #[arg(long, value_name = "N", value_parser = within(1..=86_400_u32), allow_hyphen_values = true)]
    seconds: Option<u32>,
}

/// Shows the table until the user quits, or prints lines for the given time.
///
/// # Errors
/// Returns an error if the simulator cannot be started or the table cannot be shown.
pub(crate) async fn run(args: &Demo, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let default = SimFeed::default();
    let feed = SimFeed {
        seed: args.seed.unwrap_or(default.seed),
        rate: args.rate.unwrap_or(default.rate),
        chaos: args.chaos,
    };
    let duration = args.seconds.map(|seconds| Duration::from_secs(seconds.into()));
    if duration.is_some() || !watch::has_screen() {
        return count::run(feed, duration.unwrap_or(DEFAULT_LENGTH), output, &stop).await;
    }
    let simulated = market::Simulated::default();
    watch::run(WatchOptions {
        instruments: simulated.shown(),
        background: simulated.background(),
        names: None,
        list: None,
        directory: Box::new(simulated),
        mode: Mode::Full,
        feed: Feed::Sim(feed),
        hints: vec![
            "simulated prices over real sockets: ? shows all keys, q quits".to_owned(),
            "next: kite --help, kite record --sim, kite watch NSE:INFY".to_owned(),
        ],
        color: output.color,
        ascii: output.ascii,
        json: false,
        deadline: Deadline::default(),
        stop,
    })
    .await?;
    Ok(Status::Done)
}
