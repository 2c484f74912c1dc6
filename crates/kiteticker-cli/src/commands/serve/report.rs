//! The output of a relay: how to connect, a line while it runs, and a summary.

use std::net::SocketAddr;
use std::path::Path;

use kite_conn::Credentials;
use kite_relay::{ClientStats, RelayStats};
use serde_json::{Value, json};

use crate::clients;
use crate::console::output::{self, Output};
use crate::console::paths;
use crate::format::numbers::{counted, grouped};
use crate::format::sizes::bytes;

/// Stands for a name of this machine.
const NAME: &str = "NAME";

/// Where the credentials of clients are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Access<'a> {
    /// Made, and to be shown.
    Shown(&'a Credentials),
    /// Made, and written to this file.
    In(&'a Path),
    /// In the files of the clients.
    OfClients,
}

/// Returns the URL that clients connect to. A relay that listens on all addresses can be reached by
/// any name of its machine, which stands as `NAME`.
pub(super) fn reachable(endpoint: &str, address: SocketAddr) -> String {
    let (scheme, _) = endpoint.split_once("://").unwrap_or(("ws", endpoint));
    match address.ip().is_unspecified() {
        true => format!("{scheme}://{NAME}:{}", address.port()),
        false => endpoint.to_owned(),
    }
}

/// Returns how clients connect to an endpoint of [`reachable`].
pub(super) fn greeting(
    endpoint: &str,
    status: Option<&str>,
    access: Access<'_>,
    output: Output,
) -> String {
    let bold = |text| output.paint(output::BOLD, text);
    let mut text = format!("{}  {endpoint}\n", bold("endpoint"));
    if let Some(status) = status {
        text += &format!("{}  {status}\n", bold("status"));
    }
    let (key, token) = match access {
        Access::Shown(made) => (made.api_key(), made.access_token().expose()),
        Access::In(_) | Access::OfClients => ("API_KEY", "ACCESS_TOKEN"),
    };
    text += &match access {
        Access::Shown(_) => {
            format!("export KITE_API_KEY={key} KITE_ACCESS_TOKEN={token}\n{}", watch(endpoint, ""))
        }
        Access::In(path) => {
            let path = paths::shown(path);
            let file = format!(" --credentials '{path}'");
            format!("{}  {path}\n{}", bold("credentials"), watch(endpoint, &file))
        }
        Access::OfClients => watch(endpoint, " --credentials FILE"),
    };
    let (lines, placeholders) = (clients::lines(endpoint, key, token), placeholders(endpoint));
    format!("{text}{lines}{placeholders}Ctrl-C stops it.\n")
}

fn watch(endpoint: &str, credentials: &str) -> String {
    let authority = if is_tls(endpoint) { " --ca-file CA.pem" } else { "" };
    format!("kite watch --endpoint {endpoint}{credentials}{authority} NSE:INFY\n")
}

/// Explains the words in capitals that stand for what the command does not know.
fn placeholders(endpoint: &str) -> String {
    let is_named = !endpoint.contains(&format!("://{NAME}:"));
    let mut text = match (is_named, is_tls(endpoint)) {
        (true, _) => String::new(),
        (false, true) => {
            format!("{NAME} is this machine's name for the clients, as in the certificate.\n")
        }
        (false, false) => format!("{NAME} is this machine's name or address for the clients.\n"),
    };
    if is_tls(endpoint) {
        text += "CA.pem has the authority of the certificate; a public one needs no --ca-file.\n";
    }
    text
}

fn is_tls(endpoint: &str) -> bool {
    endpoint.starts_with("wss://")
}

/// Returns the first line as JSON.
pub(super) fn greeting_json(
    endpoint: &str,
    status: Option<&str>,
    made: Option<&Credentials>,
) -> Value {
    let mut relay = json!({ "endpoint": endpoint });
    if let Some(made) = made {
        relay["api_key"] = made.api_key().into();
        relay["access_token"] = made.access_token().expose().into();
    }
    match status {
        Some(status) => json!({ "relay": relay, "http": { "endpoint": status } }),
        None => json!({ "relay": relay }),
    }
}

/// Returns the line that is rewritten every second, and printed every minute without a terminal.
pub(super) fn line(stats: &RelayStats, bytes_on_disk: Option<u64>) -> String {
    let sockets: usize = stats.clients.iter().map(|client| client.sockets).sum();
    let clients = stats.clients.iter().filter(|client| client.sockets > 0).count();
    let mut line = format!(
        "{}, {}, {}",
        counted(clients as u64, "client"),
        counted(sockets as u64, "socket"),
        totals(stats)
    );
    if let Some(on_disk) = bytes_on_disk {
        line += &format!(", {} on disk", bytes(on_disk));
    }
    line
}

fn totals(stats: &RelayStats) -> String {
    let mut text = format!(
        "{} in, {} out, {} conflated, {} dropped, {}",
        counted(stats.ticks_in, "tick"),
        grouped(stats.ticks_out),
        grouped(stats.replaced),
        grouped(stats.dropped),
        counted(stats.gaps, "gap"),
    );
    if stats.ticks_missed > 0 {
        text += &format!(", {} missed", grouped(stats.ticks_missed));
    }
    if stats.damaged_frames > 0 {
        text += &format!(", {}", counted(stats.damaged_frames, "damaged frame"));
    }
    if stats.silences > 0 {
        text += &format!(", {}", counted(stats.silences, "silence"));
    }
    text
}

/// Returns the warning that open connections have become silent.
pub(super) fn silences(new: u64) -> String {
    let connections = counted(new, "open connection");
    format!("nothing received from Kite for 5 s on {connections}; clients are informed")
}

/// Returns the summary as text. `at_end` is what was counted before the clients were closed.
pub(super) fn summary(stats: &RelayStats, at_end: &RelayStats) -> String {
    let count = counted(stats.clients.len() as u64, "client");
    let mut text = format!("{count}, {}\n", totals(stats));
    for client in &stats.clients {
        text += &format!(
            "{}: {}, {} out, {} conflated, {} dropped{}; {}\n",
            client.name,
            counted(client.accepted, "socket"),
            counted(client.out, "tick"),
            grouped(client.replaced),
            grouped(client.dropped),
            unsent(client),
            ends(client, open_at_end(client, at_end))
        );
        text += &clients::commands(client.refused_commands, client.ignored_commands);
    }
    for (status, refused) in &stats.refused {
        text += &format!("refused with {status}: {}\n", counted(*refused, "handshake"));
    }
    if stats.refused_tls > 0 {
        let handshakes = counted(stats.refused_tls, "handshake");
        text += &format!("refused because TLS failed: {handshakes}; -v logs the reasons\n");
    }
    text
}

/// Returns what was queued for sockets that ended, if anything.
fn unsent(client: &ClientStats) -> String {
    match client.unsent {
        0 => String::new(),
        ticks => format!(", {} unsent", grouped(ticks)),
    }
}

fn open_at_end(client: &ClientStats, at_end: &RelayStats) -> usize {
    at_end.clients.iter().find(|it| it.name == client.name).map_or(0, |it| it.sockets)
}

/// Lists how the sockets of a client ended.
fn ends(client: &ClientStats, open: usize) -> String {
    let closed = client.stalled + client.too_slow + client.violations;
    let left = client.accepted.saturating_sub(open as u64 + closed);
    let counts = [
        (open as u64, "open at the end"),
        (left, "left"),
        (client.stalled, "reset because it took no byte"),
        (client.too_slow, "closed because it read too slowly"),
        (client.violations, "closed because it broke the WebSocket protocol"),
    ];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let all: Vec<String> =
        counts.map(|(count, what)| format!("{} {what}", grouped(*count))).collect();
    all.join(", ")
}

/// Returns the counts as JSON. `at_end` is what was counted before the clients were closed.
pub(super) fn json(stats: &RelayStats, at_end: &RelayStats) -> Value {
    let client = |client: &ClientStats| {
        json!({
            "name": client.name,
            "sockets": client.accepted,
            "open_at_end": open_at_end(client, at_end),
            "stalled": client.stalled,
            "too_slow": client.too_slow,
            "violations": client.violations,
            "ticks_queued": client.queued,
            "ticks_out": client.out,
            "conflated": client.replaced,
            "dropped": client.dropped,
            "unsent": client.unsent,
            "unsubscribed": client.unsubscribed,
            "refused_commands": client.refused_commands,
            "ignored_commands": client.ignored_commands,
        })
    };
    let refused = stats.refused.iter().map(|(status, count)| (status.to_string(), json!(count)));
    let tls = (stats.refused_tls > 0).then(|| ("tls".to_owned(), json!(stats.refused_tls)));
    let refused = refused.chain(tls);
    json!({
        "ticks_in": stats.ticks_in,
        "ticks_missed": stats.ticks_missed,
        "damaged_frames": stats.damaged_frames,
        "ticks_leaner": stats.ticks_leaner,
        "ticks_queued": stats.ticks_queued,
        "ticks_out": stats.ticks_out,
        "conflated": stats.replaced,
        "dropped": stats.dropped,
        "unsent": stats.unsent,
        "unsubscribed": stats.unsubscribed,
        "gaps": stats.gaps,
        "silences": stats.silences,
        "refused": refused.collect::<serde_json::Map<_, _>>(),
        "clients": stats.clients.iter().map(client).collect::<Vec<_>>(),
    })
}

/// Returns a warning for each way in which ticks were lost to clients.
pub(super) fn losses(stats: &RelayStats, is_complete: bool) -> Vec<String> {
    let sum = |of: fn(&ClientStats) -> u64| stats.clients.iter().map(of).sum::<u64>();
    let mut warnings = Vec::new();
    for (count, noun, what) in [
        (stats.ticks_missed, "tick", "dropped before the relay, which was too slow for the feed"),
        (stats.dropped, "tick", "dropped because clients read too slowly"),
        (
            sum(|it| it.too_slow),
            "socket",
            "closed because the client read too slowly, with what was queued for it",
        ),
        (sum(|it| it.stalled), "socket", "reset because the client took no byte"),
    ] {
        if count > 0 {
            warnings.push(format!("{} {what}", counted(count, noun)));
        }
    }
    if !is_complete {
        warnings.push("at the end not all clients took what was queued for them".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(set: impl FnOnce(&mut ClientStats)) -> ClientStats {
        let mut client = ClientStats::default();
        client.name = "desk".to_owned();
        set(&mut client);
        client
    }

    #[test]
    fn the_summary_says_how_the_sockets_of_each_client_ended() {
        let (mut stats, mut at_end) = (RelayStats::default(), RelayStats::default());
        at_end.clients = vec![client(|it| it.sockets = 1)];
        stats.clients = vec![client(|it| {
            (it.accepted, it.stalled, it.too_slow, it.violations) = (7, 1, 2, 1);
            (it.out, it.replaced, it.dropped, it.unsent) = (2_000, 3, 4, 5);
            (it.refused_commands, it.ignored_commands) = (1, 2);
        })];
        (stats.ticks_in, stats.ticks_out, stats.gaps) = (1_000, 2_000, 1);
        (stats.damaged_frames, stats.silences) = (2, 1);
        stats.refused.insert(403, 2);
        stats.refused_tls = 1;
        assert_eq!(
            summary(&stats, &at_end),
            "1 client, 1,000 ticks in, 2,000 out, 0 conflated, 0 dropped, 1 gap, \
             2 damaged frames, 1 silence\n\
             desk: 7 sockets, 2,000 ticks out, 3 conflated, 4 dropped, 5 unsent; 1 open at the end, 2 left, \
             1 reset because it took no byte, 2 closed because it read too slowly, \
             1 closed because it broke the WebSocket protocol\n\
             refused for too many instruments: 1 command\n\
             ignored in whole or in part: 2 commands; -v logs the reasons\n\
             refused with 403: 2 handshakes\n\
             refused because TLS failed: 1 handshake; -v logs the reasons\n"
        );
    }

    #[test]
    fn an_address_that_clients_cannot_use_is_not_printed() {
        for (endpoint, address, shown) in [
            ("wss://0.0.0.0:9251", "0.0.0.0:9251", "wss://NAME:9251"),
            ("ws://[::]:9251", "[::]:9251", "ws://NAME:9251"),
            ("ws://127.0.0.1:1", "127.0.0.1:1", "ws://127.0.0.1:1"),
        ] {
            assert_eq!(reachable(endpoint, address.parse().unwrap()), shown);
        }
        assert_eq!(placeholders("ws://127.0.0.1:1"), "");
        assert!(placeholders("wss://NAME:1").contains("as in the certificate"));
    }

    #[test]
    fn only_what_clients_did_not_get_for_being_slow_is_a_loss() {
        let mut stats = RelayStats::default();
        (stats.replaced, stats.unsent, stats.unsubscribed, stats.ticks_leaner) = (1, 2, 3, 4);
        assert_eq!(losses(&stats, true), Vec::<String>::new());
        assert_eq!(losses(&stats, false).len(), 1);
        (stats.ticks_missed, stats.dropped) = (1, 2);
        stats.clients = vec![client(|it| (it.too_slow, it.stalled) = (3, 4))];
        let expected = [
            "1 tick dropped before the relay, which was too slow for the feed",
            "2 ticks dropped because clients read too slowly",
            "3 sockets closed because the client read too slowly, with what was queued for it",
            "4 sockets reset because the client took no byte",
        ];
        assert_eq!(losses(&stats, true), expected);
    }
}
