//! `kite demo`, and `kite` alone: the arguments of the demonstration.

use std::time::Duration;

use clap::Args;

use crate::demo::{self, DemoOptions};
use crate::exit::{CliError, Status};
use crate::feed::SimFeed;
use crate::output::Output;
use crate::signals::Stop;
use crate::times;

const EXAMPLES: &str = "\
Examples:
  kite
  kite demo --rate 10 --chaos 5s        a lively market on a bad line";

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
pub(crate) async fn run(asked: &Demo, output: Output, stop: Stop) -> Result<Status, CliError> {
    stop.listen()?;
    let usual = SimFeed::default();
    let feed = SimFeed {
        seed: asked.seed.unwrap_or(usual.seed),
        rate: asked.rate.unwrap_or(usual.rate),
        chaos: asked.chaos,
    };
    let duration = asked.seconds.map(Duration::from_secs);
    demo::run(DemoOptions { feed, duration, output, stop }).await
}
