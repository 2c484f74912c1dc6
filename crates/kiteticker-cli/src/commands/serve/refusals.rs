//! Decides when to warn that handshakes and commands are refused.
//!
//! Performs no I/O; the caller passes in the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kite_relay::RelayStats;

use super::reported::Reported;
use crate::format::numbers::counted;

/// The refusals that have been reported.
#[derive(Debug)]
pub(super) struct RefusalReports {
    /// Handshakes by HTTP status.
    handshakes: Reported<BTreeMap<u16, u64>>,
    /// Handshakes whose TLS failed.
    tls: Reported<u64>,
    /// Commands by client.
    commands: Reported<u64>,
}

impl RefusalReports {
    /// Creates one that warns of what goes on once in this time.
    pub(super) fn new(every: Duration) -> Self {
        let (handshakes, tls) = (Reported::new(every), Reported::new(every));
        Self { handshakes, tls, commands: Reported::new(every) }
    }

    /// Returns the warnings that are due, with what was refused since the last ones.
    pub(super) fn warnings(&mut self, stats: &RelayStats, now: Instant) -> Vec<String> {
        let mut warnings: Vec<String> = self.handshakes(stats, now).into_iter().collect();
        if let Some(before) = self.tls.due("", &stats.refused_tls, now) {
            let handshakes = counted(stats.refused_tls - before, "handshake");
            warnings.push(format!("{handshakes} refused because TLS failed; -v logs the reasons"));
        }
        for client in &stats.clients {
            let Some(before) = self.commands.due(&client.name, &client.refused_commands, now)
            else {
                continue;
            };
            let count = client.refused_commands - before;
            let (name, commands) = (&client.name, counted(count, "command"));
            let last = if count == 1 { "" } else { ", the last" };
            let why = client.last_refusal.map(|it| format!("{last}: {it}")).unwrap_or_default();
            warnings.push(format!("client {name}: {commands} refused{why}"));
        }
        warnings
    }

    fn handshakes(&mut self, stats: &RelayStats, now: Instant) -> Option<String> {
        let before = self.handshakes.due("", &stats.refused, now)?;
        let since = |(status, count): (&u16, &u64)| {
            (*status, count - before.get(status).copied().unwrap_or_default())
        };
        let new = stats.refused.iter().map(since).filter(|(_, count)| *count > 0);
        let all: Vec<String> = new.map(|(status, count)| text(stats, status, count)).collect();
        Some(all.join(", "))
    }
}

fn text(stats: &RelayStats, status: u16, count: u64) -> String {
    let which = if count == 1 { "from" } else { "the last from" };
    let from = stats.last_refused.get(&status).map(|address| format!(", {which} {address}"));
    let handshakes = counted(count, "handshake");
    format!("{handshakes} refused with {status}{}", from.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_reported_when_they_begin_and_then_at_most_once_an_interval() {
        let start = Instant::now();
        let mut reports = RefusalReports::new(Duration::from_secs(60));
        let mut stats = RelayStats::default();
        stats.last_refused.insert(403, [127, 0, 0, 1].into());
        let mut said = Vec::new();
        for second in 0..300_u64 {
            if (10..100).contains(&second) {
                *stats.refused.entry(403).or_default() += 1;
            }
            if second == 90 {
                stats.refused.insert(429, 1);
            }
            let texts = reports.warnings(&stats, start + Duration::from_secs(second));
            said.extend(texts.into_iter().map(|text| (second, text)));
        }
        let expected = [
            (10, "1 handshake refused with 403, from 127.0.0.1"),
            (70, "60 handshakes refused with 403, the last from 127.0.0.1"),
            (
                130,
                "29 handshakes refused with 403, the last from 127.0.0.1, \
                 1 handshake refused with 429",
            ),
        ];
        assert_eq!(said, expected.map(|(second, text)| (second, text.to_owned())));
    }
}
