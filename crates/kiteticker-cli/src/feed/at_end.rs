//! Connections that were missing at the end of a command.

use kite_conn::{Phase, Stamp};
use kite_manager::{AccountId, ConnectionSnapshot, Snapshot};
use serde_json::{Value, json};

use crate::console::output::Output;
use crate::format::numbers::counted;
use crate::format::times;

/// The warning if a connection had given up or waited for a token, or the server was never reached.
pub(super) const LACKS_CONNECTIONS: &str =
    "at the end a connection was refused, or the server had not been reached";

/// Seconds for which a connection may be down at the end without a report.
const TOLERATED_S: f64 = 1.0;

/// The connections that were missing at the end of a command.
#[derive(Debug, Clone, Default)]
pub(crate) struct AtEnd {
    /// Whether a connection had given up or waited for a token, or the server was never reached.
    pub(crate) lacks_connections: bool,
    /// Those with instruments that were down for more than a second.
    down: Vec<Down>,
}

/// A connection that was down.
#[derive(Debug, Clone)]
struct Down {
    account: AccountId,
    /// The connection's number within the account, from 0.
    connection: usize,
    /// When anything was last received; `None` if nothing ever was.
    since_unix_ns: Option<u64>,
    instruments: usize,
}

impl AtEnd {
    pub(super) fn new(lacks_connections: bool, snapshot: &Snapshot) -> Self {
        let down = snapshot.connections.iter().filter(|it| is_down(it)).map(|it| Down {
            account: it.account.clone(),
            connection: it.connection,
            since_unix_ns: it.last_message_ns.map(|ns| Stamp::from_nanos(ns).to_unix_ns()),
            instruments: it.instruments,
        });
        Self { lacks_connections, down: down.collect() }
    }

    /// Returns whether ticks may be missing because of these connections.
    pub(crate) fn has_findings(&self) -> bool {
        self.lacks_connections || !self.down.is_empty()
    }

    /// Returns a line for each connection that was down.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.down.iter().map(Down::line).collect()
    }

    /// Returns the connections that were down as JSON, with their numbers from 0 as in the status.
    pub(crate) fn down_json(&self) -> Value {
        let down = self.down.iter().map(|it| {
            json!({
                "account": it.account,
                "connection": it.connection,
                "since": it.since_unix_ns.map(|ns| times::ist(ns).to_string()),
                "instruments": it.instruments,
            })
        });
        down.collect()
    }

    /// Warns of everything that was missing.
    pub(crate) fn warn(&self, output: Output) {
        self.lines().iter().for_each(|line| output.warn(line));
        if self.lacks_connections {
            output.warn(LACKS_CONNECTIONS);
        }
    }
}

/// Returns whether a connection with instruments was down for longer than is tolerated. One that had
/// not been up is, if an attempt had failed.
fn is_down(connection: &ConnectionSnapshot) -> bool {
    let is_late = match connection.silent_s {
        Some(silent_s) => silent_s > TOLERATED_S,
        None => connection.failure.is_some(),
    };
    connection.instruments > 0
        && is_late
        && !matches!(connection.phase, Phase::Live | Phase::Closed)
}

impl Down {
    fn line(&self) -> String {
        let mut line = format!("connection {}", self.connection + 1);
        if self.account != AccountId::default() {
            line += &format!(" of {}", self.account);
        }
        line += &match self.since_unix_ns {
            Some(ns) => format!(" was down at the end since {}", times::ist(ns).clock()),
            None => " had not been up at the end".to_owned(),
        };
        line + &format!(": {}", counted(self.instruments as u64, "instrument"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns how a connection is reported, if it is.
    fn reported(change: impl FnOnce(&mut ConnectionSnapshot)) -> Option<String> {
        let mut connection = ConnectionSnapshot::default();
        (connection.phase, connection.instruments) = (Phase::Waiting, 2);
        (connection.silent_s, connection.last_message_ns) = (Some(1.5), Some(1));
        change(&mut connection);
        let mut snapshot = Snapshot::default();
        snapshot.connections.push(connection);
        let at_end = AtEnd::new(false, &snapshot);
        assert_eq!(at_end.has_findings(), !at_end.down.is_empty());
        at_end.lines().pop()
    }

    #[test]
    fn connections_with_instruments_that_are_down_for_more_than_a_second_are_reported() {
        let line = reported(|_| {}).expect("it is reported");
        assert!(line.starts_with("connection 1 was down at the end since "), "{line}");
        assert!(line.ends_with(": 2 instruments"), "{line}");
        let never = |it: &mut ConnectionSnapshot| (it.silent_s, it.last_message_ns) = (None, None);
        let refused = reported(|it| {
            never(it);
            (it.account, it.connection) = (AccountId::from("mine"), 1);
            it.failure = Some("refused".to_owned());
        });
        let words = "connection 2 of mine had not been up at the end: 2 instruments";
        assert_eq!(refused.as_deref(), Some(words));

        assert_eq!(reported(never), None, "it has just begun");
        assert_eq!(reported(|it| it.silent_s = Some(0.5)), None);
        assert_eq!(reported(|it| it.instruments = 0), None);
        assert_eq!(reported(|it| it.phase = Phase::Live), None);
        assert_eq!(reported(|it| it.phase = Phase::Closed), None);
    }
}
