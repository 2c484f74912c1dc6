//! Decides when to warn that clients lose ticks because they read too slowly.
//!
//! Performs no I/O; the caller passes in the time.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kite_relay::{ClientStats, RelayStats};

use crate::format::numbers::counted;

/// What has been lost and reported so far.
#[derive(Debug)]
pub(super) struct SlowReports {
    /// How often a loss that goes on is reported again.
    every: Duration,
    /// By client: its losses at the last report, and when that was.
    reported: BTreeMap<String, (Losses, Instant)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Losses {
    dropped: u64,
    too_slow: u64,
    stalled: u64,
}

impl Losses {
    fn of(client: &ClientStats) -> Self {
        let ClientStats { dropped, too_slow, stalled, .. } = *client;
        Self { dropped, too_slow, stalled }
    }

    fn text(self) -> String {
        let counts = [
            (self.dropped, "tick", "dropped"),
            (self.too_slow, "socket", "closed"),
            (self.stalled, "socket", "reset"),
        ];
        let counts = counts.iter().filter(|(count, ..)| *count > 0);
        let all: Vec<String> =
            counts.map(|(count, noun, what)| format!("{} {what}", counted(*count, noun))).collect();
        all.join(", ")
    }
}

impl SlowReports {
    pub(super) fn new(every: Duration) -> Self {
        Self { every, reported: BTreeMap::new() }
    }

    /// Returns the warnings that are due: of each client a first one without delay, then one for
    /// each interval in which it has lost more.
    pub(super) fn warnings(&mut self, stats: &RelayStats, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        for client in &stats.clients {
            let (losses, last) = (Losses::of(client), self.reported.get(&client.name));
            let known = last.map_or_else(Losses::default, |(known, _)| *known);
            let is_due = last.is_none_or(|(_, at)| now.duration_since(*at) >= self.every);
            if losses != known && is_due {
                let name = &client.name;
                warnings.push(format!("client {name} reads too slowly: {} so far", losses.text()));
                self.reported.insert(name.clone(), (losses, now));
            }
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stats(dropped: u64, too_slow: u64) -> RelayStats {
        let mut client = ClientStats::default();
        (client.name, client.dropped, client.too_slow) = ("desk".into(), dropped, too_slow);
        let mut stats = RelayStats::default();
        stats.clients = vec![ClientStats::default(), client];
        stats
    }

    #[test]
    fn a_loss_is_reported_when_it_begins_and_then_once_an_interval() {
        let start = Instant::now();
        let mut reports = SlowReports::new(Duration::from_secs(60));
        let mut said = Vec::new();
        for second in 0..200_u64 {
            let lost = if (10..=130).contains(&second) { second } else { 0 };
            let lost = if second > 130 { 130 } else { lost };
            let now = start + Duration::from_secs(second);
            let texts = reports.warnings(&stats(lost, u64::from(second >= 190)), now);
            said.extend(texts.into_iter().map(|text| (second, text)));
        }
        let text = |lost: &str| format!("client desk reads too slowly: {lost} so far");
        let expected = [
            (10, text("10 ticks dropped")),
            (70, text("70 ticks dropped")),
            (130, text("130 ticks dropped")),
            (190, text("130 ticks dropped, 1 socket closed")),
        ];
        assert_eq!(said, expected);
    }
}
