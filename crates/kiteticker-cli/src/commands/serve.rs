//! `kite serve`: one feed for any number of programs, over Kite's own protocol.

mod args;
mod check;
mod config;
mod follow;
mod http;
mod made;
mod nats;
mod origin;
mod outcome;
mod places;
mod plan;
mod refusals;
mod reload;
mod report;
mod reported;
mod run;
mod service;
mod settings;
mod slow;
mod tape;

pub(crate) use self::args::ServeArgs;

use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};

/// Serves until its time is over, the replayed tape ends, or the user stops it.
pub(crate) async fn run(args: ServeArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    let plan = args.plan()?;
    if plan.is_check {
        return check::run(&plan, output).await;
    }
    run::run(plan, output, stop).await
}
