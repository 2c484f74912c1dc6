//! Decides when to warn that clients lose ticks because they read too slowly.
//!
//! Performs no I/O; the caller passes in the time.

use std::time::{Duration, Instant};

use kite_relay::{ClientStats, RelayStats};

use super::reported::Reported;
use crate::format::numbers::counted;

/// What has been lost and reported so far, by client.
#[derive(Debug)]
pub(super) struct SlowReports(Reported<Losses>);

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
    /// Creates one that warns of what goes on once in this time.
    pub(super) fn new(every: Duration) -> Self {
        Self(Reported::new(every))
    }

    /// Returns the warnings that are due: of each client a first one without delay, then one for
    /// each interval in which it has lost more.
    pub(super) fn warnings(&mut self, stats: &RelayStats, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        for client in &stats.clients {
            let (name, losses) = (&client.name, Losses::of(client));
            if self.0.due(name, &losses, now).is_some() {
                warnings.push(format!("client {name} reads too slowly: {} so far", losses.text()));
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
