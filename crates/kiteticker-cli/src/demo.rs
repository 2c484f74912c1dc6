//! What `kite` shows without arguments: three sockets of the simulator and the live table over
//! them, or, where there is no terminal, a count of what was sent and what came.

mod count;
mod market;

use std::time::Duration;

use kite_wire::Mode;

use crate::exit::{CliError, Status};
use crate::feed::{Feed, SimFeed};
use crate::output::Output;
use crate::signals::Stop;
use crate::watch::{self, WatchOptions};

/// As long as it takes to see that nothing is lost.
const USUAL: Duration = Duration::from_secs(10);

/// What `kite demo` was asked for.
#[derive(Debug)]
pub(crate) struct DemoOptions {
    pub(crate) feed: SimFeed,
    /// For how long lines are printed, where they are asked for.
    pub(crate) duration: Option<Duration>,
    pub(crate) output: Output,
    pub(crate) stop: Stop,
}

/// Shows the demonstration until the user ends it, or its time is over.
///
/// # Errors
/// It cannot be started or shown.
pub(crate) async fn run(options: DemoOptions) -> Result<Status, CliError> {
    let DemoOptions { feed, duration, output, stop } = options;
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
