//! `kite instruments`: searches and filters the instrument list.

mod filters;
mod shown;

use std::collections::HashSet;
use std::path::PathBuf;

use clap::Args;
use clap::builder::RangedU64ValueParser;
use kite_conn::OneLine;
use kite_instruments::{ChoiceError, Date, Instrument, Instruments};

use self::filters::Filters;
use self::shown::{as_json, table};
use crate::args::range::within;
use crate::args::select::SelectArgs;
use crate::console::output::Output;
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials;
use crate::format::numbers;
use crate::instruments::choosing;
use crate::instruments::lists::{self, ListCredentials, Request};
use crate::instruments::names::Names;
use crate::network::Network;

const EXAMPLES: &str = "\
Examples:
  kite instruments infosys
  kite instruments NSE:INFY --json
  kite instruments nifty dec fut
  kite instruments --name NIFTY --type CE --expiry nearest --strike 24000..25000
  kite instruments --select 'NIFTY nearest 26000+-10 CE' --symbols > mine.txt
  kite instruments --token 408065
  kite instruments --segment NSE --limit 5000 --json > nse.json

--select takes [EXCHANGE:]NAME EXPIRY STRIKE[+-N] [CE|PE], or NAME EXPIRY FUT.
EXPIRY is nearest, next or a date. STRIKE is in the list, or ATM, which needs
--spot. +-N adds N strikes of the list on either side. Without CE or PE both.

Kite's list is downloaded once a day and cached; it needs no account. Lists are
kept by day for --keep-lists days, since tokens are reused after expiry.
KITE_INSTRUMENTS_URL sets another URL for it. Credentials are sent only if the
server refuses to serve the list without them. Those of the environment or of
the credentials file go only to Kite, those of --credentials to any URL.";

/// Find instruments: symbols, tokens, lots, expiries
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct InstrumentsArgs {
    /// Words to search for: part of a symbol or name, a token, a type, a month
    #[arg(value_name = "WORD", conflicts_with = "contracts")]
    words: Vec<String>,
    /// Show the instrument with this token
    #[arg(long, value_name = "N", conflicts_with_all = ["words", "contracts"])]
    token: Option<u32>,
    #[command(flatten)]
    select: SelectArgs,
    /// Show at most N results [20; with --select all]
    #[arg(long, value_name = "N", value_parser = RangedU64ValueParser::<usize>::new().range(1..))]
    limit: Option<usize>,
    /// Instruments CSV, plain or gzipped [today's list]
    #[arg(long, value_name = "CSV", conflicts_with = "refresh")]
    file: Option<PathBuf>,
    /// Download the list even if today's is cached, and accept it however short
    #[arg(long)]
    refresh: bool,
    /// Keep the lists of this many days, to name instruments on tapes [400]
    #[arg(long, value_name = "DAYS", value_parser = within(1..=u16::MAX), allow_hyphen_values = true)]
    #[arg(conflicts_with = "file")]
    keep_lists: Option<u16>,
    /// File with api_key and access_token, for a list that wants them
    #[arg(long, value_name = "FILE", conflicts_with = "file")]
    credentials: Option<PathBuf>,
    /// Print the instruments as JSON
    #[arg(long)]
    json: bool,
    /// Print only the names, one per line, for --list of watch and record
    #[arg(long, conflicts_with = "json")]
    symbols: bool,
    #[command(flatten)]
    filters: Filters,
    #[command(flatten)]
    network: Network,
}

/// Searches the list and prints what matches.
pub(crate) async fn run(
    args: &InstrumentsArgs,
    output: Output,
    stop: Stop,
) -> Result<Status, CliError> {
    stop.listen()?;
    let loading = async {
        match &args.file {
            Some(path) => lists::from_file(path, output).await,
            None => {
                let request = Request {
                    credentials: match &args.credentials {
                        Some(path) => Some(ListCredentials::Passed(credentials::read(path)?)),
                        // As a rule the list is served without them.
                        None => credentials::find_silently(None)
                            .ok()
                            .map(|it| ListCredentials::Ambient(it.credentials)),
                    },
                    network: args.network.clone(),
                    refresh: args.refresh,
                    keep_days: args.keep_lists,
                };
                lists::today(request, "pass a list with --file", output).await
            }
        }
    };
    let Some(list) = stop.until_done(loading).await? else { return Ok(Status::Interrupted) };
    let (found, is_partial) = match args.select.is_empty() {
        true => (look_up(args, &list), false),
        false => select(&args.select, &list, output)?,
    };
    let limit = args.limit.unwrap_or(if args.select.is_empty() { 20 } else { usize::MAX });
    let shown = &found[..found.len().min(limit)];
    if args.json {
        output.json(&shown.iter().map(as_json).collect())?;
    } else if args.symbols {
        let line = |one: &Instrument<'_>| format!("{}\n", OneLine(one));
        output.text(&shown.iter().map(line).collect::<String>())?;
    } else {
        output.text(&table(shown, output))?;
    }
    if shown.len() < found.len() {
        let all = numbers::grouped(found.len() as u64);
        output.note(format_args!(
            "{} of {all} shown; --limit {} shows all",
            numbers::grouped(shown.len() as u64),
            found.len()
        ));
    }
    if is_partial {
        return Ok(Status::Findings);
    }
    if found.is_empty() {
        let count = numbers::grouped(list.len() as u64);
        let advice = suggestion(args, &list);
        output.note(format_args!("no instrument of {count} matches{advice}"));
        return Ok(Status::Findings);
    }
    Ok(Status::Done)
}

/// Returns what may have been meant: values that the list has, the instrument of an exchange token, or
/// names similar to a mistyped one.
fn suggestion(args: &InstrumentsArgs, list: &Instruments) -> String {
    if let Some(text) = args.filters.unlisted(list) {
        return format!("; {text}");
    }
    let number =
        || args.words.iter().filter(|_| args.words.len() == 1).find_map(|it| it.parse().ok());
    let names = Names::of_today(Some(list.clone()));
    if let Some(text) = args.token.or_else(number).and_then(|it| names.exchange_token_warning(it)) {
        return format!("; {text}");
    }
    let typed = match &args.filters.name {
        Some(name) if args.words.is_empty() => name.clone(),
        _ => args.words.join(" "),
    };
    let similar: Vec<String> = list.similar(&typed).iter().map(Instrument::to_string).collect();
    if similar.is_empty() {
        return String::new();
    }
    format!("; did you mean {}?", similar.join(", "))
}

/// Chooses the contracts that texts describe. Also returns whether some texts describe none, which is
/// reported.
fn select<'a>(
    select: &SelectArgs,
    list: &'a Instruments,
    output: Output,
) -> Result<(Vec<Instrument<'a>>, bool), CliError> {
    select.check()?;
    let (mut found, mut is_partial) = (Vec::new(), false);
    for contracts in &select.contracts {
        let spot = select.spot(contracts).filter(|_| contracts.is_at_the_money());
        match list.choose(contracts, Date::today_in_india(), spot) {
            Ok(choice) => {
                choosing::report(contracts, &choice, spot, output);
                found.extend(choice.instruments);
            }
            // The command line lacks something, not the list.
            Err(error @ ChoiceError::Spot { .. }) => {
                return Err(choosing::not_chosen(contracts, &error));
            }
            Err(error) => {
                is_partial = true;
                output.error(&choosing::not_chosen(contracts, &error));
            }
        }
    }
    let mut seen = HashSet::new();
    found.retain(|one| seen.insert(one.instrument_token));
    Ok((found, is_partial))
}

fn look_up<'a>(args: &InstrumentsArgs, list: &'a Instruments) -> Vec<Instrument<'a>> {
    if let Some(token) = args.token {
        return list.by_token(token).into_iter().collect();
    }
    let filter = args.filters.filter(list);
    if args.words.is_empty() {
        return list.filter(&filter.unwrap_or_default()).collect();
    }
    let mut found = list.search(&args.words.join(" "), list.len());
    if let Some(filter) = filter {
        let kept: HashSet<u32> = list.filter(&filter).map(|one| one.instrument_token).collect();
        found.retain(|one| kept.contains(&one.instrument_token));
    }
    found
}
