//! `kite demo`, and `kite` alone: three sockets of the simulator and the live table over them, or,
//! where there is no terminal, a count of what was sent and what came.

mod count;
mod market;

use std::time::Duration;

use clap::Args;
use kite_wire::Mode;

use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::{Feed, SimFeed};
use crate::format::times;
use crate::watch::{self, WatchOptions};

const EXAMPLES: &str = "\
Examples:
  kite
  kite demo --rate 10 --chaos 5s        a lively market on a bad line";

/// As long as it takes to see that nothing is lost.
const USUAL: Duration = Duration::from_secs(10);

/// Show the live table over the simulator: what `kite` alone does
#[derive(Debug, Default, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Demo {
    /// The market's seed; the same seed, the same ticks [1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Updates per second of each instrument [2]
    #[arg(long, value_name = "N")]
    rate: Option<f64>,
    /// Faults by chance, one in this time on average
    #[arg(long, value_name = "TIME", value_parser = times::positive_duration)]
    chaos: Option<Duration>,
    /// Print lines for N seconds instead [10 where there is no terminal]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: Option<u64>,
}

/// Shows it until the user ends it, or prints lines for a while.
///
/// # Errors
/// It cannot be started or shown.
pub(crate) async fn run(asked: &Demo, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let usual = SimFeed::default();
    let feed = SimFeed {
        seed: asked.seed.unwrap_or(usual.seed),
        rate: asked.rate.unwrap_or(usual.rate),
        chaos: asked.chaos,
    };
    let duration = asked.seconds.map(Duration::from_secs);
    if duration.is_some() || !watch::has_screen() {
        return count::run(feed, duration.unwrap_or(USUAL), output, &stop).await;
    }
    let simulated = market::Simulated::default();
    watch::run(WatchOptions {
        instruments: simulated.shown(),
        background: simulated.background(),
        directory: Box::new(simulated),
        mode: Mode::Full,
        feed: Feed::Sim(feed),
        hints: vec![
            "simulated prices, real sockets: ? shows all keys, q quits".to_owned(),
            "next: kite --help, kite record --sim, kite watch NSE:INFY".to_owned(),
        ],
        color: output.color,
        ascii: output.ascii,
        json: false,
        stop,
    })
    .await?;
    Ok(Status::Done)
}
