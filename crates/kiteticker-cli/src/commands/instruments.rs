//! `kite instruments`: searches and filters the instrument list.

use std::collections::HashSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use clap::Args;
use kite_conn::OneLine;
use kite_instruments::{
    Amount, ChoiceError, Date, Exchange, Expiry, Filter, Instrument, InstrumentType, Instruments,
};
use serde_json::json;

use crate::args::select::SelectArgs;
use crate::console::output::{self, Output};
use crate::console::signals::Stop;
use crate::exit::{CliError, Status};
use crate::feed::credentials;
use crate::format::numbers;
use crate::instruments::choosing;
use crate::instruments::lists::{self, ListCredentials, Request};
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
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Instruments CSV, plain or gzipped [today's list]
    #[arg(long, value_name = "CSV", conflicts_with = "refresh")]
    file: Option<PathBuf>,
    /// Download the list even if today's is cached, and accept it however short
    #[arg(long)]
    refresh: bool,
    /// Keep the lists of this many days, to name instruments on tapes [400]
    #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..))]
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

/// Conditions that instruments must meet.
#[derive(Debug, Args)]
#[command(next_help_heading = "Filters")]
#[group(conflicts_with = "contracts")]
struct Filters {
    /// Exchange: NSE, BSE, NFO, BFO, CDS, BCD, MCX …
    #[arg(long, value_name = "NAME", value_parser = exchange)]
    exchange: Option<Exchange>,
    /// Segment: NSE, INDICES, NFO-FUT, NFO-OPT …
    #[arg(long, value_name = "NAME")]
    segment: Option<String>,
    /// Instrument type: EQ, FUT, CE or PE
    #[arg(long = "type", value_name = "KIND", value_parser = kind)]
    kind: Option<InstrumentType>,
    /// Name (for derivatives: the underlying), such as NIFTY
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Expiry: a day such as 2026-12-31, nearest, or next
    #[arg(long, value_name = "DAY")]
    expiry: Option<Expiry>,
    /// Strike price: 24500, or a range 24000..25000
    #[arg(long, value_name = "PRICE", value_parser = strikes)]
    strike: Option<RangeInclusive<Amount>>,
}

fn exchange(text: &str) -> Result<Exchange, String> {
    let upper = text.to_ascii_uppercase();
    Exchange::from_name(&upper)
        .ok_or_else(|| "expected NSE, BSE, NFO, BFO, CDS, BCD or MCX".to_owned())
}

fn kind(text: &str) -> Result<InstrumentType, String> {
    let upper = text.to_ascii_uppercase();
    InstrumentType::from_name(&upper).ok_or_else(|| "expected EQ, FUT, CE or PE".to_owned())
}

fn strikes(text: &str) -> Result<RangeInclusive<Amount>, String> {
    let price = |text: &str| text.parse().map_err(|_| "expected 24500 or 24000..25000".to_owned());
    match text.split_once("..") {
        Some((from, to)) => Ok(price(from)?..=price(to.trim_start_matches('='))?),
        None => price(text).map(|price| price..=price),
    }
}

impl Filters {
    /// Returns the filter; `None` if no option was set.
    fn filter(&self) -> Option<Filter> {
        let mut filter = Filter::new();
        if let Some(exchange) = self.exchange {
            filter = filter.exchange(exchange);
        }
        if let Some(segment) = &self.segment {
            filter = filter.segment(segment);
        }
        if let Some(kind) = self.kind {
            filter = filter.instrument_type(kind);
        }
        if let Some(name) = &self.name {
            filter = filter.name(name);
        }
        if let Some(strikes) = &self.strike {
            filter = filter.strikes(strikes.clone());
        }
        filter = match self.expiry {
            Some(Expiry::On(day)) => filter.expiry(day),
            Some(_) => filter.nearest_expiry(Date::today_in_india()),
            None => filter,
        };
        (filter != Filter::new()).then_some(filter)
    }
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
        output.note(format_args!("no instrument of {count} matches{}", suggestion(args, &list)));
        return Ok(Status::Findings);
    }
    Ok(Status::Done)
}

/// Returns the names that may have been meant by a mistyped one.
fn suggestion(args: &InstrumentsArgs, list: &Instruments) -> String {
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
    let mut filter = args.filters.filter();
    if let (Some(Expiry::Next), Some(nearest)) = (args.filters.expiry, &filter) {
        let day = list.filter(nearest).find_map(|one| one.expiry);
        let after = day.and_then(|day| Date::from_days(day.days() + 1));
        filter = after.map(|after| nearest.clone().nearest_expiry(after)).or(filter);
    }
    if let Some(token) = args.token {
        return list.by_token(token).into_iter().collect();
    }
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

fn table(found: &[Instrument<'_>], output: Output) -> String {
    if found.is_empty() {
        return String::new();
    }
    let symbol = |one: &Instrument<'_>| format!("{}:{}", one.exchange, one.tradingsymbol);
    let width = found.iter().map(|one| symbol(one).chars().count()).max().unwrap_or(0).max(6);
    let head = format!(
        "{:>10}  {:<width$}  {:<4} {:<10} {:>9} {:>6} {:>6}  {}",
        "TOKEN", "SYMBOL", "KIND", "EXPIRY", "STRIKE", "LOT", "TICK", "NAME"
    );
    let mut text = output.paint(output::BOLD, head) + "\n";
    for one in found {
        let price = |price: Option<Amount>| price.map(|it| it.to_string()).unwrap_or_default();
        let line = format!(
            "{:>10}  {:<width$}  {:<4} {:<10} {:>9} {:>6} {:>6}  {}",
            one.instrument_token,
            symbol(one),
            one.instrument_type.as_str(),
            one.expiry.map(|day| day.to_string()).unwrap_or_default(),
            price(one.strike),
            one.lot_size.map(|lot| lot.to_string()).unwrap_or_default(),
            price(one.tick_size),
            one.name
        );
        text += &OneLine(line.trim_end()).to_string();
        text.push('\n');
    }
    text
}

/// Returns the columns of an instrument; `null` for what the list lacks.
fn as_json(one: &Instrument<'_>) -> serde_json::Value {
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    json!({
        "instrument_token": one.instrument_token,
        "exchange_token": one.exchange_token,
        "tradingsymbol": one.tradingsymbol,
        "name": known(one.name),
        "last_price": one.last_price.map(Amount::to_f64),
        "expiry": one.expiry.map(|day| day.to_string()),
        "strike": one.strike.map(Amount::to_f64),
        "tick_size": one.tick_size.map(Amount::to_f64),
        "lot_size": one.lot_size,
        "instrument_type": known(one.instrument_type.as_str()),
        "segment": known(one.segment),
        "exchange": one.exchange.as_str(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_of_a_list_cannot_control_a_terminal() {
        let header = "instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,\
                      tick_size,lot_size,instrument_type,segment,exchange";
        let row = "408065,1594,INFY,\u{1b}[2J\u{202e}INFOSYS,0,,0,0.05,1,EQ,NSE,NSE";
        let loaded = Instruments::from_csv(format!("{header}\n{row}\n")).unwrap();
        let found: Vec<_> = loaded.instruments.by_token(408_065).into_iter().collect();
        let output = Output::new(output::ColorChoice::Never, false, true);
        let text = table(&found, output);
        assert!(text.ends_with("  [2J INFOSYS\n"), "{text:?}");
    }

    #[test]
    fn filters_ignore_case() {
        assert_eq!(exchange("nfo"), Ok(Exchange::Nfo));
        assert_eq!(kind("ce"), Ok(InstrumentType::Ce));
        // An exchange that Kite adds must not need a new release.
        assert!(exchange("GIFT").is_ok());
        assert!(kind(&"far too long for a kind".repeat(9)).is_err());
    }

    #[test]
    fn strikes_are_a_price_or_a_range() {
        let price = Amount::from;
        assert_eq!(strikes("24500"), Ok(price(24_500_u32)..=price(24_500_u32)));
        assert_eq!(strikes("100..=200"), Ok(price(100_u32)..=price(200_u32)));
        assert!(strikes("low..high").is_err());
    }
}
