//! Publishes the feed of a running relay to NATS.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use kite_conn::OneLine;
use kite_manager::{AccountId, Manager};
use kite_nats::{
    Publisher, PublisherConfig, PublisherError, PublisherStats, PublisherStopped, Server,
    ServerError, Subjects,
};
use serde_json::{Value, json};

use super::reported::Reported;
use crate::exit::CliError;
use crate::format::numbers::{counted, grouped};

/// Time without a connection after which that is worth a warning.
const AWAY_AFTER: Duration = Duration::from_secs(5);

/// Where and what to publish.
#[derive(Debug, Clone)]
pub(super) struct NatsSettings {
    pub(super) server: Server,
    /// The first part of all subjects.
    pub(super) prefix: String,
    pub(super) what: What,
}

/// What is published of the ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum What {
    #[default]
    Packets,
    Frames,
    Both,
}

impl NatsSettings {
    /// Checks what needs neither files nor the network: whether the accounts can be part of subjects.
    pub(super) fn check<'a>(
        &self,
        accounts: impl IntoIterator<Item = &'a str>,
    ) -> Result<(), CliError> {
        let check = |name| Subjects::new(&self.prefix, &AccountId::from(name)).map(drop);
        accounts.into_iter().try_for_each(check).map_err(|error| not_started(error.into()))
    }

    /// Starts to publish the feed of a manager. The server need not be reachable.
    pub(super) async fn start(&self, manager: &Manager) -> Result<Publisher, CliError> {
        let config = PublisherConfig {
            prefix: self.prefix.clone(),
            packets: self.what != What::Frames,
            frames: self.what != What::Packets,
            ..PublisherConfig::default()
        };
        Publisher::start(manager, &self.server, config).await.map_err(not_started)
    }

    /// Returns the server and what is published, for people.
    pub(super) fn line(&self) -> String {
        let what = match self.what {
            What::Packets => "packets",
            What::Frames => "whole frames",
            What::Both => "packets and whole frames",
        };
        format!("{}; {what}, subjects below {}", self.server, OneLine(&self.prefix))
    }
}

/// Explains why nothing can be published: files that cannot be read are missing, everything else was
/// written wrong.
fn not_started(error: PublisherError) -> CliError {
    let what = "cannot publish to NATS";
    match error {
        PublisherError::Server(ServerError::Credentials { .. }) => {
            CliError::unable(what).because(error)
        }
        error => CliError::usage(what).because(error),
    }
}

/// Decides when to warn of the connection to NATS, and of what is lost.
#[derive(Debug)]
pub(super) struct NatsReports {
    away_since: Option<Instant>,
    is_away_reported: bool,
    losses: Reported<(u64, u64)>,
}

impl NatsReports {
    /// Creates one that warns of losses that go on once in this time.
    pub(super) fn new(every: Duration) -> Self {
        Self { away_since: None, is_away_reported: false, losses: Reported::new(every) }
    }

    /// Returns the warnings that are due.
    pub(super) fn warnings(&mut self, stats: &PublisherStats, now: Instant) -> Vec<String> {
        let mut warnings = Vec::new();
        if stats.is_connected {
            self.away_since = None;
            if std::mem::take(&mut self.is_away_reported) {
                warnings.push("NATS: connected".to_owned());
            }
        } else {
            let since = *self.away_since.get_or_insert(now);
            if now.duration_since(since) >= AWAY_AFTER && !self.is_away_reported {
                self.is_away_reported = true;
                let error = stats.last_error.as_deref().unwrap_or("no answer");
                warnings.push(format!("NATS: no connection: {}", OneLine(error)));
            }
        }
        let losses = (stats.dropped_ticks, stats.unconfirmed);
        if let Some((dropped, unconfirmed)) = self.losses.due("", &losses, now) {
            let dropped = counted(losses.0 - dropped, "tick");
            let unconfirmed = counted(losses.1 - unconfirmed, "message");
            warnings
                .push(format!("NATS: {dropped} dropped, at most {unconfirmed} lost on the way"));
        }
        warnings
    }
}

/// Returns the line of the summary.
pub(super) fn summary(stats: &PublisherStats) -> String {
    let mut text = format!(
        "NATS: {} published, {} dropped",
        counted(stats.ticks, "tick"),
        grouped(stats.dropped_ticks)
    );
    // Writing to a string does not fail.
    let _ = write!(text, ", {}, {}", counted(stats.orders, "order"), counted(stats.gaps, "gap"));
    text + "\n"
}

/// Returns the counts as JSON.
pub(super) fn json(stopped: &PublisherStopped) -> Value {
    let stats = &stopped.stats;
    json!({
        "ticks": stats.ticks,
        "dropped": stats.dropped_ticks,
        "messages": stats.messages,
        "confirmed": stats.confirmed,
        "unconfirmed": stats.unconfirmed,
        "too_large": stats.too_large,
        "orders": stats.orders,
        "events": stats.events,
        "missed_events": stats.missed_events,
        "gaps": stats.gaps,
        "requests": stats.requests,
        "losses": stats.losses,
        "complete": stopped.is_complete,
    })
}

/// Returns a warning for each way in which something did not get to NATS.
pub(super) fn losses(stopped: &PublisherStopped) -> Vec<String> {
    let stats = &stopped.stats;
    let mut warnings: Vec<String> = [
        (stats.dropped_ticks, "tick", "dropped because NATS took too little"),
        (stats.unconfirmed, "message", "at most lost on the way to NATS with a connection"),
        (stats.too_large, "message", "not sent because NATS accepts smaller ones only"),
        (stats.missed_events, "event", "not published, possibly including orders"),
    ]
    .into_iter()
    .filter(|(count, ..)| *count > 0)
    .map(|(count, noun, what)| format!("{} {what}", counted(count, noun)))
    .collect();
    if !stopped.is_complete {
        warnings.push("at the end NATS had not received everything that was queued".to_owned());
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_server_is_reported_once_after_a_while_and_when_it_is_back() {
        let (mut reports, start) = (NatsReports::new(Duration::from_secs(60)), Instant::now());
        let mut stats = PublisherStats::default();
        stats.last_error = Some("refused\nx".to_owned());
        let mut at = |stats: &PublisherStats, seconds| {
            reports.warnings(stats, start + Duration::from_secs(seconds))
        };
        assert!(at(&stats, 0).is_empty() && at(&stats, 4).is_empty());
        assert_eq!(at(&stats, 5), ["NATS: no connection: refused x"]);
        assert!(at(&stats, 50).is_empty());
        stats.is_connected = true;
        (stats.dropped_ticks, stats.unconfirmed) = (1, 2);
        let lost = "NATS: 1 tick dropped, at most 2 messages lost on the way";
        assert_eq!(at(&stats, 51), ["NATS: connected", lost]);
        stats.dropped_ticks = 4;
        assert!(at(&stats, 60).is_empty());
        let more = "NATS: 3 ticks dropped, at most 0 messages lost on the way";
        assert_eq!(at(&stats, 111), [more]);
    }
}
