//! Decides when to warn that handshakes are refused.
//!
//! Performs no I/O; the caller passes in the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kite_relay::RelayStats;

use crate::format::numbers::counted;

/// The refusals that have been reported.
#[derive(Debug)]
pub(super) struct RefusalReports {
    /// Least time between two warnings.
    every: Duration,
    /// The counts at the last warning, by HTTP status.
    reported: BTreeMap<u16, u64>,
    /// When the last warning was.
    last: Option<Instant>,
}

impl RefusalReports {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, reported: BTreeMap::new(), last: None }
    }

    /// Returns the warning that is due: a first one without delay, then one for each interval in
    /// which more handshakes were refused, with their number since the last warning.
    pub(super) fn warning(&mut self, stats: &RelayStats, now: Instant) -> Option<String> {
        let is_due = self.last.is_none_or(|at| now.duration_since(at) >= self.every);
        if !is_due || stats.refused == self.reported {
            return None;
        }
        let since = |(status, count): (&u16, &u64)| {
            (*status, count - self.reported.get(status).copied().unwrap_or_default())
        };
        let new = stats.refused.iter().map(since).filter(|(_, count)| *count > 0);
        let all: Vec<String> = new.map(|(status, count)| text(stats, status, count)).collect();
        self.reported.clone_from(&stats.refused);
        self.last = Some(now);
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
            let text = reports.warning(&stats, start + Duration::from_secs(second));
            said.extend(text.map(|text| (second, text)));
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
