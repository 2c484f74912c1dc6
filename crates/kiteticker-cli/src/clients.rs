//! The clients of a server of this command: how the official ones connect, and which have not read
//! everything.
//!
//! The Python, Node and Go clients add the credentials to a root, so a root must not have a
//! query. The Java client replaces placeholders in a route.

use kite_sim::{SocketEnd, SocketRecord};
use serde_json::json;
use tokio::time::Instant;

use crate::feed::outage::{Outage, Wait};
use crate::format::{numbers, sizes, times};

/// Lines of at most 80 columns, because a wrapped line cannot be copied.
const HELP: &str = "\
Other clients, on port 8765 and with the printed credentials:
  Python  KiteTicker(api_key, access_token, root=\"ws://127.0.0.1:8765\")
  Node    new KiteTicker({api_key, access_token, root: \"ws://127.0.0.1:8765\"})
  Go      ticker.SetRootURL(url.URL{Scheme: \"ws\", Host: \"127.0.0.1:8765\"})
  Java    Routes._wsuri, by reflection:
          \"ws://127.0.0.1:8765/?access_token=:access_token&api_key=:api_key\"
  others  ws://127.0.0.1:8765/?api_key=API_KEY&access_token=ACCESS_TOKEN";

/// Appends to the `examples` of a command's help how other clients connect.
pub(crate) fn help(examples: &str) -> String {
    format!("{examples}\n\n{HELP}")
}

/// Returns a line per client that connects it to `endpoint`, a URL without a path.
pub(crate) fn lines(endpoint: &str, key: &str, token: &str) -> String {
    let (scheme, host) = endpoint.split_once("://").unwrap_or(("ws", endpoint));
    let node = format!("{{api_key: \"{key}\", access_token: \"{token}\", root: \"{endpoint}\"}}");
    let route = format!("{endpoint}/?access_token=:access_token&api_key=:api_key");
    format!(
        "Python  KiteTicker(\"{key}\", \"{token}\", root=\"{endpoint}\")\n\
         Node    new KiteTicker({node})\n\
         Go      ticker.SetRootURL(url.URL{{Scheme: \"{scheme}\", Host: \"{host}\"}})\n\
         Java    Routes._wsuri = \"{route}\", by reflection\n\
         others  {endpoint}/?api_key={key}&access_token={token}\n"
    )
}

/// Returns a line for the commands that were refused, and one for those that were ignored.
pub(crate) fn commands(refused: u64, ignored: u64) -> String {
    let mut text = String::new();
    if refused > 0 {
        let commands = numbers::counted(refused, "command");
        text += &format!("refused for too many instruments: {commands}\n");
    }
    if ignored > 0 {
        let commands = numbers::counted(ignored, "command");
        text += &format!("ignored in whole or in part: {commands}; -v logs the reasons\n");
    }
    text
}

/// Decides when to say that a replay waits for more sockets: each time that their number changes.
#[derive(Debug)]
pub(crate) struct Waiting {
    wanted: usize,
    missing: usize,
}

impl Waiting {
    /// Creates one for a replay that starts once this many sockets have subscribed.
    pub(crate) fn new(wanted: usize) -> Self {
        Self { wanted, missing: wanted }
    }

    /// Takes the number of sockets that have subscribed; returns the note that is due.
    pub(crate) fn note(&mut self, subscribed: usize) -> Option<String> {
        let missing = self.wanted.saturating_sub(subscribed);
        let is_new = std::mem::replace(&mut self.missing, missing) != missing;
        let sockets = numbers::counted(missing as u64, "more socket");
        (is_new && missing > 0).then(|| format!("waiting for {sockets} to subscribe"))
    }
}

/// Decides when to say that a tape stands still because no client is subscribed: when two questions
/// in a row have found none, and then each minute. A client that reconnects in between is no news.
#[derive(Debug, Default)]
pub(crate) struct Standstill {
    had_none: bool,
    outage: Outage,
}

impl Standstill {
    /// Takes whether the tape stands still, once a second; returns the note that is due.
    pub(crate) fn note(&mut self, stands: bool, now: Instant) -> Option<String> {
        let lasts = std::mem::replace(&mut self.had_none, stands) && stands;
        let wait = lasts.then(|| Wait {
            what: "the tape stands still; Ctrl-C ends".to_owned(),
            reason: "no client".into(),
        });
        let (lasts, what) = self.outage.on_second(now, wait)?;
        Some(match lasts {
            None => format!("no client is subscribed: {what}"),
            Some(lasts) => {
                format!("no client has been subscribed for {}: {what}", times::span(lasts))
            }
        })
    }
}

/// Names a client that has not read everything, with what is known of it.
pub(crate) fn unfinished(record: &SocketRecord) -> String {
    let client = record.peer.map_or_else(|| "a client".to_owned(), |peer| format!("client {peer}"));
    format!("{client} {}", ending(record.end, record.ticks, record.unread_bytes))
}

/// Describes how the socket of a client ended that has not read everything, or not closed.
fn ending(end: Option<SocketEnd>, ticks: u64, unread_bytes: Option<u64>) -> String {
    // The end of the stream counts as a byte until the client's system has acknowledged it.
    let has_read_all = unread_bytes.is_some_and(|bytes| bytes <= 1);
    let what = match end {
        Some(SocketEnd::ClientReset) => "reset its connection",
        Some(SocketEnd::ClientStayed) if has_read_all => {
            "had read everything but kept its connection open"
        }
        Some(SocketEnd::ClientStayed) => "had not closed its connection at the end",
        _ => "stopped reading and was disconnected",
    };
    let sent = numbers::counted(ticks, "tick");
    match unread_bytes.filter(|_| !has_read_all) {
        Some(bytes) => {
            format!(
                "{what}: {sent} sent to it, of which it left about {} unread",
                sizes::bytes(bytes)
            )
        }
        None => format!("{what}: {sent} sent to it"),
    }
}

/// Returns the clients that have not read everything as JSON.
pub(crate) fn unfinished_json(records: &[SocketRecord]) -> serde_json::Value {
    let one = |record: &SocketRecord| {
        json!({
            "peer": record.peer.map(|peer| peer.to_string()),
            "end": match record.end {
                Some(SocketEnd::ClientReset) => "reset",
                Some(SocketEnd::ClientStayed) => "stayed",
                _ => "stuck",
            },
            "ticks_sent": record.ticks,
            "unread_bytes": record.unread_bytes,
        })
    };
    records.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_standstill_is_said_once_and_then_each_minute_until_a_client_subscribes() {
        let (begin, second) = (Instant::now(), Duration::from_secs(1));
        let mut standstill = Standstill::default();
        let mut said = Vec::new();
        for at in 0..90_u32 {
            // A client reconnects at 2, and another subscribes from 80 to 84.
            let stands = !(at < 2 || at == 3 || (80..85).contains(&at));
            said.extend(standstill.note(stands, begin + at * second).map(|text| (at, text)));
        }
        let first = "no client is subscribed: the tape stands still; Ctrl-C ends";
        let later =
            "no client has been subscribed for 1 min 00 s: the tape stands still; Ctrl-C ends";
        assert_eq!(said, [(5, first.into()), (65, later.into()), (86, first.into())]);
    }

    #[test]
    fn a_client_that_has_read_everything_is_not_said_to_have_left_bytes_unread() {
        let stayed = |unread| ending(Some(SocketEnd::ClientStayed), 22, unread);
        let text = "had read everything but kept its connection open: 22 ticks sent to it";
        assert_eq!([stayed(Some(0)), stayed(Some(1))], [text, text]);
        let text = "had not closed its connection at the end: 22 ticks sent to it";
        assert_eq!(stayed(None), text);
        let unread = format!("{text}, of which it left about 500 B unread");
        assert_eq!(stayed(Some(500)), unread);
        let reset = ending(Some(SocketEnd::ClientReset), 22, Some(0));
        assert_eq!(reset, "reset its connection: 22 ticks sent to it");
    }
}
