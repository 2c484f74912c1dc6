//! The section `[feed]`: the source of ticks, and the instruments that are always subscribed.

use std::fmt::Display;
use std::path::PathBuf;

use kite_conn::{Endpoint, Proxy};
use kite_instruments::{Contracts, Date};
use kite_manager::MAX_CONNECTIONS;
use kite_wire::Mode;

use super::document::{At, Section};
use super::files::Files;
use crate::args::feed::InstrumentArgs;
use crate::args::select::SelectArgs;
use crate::commands::serve::settings::is_plain_name;
use crate::faults;
use crate::feed::settings::{AccountSettings, FeedSettings, FeedSource, MAIN_ACCOUNT};
use crate::feed::{SimFeed, Speed};
use crate::format::times::{self, Moment};
use crate::instruments::names::is_token;
use crate::network::Network;
use crate::plain_text::trimmed;

/// What the section says.
#[derive(Debug)]
pub(super) struct Feed {
    pub(super) source: FeedSource,
    pub(super) instruments: InstrumentArgs,
    pub(super) connections: usize,
    /// Sockets of clients that have to subscribe before a replay starts.
    pub(super) sockets: usize,
}

/// Keys that belong to one source of ticks.
const OF_SIM: [&str; 4] = ["seed", "rate", "chaos", "count"];
const OF_REPLAY: [&str; 4] = ["speed", "from", "days", "sockets"];
const OF_SERVER: [&str; 5] = ["endpoint", "credentials", "account", "proxy", "ca_file"];

/// Reads the section.
pub(super) fn read(mut section: Section<'_>, files: &mut Files<'_>) -> Feed {
    let sim = section.flag("sim").filter(|it| it.value).map(|it| it.line);
    let replay = section.all_parsed("replay", path);
    let other = match (sim, replay.first()) {
        (Some(sim), Some(replay)) => {
            let text = format!("cannot be used with sim = true, line {sim}");
            section.wrong(replay.line, "replay", text);
            None
        }
        (Some(line), None) => Some(("sim = true", line)),
        (None, Some(replay)) => Some(("replay", replay.line)),
        (None, None) => None,
    };
    let refuse = |section: &Section<'_>, keys: &[&'static str]| {
        for (key, line) in keys.iter().filter_map(|key| Some((*key, section.line_of(key)?))) {
            match other {
                Some((source, at)) => {
                    section.wrong(
                        line,
                        key,
                        format_args!("cannot be used with {source}, line {at}"),
                    );
                }
                None if OF_SIM.contains(&key) => section.wrong(line, key, "needs sim = true"),
                None => section.wrong(line, key, "needs replay"),
            }
        }
    };
    match (sim, replay.is_empty()) {
        (Some(_), true) => refuse(&section, &[&OF_REPLAY[..], &OF_SERVER].concat()),
        (None, false) => refuse(&section, &[&OF_SIM[..], &OF_SERVER].concat()),
        (None, true) => refuse(&section, &[&OF_SIM[..], &OF_REPLAY].concat()),
        (Some(_), false) => {}
    }
    let sockets = section.number("sockets", 1..=1_000).map_or(1, |it| it.value);
    let (market, count) = market(&mut section);
    let (speed, from, days) = (
        section.parsed("speed", str::parse::<Speed>),
        section.parsed("from", str::parse::<Moment>),
        section.all_parsed("days", day),
    );
    let server = server(&mut section, files, sim.is_none() && replay.is_empty());
    let source = if sim.is_some() {
        FeedSource::Sim { market, count }
    } else if replay.is_empty() {
        server
    } else {
        for tape in &replay {
            files.exists(&section, "replay", tape.line, &tape.value);
        }
        FeedSource::Tapes {
            paths: replay.into_iter().map(|it| files.resolve(&it.value)).collect(),
            speed: speed.map(|it| it.value).unwrap_or_default(),
            from: from.map(|it| it.value),
            days: days.into_iter().map(|it| it.value).collect(),
        }
    };
    let connections = section.number("connections", 1..=MAX_CONNECTIONS);
    let instruments = instruments(&mut section, files);
    section.finish();
    let connections = connections.map_or(MAX_CONNECTIONS, |it| it.value);
    Feed { source, instruments, connections, sockets }
}

fn market(section: &mut Section<'_>) -> (SimFeed, Option<u16>) {
    let default = SimFeed::default();
    let seed = section
        .parsed("seed", |text| text.parse().map_err(|_| "expected a whole number of at least 0"));
    let rate = section.parsed("rate", faults::rate);
    let chaos = section.parsed("chaos", times::positive_duration);
    let count = section.number("count", 1..=9_000);
    let market = SimFeed {
        seed: seed.map_or(default.seed, |it| it.value),
        rate: rate.map_or(default.rate, |it| it.value),
        chaos: chaos.map(|it| it.value),
    };
    (market, count.and_then(|it| u16::try_from(it.value).ok()))
}

/// Reads how Kite or another server is reached. The files of credentials are looked at if this is
/// the source.
fn server(section: &mut Section<'_>, files: &mut Files<'_>, is_source: bool) -> FeedSource {
    let endpoint = section.parsed("endpoint", str::parse::<Endpoint>);
    let proxy = section.text("proxy");
    if let Some(At { value, line }) = &proxy {
        match Proxy::parse(value) {
            Ok(_) if value.contains('@') => {
                files.must_be_private(section, *line, "proxy", "a proxy's password");
            }
            Ok(_) => {}
            Err(error) => section.wrong(*line, "proxy", error),
        }
    }
    let roots = section.parsed("ca_file", path);
    if let Some(At { value, line }) = &roots {
        files.exists(section, "ca_file", *line, value);
    }
    let one = section.parsed("credentials", path);
    let several = section.sections("account");
    if let (Some(one), Some(first)) = (&one, several.first()) {
        let text = format_args!("cannot be used with [[feed.account]], line {}", first.line);
        section.wrong(one.line, "credentials", text);
    }
    if let (Some(endpoint), None, true) = (&endpoint, &one, several.is_empty()) {
        let text = "needs credentials, or [[feed.account]]: those of your account at Kite are not \
                    sent to another server";
        section.wrong(endpoint.line, "endpoint", text);
    }
    let mut accounts = Vec::new();
    for mut account in several {
        let name = account.parsed("name", name);
        let credentials = account.parsed("credentials", path);
        account.require("credentials");
        let line = name.as_ref().map_or(account.line, |it| it.line);
        let name = name.map_or_else(|| MAIN_ACCOUNT.to_owned(), |it| it.value);
        files.name(&account, "account", line, &name);
        if let Some(At { value, line }) = credentials {
            if is_source {
                files.credentials(&account, "account", line, &value);
            }
            accounts.push(AccountSettings { name, credentials: Some(files.resolve(&value)) });
        }
        account.finish();
    }
    if let (Some(At { value, line }), true) = (&one, is_source) {
        files.credentials(section, "account", *line, value);
    }
    let credentials = one.map(|it| files.resolve(&it.value));
    let mut accounts = accounts.into_iter();
    let account = accounts
        .next()
        .unwrap_or_else(|| AccountSettings { name: MAIN_ACCOUNT.to_owned(), credentials });
    let proxy = proxy.as_ref().map(|it| it.value.as_str());
    let network = Network::new(proxy, roots.map(|it| files.resolve(&it.value)));
    let endpoint = endpoint.map(|it| it.value).unwrap_or_default();
    FeedSource::Server { endpoint, account, more: accounts.collect(), network }
}

fn instruments(section: &mut Section<'_>, files: &mut Files<'_>) -> InstrumentArgs {
    let instruments = section.all_parsed("instruments", instrument);
    let contracts = section.all_parsed("select", str::parse::<Contracts>);
    let spots = section.all_parsed("spot", str::parse);
    let list = section.parsed("list", path);
    let strict = section.flag("strict");
    let mode = section.parsed("mode", str::parse::<Mode>);
    let names = section.parsed("instruments_file", path);
    for (key, file) in [("list", &list), ("instruments_file", &names)] {
        if let Some(At { value, line }) = file {
            files.exists(section, key, *line, value);
        }
    }
    if let (Some(strict), None) = (&strict, &list) {
        section.wrong(strict.line, "strict", "needs list");
    }
    let line_of_spots = spots.first().map(|it| it.line);
    let values = |all: Vec<At<_>>| all.into_iter().map(|it| it.value).collect();
    let contracts = contracts.into_iter().map(|it| it.value).collect();
    let select = SelectArgs::new(contracts, values(spots));
    if let (Some(line), Err(error)) = (line_of_spots, select.check()) {
        // In the words of the file.
        section.wrong(line, "spot", error.to_string().replace("--", ""));
    }
    InstrumentArgs {
        instruments: instruments.into_iter().map(|it| it.value).collect(),
        select,
        list: list.map(|it| files.resolve(&it.value)),
        strict: strict.is_some_and(|it| it.value),
        mode: mode.map_or(Mode::Full, |it| it.value),
        instruments_file: names.map(|it| files.resolve(&it.value)),
    }
}

/// Combines what the sections say on the source of ticks and its end.
pub(super) fn settings(
    source: FeedSource,
    lasts: Option<At<std::time::Duration>>,
    until: Option<At<Moment>>,
) -> FeedSettings {
    FeedSettings { source, lasts: lasts.map(|it| it.value), until: until.map(|it| it.value) }
}

/// Parses the name of a file.
pub(super) fn path(text: &str) -> Result<PathBuf, &'static str> {
    if text.is_empty() || text.contains('\0') {
        return Err("expected the name of a file");
    }
    Ok(text.into())
}

/// Parses the name of an account or a client.
pub(super) fn name(text: &str) -> Result<String, &'static str> {
    match is_plain_name(text) {
        true => Ok(text.to_owned()),
        false => Err("expected a name of up to 64 letters, digits, `-`, `_` and `.`"),
    }
}

/// Parses a name or a token. Whether there is such an instrument is found out at the start.
fn instrument(text: &str) -> Result<String, &'static str> {
    let name = trimmed(text);
    let is_name = name.split_once(':').is_some_and(|(exchange, symbol)| {
        let is_exchange = !exchange.is_empty() && exchange.chars().all(char::is_alphabetic);
        is_exchange && !symbol.trim().is_empty()
    });
    match is_name || is_token(name) {
        true => Ok(text.to_owned()),
        false => Err("expected EXCHANGE:SYMBOL or a token, such as \"NSE:INFY\" or 408065"),
    }
}

fn day(text: &str) -> Result<Date, impl Display + use<>> {
    text.parse::<Date>().map_err(|_| "expected a date, such as 2026-11-23")
}
