//! Chooses the instruments for a command: those named, else a sensible default.

use std::collections::BTreeSet;
use std::time::Duration;

use kite_conn::MAX_INSTRUMENTS;
use kite_instruments::Amount;
use kite_manager::MAX_CONNECTIONS;
use kite_tape::{Reel, Windows};
use kite_wire::ist::Day;

use crate::args::feed::InstrumentArgs;
use crate::args::select::SelectArgs;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::CliError;
use crate::feed::deadline::Deadline;
use crate::feed::settings::FeedSettings;
use crate::feed::{Feed, ReplayFeed, first_price, tapes};
use crate::format::numbers;
use crate::instruments::choosing::Prices;
use crate::instruments::loading::Need;
use crate::instruments::names::{Named, Names, UnknownNames};

/// The limit across the connections of an account.
const MOST: usize = MAX_INSTRUMENTS * MAX_CONNECTIONS;

/// Number of exchange tokens that are warned of one by one.
const MOST_WARNINGS: usize = 10;

/// Stretch of a tape that is scanned for instruments if none is named.
const GLANCE: Duration = Duration::from_secs(60);

/// Whether the underlyings whose prices were needed are chosen with the contracts. On a tape they
/// are, so that the same text can choose from it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Underlyings {
    Added,
    LeftOut,
}

/// A feed and the instruments to subscribe.
#[derive(Debug)]
pub(crate) struct Selection {
    pub(crate) instruments: Vec<Named>,
    pub(crate) names: Names,
    pub(crate) feed: Feed,
    /// The prices of today by which contracts were chosen.
    pub(crate) prices: Prices,
    /// Whether files of the replayed tapes cannot be read.
    pub(crate) lacks_parts: bool,
}

/// Advice if no instrument is named.
const HOW_TO_CHOOSE: &str = "name some, such as NSE:INFY or 408065, or pass --list FILE or \
                             --select 'NIFTY nearest ATM+-10'";

/// Chooses a feed and its instruments as [`find_named`] does. If none is named, chooses those of the
/// first minute for a tape, else the default ones, which must be named to be recorded from a market
/// other than the simulated one.
pub(crate) async fn find(
    requested: &InstrumentArgs,
    from: &FeedSettings,
    need: Need,
    deadline: Deadline,
    output: Output,
    stop: &Stop,
) -> Result<Selection, CliError> {
    let has_own = from.is_replay() || (from.is_sim() && requested.instruments_file.is_none());
    let is_forgotten = requested.is_empty() && from.count().is_none() && !has_own;
    if is_forgotten && need == Need::Recorded {
        return Err(CliError::usage("no instrument to record is named").help(HOW_TO_CHOOSE));
    }
    let mut selection = find_named(requested, from, need, deadline, output, stop).await?;
    if selection.instruments.is_empty() {
        let names = &selection.names;
        selection.instruments = match &selection.feed {
            Feed::Replay(feed) => recorded(feed, names, output, stop).await?,
            _ => names.default_instruments(),
        };
        if is_forgotten {
            let count = selection.instruments.len();
            output.note(format_args!("no instrument is named: watching {count} built-in ones"));
        }
    }
    Ok(selection)
}

/// Chooses a feed and its instruments: those named, those that texts describe, for which the price
/// of an underlying may be waited for, and as many as `--count` for the simulator. May be none.
pub(crate) async fn find_named(
    requested: &InstrumentArgs,
    from: &FeedSettings,
    need: Need,
    deadline: Deadline,
    output: Output,
    stop: &Stop,
) -> Result<Selection, CliError> {
    requested.select.check()?;
    let mut feed = from.feed(output)?;
    // Only now, because Ctrl-C must end the prompt for credentials.
    stop.listen()?;
    let reel = match &feed {
        Feed::Replay(feed) => Some(tapes::open_and_warn(&feed.paths, output).await?),
        _ => None,
    };
    if let (Feed::Replay(feed), Some(reel)) = (&mut feed, &reel) {
        tapes::report_ends(reel, output);
        feed.windows = from.period().windows(reel)?;
        feed.looks_back = matches!(need, Need::Shown);
    }
    let lacks_parts = reel.as_ref().is_some_and(tapes::lack_parts);
    let (listed, lines) = requested.listed().await?;
    let file = requested.instruments_file.as_deref();
    let names = match &reel {
        Some(reel) => Names::of_tapes(reel, file, output).await?,
        None => of_today(requested, &listed, &feed, need, output).await?,
    };
    if let Some(list) = requested.list_name().filter(|_| listed.is_empty()) {
        return Err(CliError::usage(format!("--list: {list} names no instrument"))
            .help("write one EXCHANGE:SYMBOL or token a line, such as NSE:INFY"));
    }
    let mut instruments = chosen(requested, &listed, &lines, &names, output)?;
    warn_of_exchange_tokens(&instruments, &names, output);
    let select = &requested.select;
    let underlyings = Underlyings::of(need);
    let (described, prices) = match (&feed, &reel) {
        (Feed::Replay(feed), Some(reel)) => {
            let select = (select, underlyings);
            let windows = feed.windows.as_ref();
            (by_day(select, reel, windows, &names, output, stop).await?, Prices::new())
        }
        _ => today((select, underlyings), &feed, &names, deadline, output, stop).await?,
    };
    instruments.extend(described.into_iter().map(|(_, named)| named));
    let instruments = completed(instruments, from.count(), feed.accounts(), &names)?;
    Ok(Selection { instruments, names, feed, prices, lacks_parts })
}

/// Chooses the instruments of a running feed again, by the prices that are known.
///
/// # Errors
/// Returns an error as [`find_named`] does, and if the price of an underlying is needed and not
/// known.
pub(crate) async fn again(
    (requested, count): (&InstrumentArgs, Option<u16>),
    feed: &Feed,
    need: Need,
    price: impl Fn(Day, u32) -> Option<Amount>,
    output: Output,
) -> Result<(Vec<Named>, Names), CliError> {
    let (listed, lines) = requested.listed().await?;
    let names = of_today(requested, &listed, feed, need, output).await?;
    let mut instruments = chosen(requested, &listed, &lines, &names, output)?;
    warn_of_exchange_tokens(&instruments, &names, output);
    let choosing = names.choosing(&requested.select)?;
    let mut prices = Prices::new();
    for (day, token) in choosing.unpriced()? {
        let Some(price) = price(day, token) else {
            let name = names.named(token).name;
            let error = format!("the price of {name} is not known while the feed runs");
            return Err(CliError::usage(error).help("pass it with spot, or start again"));
        };
        prices.insert((day, token), price);
    }
    let described = choosing.choose(&prices, output)?;
    let described = Underlyings::of(need).with(described, &prices, &names);
    instruments.extend(described.into_iter().map(|(_, named)| named));
    Ok((completed(instruments, count, feed.accounts(), &names)?, names))
}

/// Loads the names that the requested instruments need.
async fn of_today(
    requested: &InstrumentArgs,
    listed: &[String],
    feed: &Feed,
    need: Need,
    output: Output,
) -> Result<Names, CliError> {
    // The list of the day is needed for what texts describe, as for names.
    let texts = requested.select.contracts.iter().map(ToString::to_string);
    let inputs = [&requested.instruments[..], listed, &texts.collect::<Vec<_>>()].concat();
    Names::load(requested.instruments_file.as_deref(), feed, &inputs, need, output).await
}

/// Removes what was chosen twice, adds `count` simulated instruments, and checks that all of them
/// fit.
fn completed(
    mut instruments: Vec<Named>,
    count: Option<u16>,
    accounts: usize,
    names: &Names,
) -> Result<Vec<Named>, CliError> {
    let mut seen = BTreeSet::new();
    instruments.retain(|named| seen.insert(named.token));
    if let Some(count) = count {
        let tokens = kite_sim::universe(count.into());
        instruments.extend(tokens.into_iter().map(|token| names.named(token)));
        instruments.sort_by_key(|named| named.token);
        instruments.dedup_by_key(|named| named.token);
    }
    if instruments.len() > accounts * MOST {
        let count = numbers::counted(instruments.len() as u64, "instrument");
        let most = numbers::grouped((accounts * MOST) as u64);
        let whose = match accounts {
            1 => "an account".to_owned(),
            several => format!("each of {several} accounts"),
        };
        return Err(CliError::usage(format!(
            "{count} requested, but the three connections of {whose} take at most {most}"
        )));
    }
    Ok(instruments)
}

/// Chooses instruments of tapes by day: those named, and those that texts describe. Empty if neither
/// is given.
pub(crate) async fn of_tapes(
    (instruments, select, underlyings): (&[String], &SelectArgs, Underlyings),
    reel: &Reel,
    windows: Option<&Windows>,
    names: &Names,
    output: Output,
    stop: &Stop,
) -> Result<BTreeSet<(Day, u32)>, CliError> {
    let mut tokens = names.resolve_by_day(instruments).map_err(UnknownNames::into_error)?;
    let select = (select, underlyings);
    let described = by_day(select, reel, windows, names, output, stop).await?;
    tokens.extend(described.into_iter().map(|(day, named)| (day, named.token)));
    Ok(tokens)
}

/// Chooses the contracts that texts describe, as on each day of tapes.
async fn by_day(
    (select, underlyings): (&SelectArgs, Underlyings),
    reel: &Reel,
    windows: Option<&Windows>,
    names: &Names,
    output: Output,
    stop: &Stop,
) -> Result<Vec<(Day, Named)>, CliError> {
    let choosing = names.choosing(select)?.within(windows);
    let prices = first_price::of_tapes(reel, windows, choosing.unpriced()?, stop).await?;
    Ok(underlyings.with(choosing.choose(&prices, output)?, &prices, names))
}

/// Chooses the contracts that texts describe today. Waits for the first price of underlyings whose
/// prices are needed, and returns the prices too.
async fn today(
    (select, underlyings): (&SelectArgs, Underlyings),
    feed: &Feed,
    names: &Names,
    deadline: Deadline,
    output: Output,
    stop: &Stop,
) -> Result<(Vec<(Day, Named)>, Prices), CliError> {
    let choosing = names.choosing(select)?;
    let unpriced = choosing.unpriced()?;
    let mut prices = Prices::new();
    if !unpriced.is_empty() {
        let waiting = unpriced.iter().map(|&(_, token)| names.named(token)).collect();
        let found = first_price::of_feed(feed.clone(), waiting, deadline, output, stop).await?;
        let of_day = |(day, token)| Some(((day, token), *found.get(&token)?));
        prices.extend(unpriced.into_iter().filter_map(of_day));
    }
    let chosen = underlyings.with(choosing.choose(&prices, output)?, &prices, names);
    Ok((chosen, prices))
}

impl Underlyings {
    fn of(need: Need) -> Self {
        match need {
            Need::Recorded => Self::Added,
            Need::Shown => Self::LeftOut,
        }
    }

    /// Returns the contracts that were chosen by these prices, with the underlyings if wanted.
    fn with(
        self,
        mut chosen: Vec<(Day, Named)>,
        prices: &Prices,
        names: &Names,
    ) -> Vec<(Day, Named)> {
        if self == Self::Added {
            chosen.extend(prices.keys().map(|&(day, token)| (day, names.named(token))));
        }
        chosen
    }
}

/// Resolves the instruments named on the command line, and those of the list that are known.
fn chosen(
    requested: &InstrumentArgs,
    listed: &[String],
    lines: &[usize],
    names: &Names,
    output: Output,
) -> Result<Vec<Named>, CliError> {
    if let (true, Some(list)) = (requested.strict, requested.list_name()) {
        let inputs = [&requested.instruments[..], listed].concat();
        let place = |input: usize| {
            let line = lines.get(input.checked_sub(requested.instruments.len())?)?;
            Some(format!("{list}, line {line}"))
        };
        return names
            .resolve_all(&inputs)
            .map_err(|unknown| unknown.written_at(place).into_error());
    }
    let mut instruments =
        names.resolve_all(&requested.instruments).map_err(UnknownNames::into_error)?;
    let (known, unknown) = names.resolve_known(listed);
    if let (Some(unknown), Some(list)) = (unknown, requested.list_name()) {
        output.warn(format_args!("left out of {list}, as unknown: {unknown}"));
        if known.is_empty() && instruments.is_empty() && requested.select.is_empty() {
            return Err(CliError::usage(format!("{list} names no known instrument"))
                .help("write one EXCHANGE:SYMBOL or token a line, such as NSE:INFY"));
        }
    }
    instruments.extend(known);
    Ok(instruments)
}

/// Warns of tokens that are exchange tokens. The server accepts them and never sends a tick.
fn warn_of_exchange_tokens(instruments: &[Named], names: &Names, output: Output) {
    let mistaken = names.exchange_tokens(instruments.iter().map(|named| named.token));
    for (token, what) in mistaken.iter().take(MOST_WARNINGS) {
        output.warn(format_args!("{token} is {what}"));
    }
    let more = mistaken.len().saturating_sub(MOST_WARNINGS);
    if more > 0 {
        output.warn(format_args!("{more} more are exchange tokens"));
    }
}

async fn recorded(
    feed: &ReplayFeed,
    names: &Names,
    output: Output,
    stop: &Stop,
) -> Result<Vec<Named>, CliError> {
    let reel = tapes::open(&feed.paths).await?;
    let from = feed.windows.as_ref().and_then(Windows::span).map_or(0, |(from, _)| from);
    let contents = tapes::contents(&reel, from, Some(GLANCE), output, stop).await?;
    Ok(contents.instruments.into_iter().take(MOST).map(|token| names.named(token)).collect())
}
