//! `kite serve --check`: whether it would start, and what it would do.
//!
//! Nothing is connected, so that what only a server knows is not checked: whether it accepts the
//! credentials, and which instruments it has. Its own servers are started for a moment, which finds
//! all that keeps them from starting.

use std::collections::BTreeSet;

use kite_candles::Every;
use kite_conn::Credentials;
use kite_manager::Manager;
use kite_relay::SlowClients;
use serde_json::{Value, json};

use super::http;
use super::plan::Plan;
use super::settings::{self, ClientSettings, RelaySettings, Settings};
use crate::console::output::Output;
use crate::console::paths;
use crate::exit::{CliError, Status};
use crate::feed::settings::{AccountSettings, FeedSettings, FeedSource, MAIN_ACCOUNT};
use crate::feed::{self, credentials, tapes};
use crate::format::numbers::{counted, grouped};
use crate::format::times;

/// Checks a plan and prints it.
///
/// # Errors
/// Returns an error that the start would return. The others, if there are any, are printed before;
/// what was written wrong is the last one.
pub(super) async fn run(plan: &Plan, output: Output) -> Result<Status, CliError> {
    let settings = &plan.settings;
    let mut errors = servers(plan).await?;
    errors.extend(
        [
            settings.feed.deadline().map(drop),
            plan.check_record(),
            source(&settings.feed).await,
            settings.instruments.select.check().map(drop),
            settings.instruments.listed().await.map(drop),
        ]
        .into_iter()
        .filter_map(Result::err),
    );
    errors.sort_by_key(|error| error.status() == Status::Usage);
    if let Some(last) = errors.pop() {
        errors.iter().for_each(|error| output.error(error));
        return Err(last);
    }
    match settings.json {
        true => output.json(&as_json(settings))?,
        false => output.text(&as_text(settings))?,
    }
    Ok(Status::Done)
}

async fn source(feed: &FeedSettings) -> Result<(), CliError> {
    match &feed.source {
        FeedSource::Sim { .. } => Ok(()),
        FeedSource::Tapes { paths, .. } => tapes::open(paths).await.map(drop),
        FeedSource::Server { endpoint, account, more, network } => {
            network.transport(endpoint)?;
            for AccountSettings { credentials, .. } in [account].into_iter().chain(more) {
                credentials::find_silently(credentials.as_deref())?;
            }
            Ok(())
        }
    }
}

/// Starts the servers and stops them again, and returns what keeps them from starting. The manager
/// beneath them is never started.
async fn servers(plan: &Plan) -> Result<Vec<CliError>, CliError> {
    let (settings, places) = (&plan.settings, &plan.places);
    let manager = Manager::builder().account(MAIN_ACCOUNT, Credentials::new("none", "none"));
    let manager = feed::manager(manager)?;
    let relay = async {
        let started = settings.relay.builder()?.start(&manager).await;
        started.map_err(|error| settings::not_started_at(places, error))
    };
    let relay = relay.await;
    let http = settings.http.as_ref().map(|http| {
        let started = http.builder(&manager)?.start();
        started.map_err(|error| http::not_started_at(places, error))
    });
    Ok([relay.err(), http.and_then(Result::err)].into_iter().flatten().collect())
}

fn as_text(settings: &Settings) -> String {
    let mut lines = vec![("feed", feed_line(settings))];
    lines.extend(instrument_lines(settings).into_iter().map(|it| ("", it)));
    lines.extend(end_line(&settings.feed).map(|it| ("", it)));
    if let Some(to) = &settings.record {
        let packed = if settings.pack { ", packed" } else { "" };
        lines.push(("record", format!("{}{packed}", paths::shown(to))));
    }
    let relay = &settings.relay;
    lines.push(("relay", relay_line(relay)));
    lines.extend(relay.clients.iter().map(|client| ("client", client_line(client))));
    if relay.clients.is_empty() {
        lines.push(("client", "one pair of credentials is made at the start".to_owned()));
    }
    if let Some(http) = &settings.http {
        let scheme = if http.tls.is_some() { "https" } else { "http" };
        lines.push(("http", format!("{scheme}://{}", http.listen)));
        let lengths: Vec<String> = http.candles.iter().map(Every::to_string).collect();
        if !lengths.is_empty() {
            lines.push(("", format!("bars of {}", lengths.join(", "))));
        }
    }
    if let Some(nats) = &settings.nats {
        lines.push(("nats", nats.line()));
    }
    let width = lines.iter().map(|(what, _)| what.len()).max().unwrap_or_default();
    let mut text = String::new();
    for (what, line) in lines {
        text += format!("{what:width$}  {line}\n").as_str();
    }
    text + "It would start.\n"
}

fn as_json(settings: &Settings) -> Value {
    let relay = &settings.relay;
    let clients = relay.clients.iter().map(|client| {
        let (sockets, instruments) = client.limits();
        json!({
            "name": client.name,
            "orders": client.orders,
            "sockets": sockets,
            "instruments": instruments,
        })
    });
    json!({
        "would_start": true,
        "feed": feed_line(settings),
        "record": settings.record.as_ref().map(|path| {
            json!({ "path": paths::json(path), "pack": settings.pack })
        }),
        "relay": endpoint(relay),
        "http": settings.http.as_ref().map(|http| http.listen.to_string()),
        "nats": settings.nats.as_ref().map(|nats| nats.server.to_string()),
        "clients": clients.collect::<Value>(),
    })
}

fn feed_line(settings: &Settings) -> String {
    let connections = counted(settings.connections as u64, "connection");
    match &settings.feed.source {
        FeedSource::Sim { market, .. } => {
            format!("the simulated market, seed {}; {connections}", market.seed)
        }
        FeedSource::Tapes { paths, .. } => {
            let paths = paths.iter().map(|path| paths::shown(path).to_string());
            format!("a replay of {}; {connections}", paths.collect::<Vec<_>>().join(", "))
        }
        FeedSource::Server { endpoint, account, more, .. } => {
            let accounts =
                [account].into_iter().chain(more).map(|account| match &account.credentials {
                    Some(path) => format!("{} ({})", account.name, paths::shown(path)),
                    None => account.name.clone(),
                });
            let accounts: Vec<String> = accounts.collect();
            let accounts = match accounts.as_slice() {
                [only] => format!("account {only}; {connections}"),
                several => format!("accounts {}; {connections} each", several.join(" and ")),
            };
            format!("{}, {accounts}", endpoint.host())
        }
    }
}

fn instrument_lines(settings: &Settings) -> Vec<String> {
    let requested = &settings.instruments;
    let mut lines = Vec::new();
    let count = requested.instruments.iter().collect::<BTreeSet<_>>().len();
    if count > 0 {
        lines.push(format!("{} in {} mode", counted(count as u64, "instrument"), requested.mode));
    }
    if let Some(list) = requested.list_name() {
        lines.push(format!("those listed in {list}, in {} mode", requested.mode));
    }
    for contracts in &requested.select.contracts {
        lines.push(format!("{contracts}, in {} mode", requested.mode));
    }
    if let Some(count) = settings.feed.count() {
        lines.push(format!("{count} instruments of all segments"));
    }
    if lines.is_empty() {
        lines.push("what clients subscribe, and nothing besides".to_owned());
    }
    lines
}

fn end_line(feed: &FeedSettings) -> Option<String> {
    let lasts = feed.lasts.map(|lasts| format!("ends {} after the start", times::span(lasts)));
    lasts.or_else(|| feed.until.map(|_| "ends at the time of until".to_owned()))
}

fn endpoint(relay: &RelaySettings) -> String {
    let scheme = if relay.tls.is_some() { "wss" } else { "ws" };
    format!("{scheme}://{}", relay.listen)
}

fn relay_line(relay: &RelaySettings) -> String {
    let slow = match relay.slow {
        SlowClients::DropOldest => "lose the oldest ticks",
        SlowClients::Disconnect => "are disconnected",
        SlowClients::Block => "hold up the tape",
        _ => "get the newest ticks",
    };
    format!("{}; clients that read too slowly {slow}", endpoint(relay))
}

fn client_line(client: &ClientSettings) -> String {
    let (sockets, instruments) = client.limits();
    let sockets = counted(sockets as u64, "socket");
    let mut line =
        format!("{}, {sockets}, {} instruments a socket", client.name, grouped(instruments as u64));
    if client.orders {
        line += ", order updates";
    }
    line
}
