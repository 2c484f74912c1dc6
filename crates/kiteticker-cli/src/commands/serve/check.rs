//! `kite serve --check`: whether it would start, and what it would do.
//!
//! Nothing is connected or served, so that what only a server knows is not checked: whether it
//! accepts the credentials, and which instruments it has.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpListener};

use kite_relay::{RelayError, SlowClients};
use kite_server::{Account, AccountError, Accounts, tls};
use serde_json::{Value, json};

use super::args::Plan;
use super::settings::{self, ClientSettings, RelaySettings, Settings};
use crate::console::output::Output;
use crate::console::paths;
use crate::exit::{CliError, Status};
use crate::feed::settings::{AccountSettings, FeedSettings, FeedSource};
use crate::feed::{credentials, tapes};
use crate::format::numbers::{counted, grouped};
use crate::format::times;

/// Checks a plan and prints it.
///
/// # Errors
/// Returns the error that the start would return.
pub(super) async fn run(plan: &Plan, output: Output) -> Result<Status, CliError> {
    let settings = &plan.settings;
    settings.feed.deadline()?;
    if let Some(to) = &settings.record {
        tapes::check_directory(("--record", to))?;
    }
    feed(&settings.feed).await?;
    settings.instruments.select.check()?;
    settings.instruments.listed().await?;
    relay(&settings.relay)?;
    match settings.json {
        true => output.json(&as_json(settings))?,
        false => output.text(&as_text(settings))?,
    }
    Ok(Status::Done)
}

async fn feed(feed: &FeedSettings) -> Result<(), CliError> {
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

fn relay(relay: &RelaySettings) -> Result<(), CliError> {
    let _ = relay.builder()?;
    let mut accounts = Accounts::default();
    for client in &relay.clients {
        let added = account(client)?.and_then(|account| accounts.add(account));
        added.map_err(|error| settings::not_started(error.into()))?;
    }
    if let Some(files) = &relay.tls {
        tls::acceptor_from_pem(&files.certificates, &files.key)
            .map_err(|error| settings::not_started(error.into()))?;
    }
    can_listen(relay.listen)
}

fn account(client: &ClientSettings) -> Result<Result<Account, AccountError>, CliError> {
    let found = credentials::read(&client.credentials)?;
    Ok(Account::new(&client.name, found.api_key(), found.access_token().expose()))
}

/// Checks that an address can be listened on.
fn can_listen(address: SocketAddr) -> Result<(), CliError> {
    let listening = TcpListener::bind(address).map(drop);
    listening.map_err(|source| settings::not_started(RelayError::Listen { address, source }))
}

fn as_text(settings: &Settings) -> String {
    let mut lines = vec![("feed", feed_line(settings))];
    lines.extend(instrument_lines(settings).into_iter().map(|it| ("", it)));
    lines.extend(end_line(&settings.feed).map(|it| ("", it)));
    if let Some(to) = &settings.record {
        lines.push(("record", paths::shown(to).to_string()));
    }
    let relay = &settings.relay;
    lines.push(("relay", relay_line(relay)));
    lines.extend(relay.clients.iter().map(|client| ("client", client_line(client))));
    if relay.clients.is_empty() {
        lines.push(("client", "one pair of credentials is made at the start".to_owned()));
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
        json!({
            "name": client.name,
            "orders": client.orders,
            "sockets": client.sockets,
            "instruments": client.instruments,
        })
    });
    json!({
        "would_start": true,
        "feed": feed_line(settings),
        "record": settings.record.as_ref().map(|path| json!({ "path": paths::json(path) })),
        "relay": endpoint(relay),
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
            let each = if accounts.len() > 1 { " each" } else { "" };
            format!("{}, account {}; {connections}{each}", endpoint.host(), accounts.join(" and "))
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
    let mut line = client.name.clone();
    if let Some(sockets) = client.sockets {
        line += &format!(", {}", counted(sockets as u64, "socket"));
    }
    if let Some(instruments) = client.instruments {
        line += &format!(", {} instruments a socket", grouped(instruments as u64));
    }
    if client.orders {
        line += ", order updates";
    }
    line
}
