//! `kite serve`: one feed for any number of programs, over Kite's own protocol.

mod args;
mod follow;
mod made;
mod origin;
mod outcome;
mod refusals;
mod report;
mod reported;
mod run;
mod settings;
mod slow;
mod tape;

pub(crate) use self::args::ServeArgs;

use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};

/// Serves until its time is over, the replayed tape ends, or the user stops it.
pub(crate) async fn run(args: ServeArgs, output: Output, stop: Stop) -> Result<Status, CliError> {
    run::run(args.settings()?, output, stop).await
}
