//! Which instruments a command takes: those that were named, or else a sensible few.

use std::time::Duration;

use kite_conn::MAX_INSTRUMENTS;
use kite_manager::MAX_CONNECTIONS;

use crate::args::feed::{FeedArgs, InstrumentArgs};
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::tapes;
use crate::feed::{Feed, ReplayFeed};
use crate::format::numbers;
use crate::instruments::names::{Named, Names};

/// As many as the connections of an account take.
const MOST: usize = MAX_INSTRUMENTS * MAX_CONNECTIONS;

/// So much of a tape is looked through for its instruments where none is named.
const GLANCE: Duration = Duration::from_secs(60);

/// What is taken of which feed.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) instruments: Vec<Named>,
    pub(crate) names: Names,
    pub(crate) feed: Feed,
}

/// Settles on a feed and on instruments. Those not named are the usual ones, of a tape all that it
/// has in its first minute, of the simulator as many as were asked for by number.
pub(crate) async fn find(
    asked: &InstrumentArgs,
    from: &FeedArgs,
    output: Output,
    stop: &Stop,
) -> Result<Wanted, CliError> {
    let feed = from.feed(output)?;
    // Credentials may have been asked for until here.
    stop.listen()?;
    let texts = asked.asked()?;
    let names = Names::load(asked.instruments_file.as_deref(), &feed, &texts, output).await?;
    let mut instruments = names.resolve_all(&texts)?;
    if let Some(count) = from.count {
        let tokens = kite_sim::universe(count.min(MOST));
        instruments.extend(tokens.into_iter().map(|token| names.named(token)));
        instruments.sort_by_key(|named| named.token);
        instruments.dedup_by_key(|named| named.token);
    }
    if instruments.is_empty() {
        instruments = match &feed {
            Feed::Replay(feed) => recorded(feed, &names, output, stop).await?,
            _ => names.usual(),
        };
    }
    if instruments.len() > MOST {
        let asked = numbers::counted(instruments.len() as u64, "instrument");
        let most = numbers::grouped(MOST as u64);
        return Err(CliError::usage(format!(
            "{asked} asked, an account's three connections take {most}"
        )));
    }
    Ok(Wanted { instruments, names, feed })
}

async fn recorded(
    feed: &ReplayFeed,
    names: &Names,
    output: Output,
    stop: &Stop,
) -> Result<Vec<Named>, CliError> {
    let reel = tapes::open(&feed.paths).await?;
    let from = feed.from.map_or(0, |from| tapes::on_first_day(from, &reel));
    let contents = tapes::contents(&reel, from, Some(GLANCE), output, stop).await?;
    Ok(contents.instruments.into_iter().take(MOST).map(|token| names.named(token)).collect())
}
