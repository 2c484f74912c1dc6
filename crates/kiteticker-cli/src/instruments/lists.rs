//! Loads instrument lists: from a file, from the cache, from Kite.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use kite_conn::{Credentials, ErrorChain};
use kite_instruments::{
    Date, FetchError, Fetched, Instruments, KITE_INSTRUMENTS_URL, Loaded, Origin, Source,
};
use kite_wire::ist::Day;

use crate::blocking;
use crate::console::output::Output;
use crate::exit::CliError;
use crate::feed::LiveFeed;
use crate::format::numbers;
use crate::network::Network;
use crate::plain_text;

/// Environment variable with another URL of the list, such as a mirror.
pub(crate) const URL_VARIABLE: &str = "KITE_INSTRUMENTS_URL";

/// Advice if Kite's list is not served without credentials, or not with those that were sent.
const CREDENTIALS_ADVICE: &str =
    "set KITE_API_KEY and KITE_ACCESS_TOKEN for Kite's list, or pass a file by --credentials";

/// Advice if another server wants credentials. The list is cached, so this suffices for all commands.
const OTHER_HOST_ADVICE: &str = "kite instruments --credentials FILE sends it those of a file";

/// Advice if a list that is a file cannot be used.
const HOW_TO_DOWNLOAD: &str = "download one from https://api.kite.trade/instruments";

/// Number of invalid rows shown; all are counted.
const PROBLEMS_SHOWN: usize = 5;

/// Loads a list from a file; invalid rows are reported and skipped.
pub(crate) async fn from_file(path: &Path, output: Output) -> Result<Instruments, CliError> {
    let path = path.to_owned();
    let read = blocking::run("reading the instrument list", move || Instruments::from_file(path));
    let loaded = read.await?.map_err(|error| {
        CliError::unable("cannot use the instrument list").because(error).help(HOW_TO_DOWNLOAD)
    })?;
    usable(loaded, output).map_err(|error| error.help(HOW_TO_DOWNLOAD))
}

/// Credentials for a list, sent if the server refuses to serve it without them.
#[derive(Debug, Clone)]
pub(crate) enum ListCredentials {
    /// The user passed them for the list.
    Passed(Credentials),
    /// From the environment, the credentials file or the feed. They are Kite's, and not sent to the
    /// server of another list.
    Ambient(Credentials),
}

/// How today's list is requested.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// The proxy and the trusted roots.
    pub(crate) network: Network,
    pub(crate) credentials: Option<ListCredentials>,
    /// Whether to download the list even if it is cached, and to accept one that has lost most of its
    /// rows.
    pub(crate) refresh: bool,
    /// For how many days lists are kept, if not the default.
    pub(crate) keep_days: Option<u16>,
}

/// Returns today's list: from the cache unless a refresh is requested, else from Kite. If the download
/// fails or has lost most of its rows, returns an older cached list with a warning; if there is none,
/// an error with `advice`.
pub(crate) async fn today(
    request: Request,
    advice: &'static str,
    output: Output,
) -> Result<Instruments, CliError> {
    let mut source = source_on(&request.network, request.credentials.as_ref())?;
    if let Some(days) = request.keep_days {
        source = source.keep_days(days);
    }
    let fetching = blocking::run("fetching the instrument list", move || {
        if request.refresh { source.accept_fewer(true).refresh() } else { source.today() }
    });
    let fetched = fetching.await?.map_err(|error| {
        let help = match error {
            FetchError::Status { status: 401 | 403, .. } => {
                format!("{CREDENTIALS_ADVICE}, or {advice}")
            }
            FetchError::OtherHost { .. } => format!("{OTHER_HOST_ADVICE}; or {advice}"),
            _ => advice.to_owned(),
        };
        CliError::unable("cannot get the instrument list").because(error).help(help)
    })?;
    match &fetched.origin {
        Origin::Stale { day, why, .. } => {
            let why = why_stale(why);
            output.warn(format_args!("using the instrument list of {day}: {why}"));
        }
        Origin::Incomplete { day, retry_in, .. } => {
            let why = why_incomplete(&fetched.origin);
            let minutes = retry_in.as_secs().div_ceil(60);
            output.warn(format_args!(
                "using the instrument list of {day}: {why}; it is downloaded again in \
                 {minutes} min, and kite instruments --refresh accepts it"
            ));
        }
        _ => {}
    }
    if let Some(why) = &fetched.not_kept {
        output.warn(format_args!("the instrument list was not cached: {}", ErrorChain(why)));
    }
    usable(fetched.loaded, output).map_err(|error| error.help(advice))
}

/// Returns why a list could not be fetched, with advice where the user can help.
fn why_stale(why: &FetchError) -> String {
    match why {
        FetchError::OtherHost { .. } => format!("{why}; {OTHER_HOST_ADVICE}"),
        _ => ErrorChain(why).to_string(),
    }
}

/// Returns why a list is not trusted, with both numbers of instruments; empty for other origins.
fn why_incomplete(origin: &Origin) -> String {
    let &Origin::Incomplete { kept_len, sent_len, .. } = origin else { return String::new() };
    let sent = numbers::counted(sent_len as u64, "instrument");
    let kept = numbers::grouped(kept_len as u64);
    format!("today's has only {sent}, fewer than half of its {kept}")
}

/// Downloads today's list. If that is not possible, warns and returns the time after which to try
/// again on the same day, if that can help.
pub(crate) async fn of_today(
    live: &LiveFeed,
    output: Output,
) -> Result<Instruments, Option<Duration>> {
    let live = live.clone();
    let fetching = blocking::run("fetching the instrument list", move || {
        let credentials = ListCredentials::Ambient(live.account.current_credentials());
        let source = source_on(&live.network, Some(&credentials));
        source.map(|source| source.refresh())
    });
    let mut again = None;
    let why = match fetching.await.and_then(|fetched| fetched) {
        Ok(Ok(Fetched { origin: origin @ Origin::Incomplete { retry_in, .. }, .. })) => {
            again = Some(retry_in);
            why_incomplete(&origin)
        }
        Ok(Ok(Fetched { origin: Origin::Stale { why, .. }, .. })) => why_stale(&why),
        Ok(Ok(fetched)) => return Ok(warn_of_problems(fetched.loaded, output)),
        Ok(Err(why)) => why_stale(&why),
        Err(why) => ErrorChain(&why).to_string(),
    };
    output.warn(format_args!("instruments keep the names of an earlier list: {why}"));
    Err(again)
}

/// Returns the latest cached list and its day; downloads nothing.
pub(crate) async fn latest() -> Result<Option<(Instruments, Date)>, CliError> {
    let read = blocking::run("reading the instrument list", || source().kept());
    Ok(read.await?.map(|(loaded, day)| (loaded.instruments, day)))
}

/// Returns the cached lists of those days that have one.
pub(crate) async fn of_days(days: BTreeSet<Day>) -> Result<BTreeMap<Day, Instruments>, CliError> {
    let read = blocking::run("reading the instrument lists", move || {
        let source = source();
        let kept = source.kept_days().into_iter();
        let wanted = kept.filter_map(|date| {
            let day = Day::from_unix_days(date.days().into())?;
            days.contains(&day).then_some((day, date))
        });
        wanted.filter_map(|(day, date)| Some((day, source.kept_on(date)?.instruments))).collect()
    });
    read.await
}

/// Prepares a download.
fn source_on(network: &Network, credentials: Option<&ListCredentials>) -> Result<Source, CliError> {
    let source = network.source(&url())?;
    Ok(match credentials {
        Some(ListCredentials::Passed(it)) => {
            source.credentials(it.api_key(), it.access_token().expose())
        }
        Some(ListCredentials::Ambient(it)) => {
            source.ambient_credentials(it.api_key(), it.access_token().expose())
        }
        None => source,
    })
}

/// The cached lists, which are read without the network.
fn source() -> Source {
    Source::new().url(url())
}

fn url() -> String {
    plain_text::variable(URL_VARIABLE).unwrap_or_else(|| KITE_INSTRUMENTS_URL.to_owned())
}

/// Warns of a list's invalid rows, and returns the rest.
///
/// # Errors
/// Returns an error if there is none.
fn usable(loaded: Loaded, output: Output) -> Result<Instruments, CliError> {
    let rows = loaded.row_count();
    let list = warn_of_problems(loaded, output);
    if list.is_empty() {
        let rows = match rows {
            0 => "only a header".to_owned(),
            rows => format!("none in {}", numbers::counted(rows, "row")),
        };
        return Err(CliError::unable(format!("the instrument list has no usable row: {rows}")));
    }
    Ok(list)
}

/// Warns of a list's invalid rows, and returns the rest.
fn warn_of_problems(loaded: Loaded, output: Output) -> Instruments {
    if loaded.problem_count > 0 {
        output.warn(format_args!(
            "{} of {} in the instrument list skipped as invalid",
            numbers::counted(loaded.problem_count, "row"),
            numbers::grouped(loaded.row_count())
        ));
        for problem in loaded.problems.iter().take(PROBLEMS_SHOWN) {
            output.warn(problem);
        }
    }
    loaded.instruments
}
