//! What happened to the feed: counts of gaps, and the last events that matter.
//!
//! A manager counts frames and losses, but not what was missed, so its events are listened to.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use kite_manager::{AccountId, Event, Events, Gap, ManagerEvent, OneLine, Severity, Stamp};
use serde::Serialize;

use crate::state::State;

/// Number of incidents kept.
const KEPT: usize = 100;

/// The kinds of failed attempts.
const REPEATED: [&str; 2] = ["open_failed", "renewal_failed"];

/// Number of characters of a text. One from a server may be as long as a message.
const LONGEST: usize = 500;

/// An event that matters to a reader.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Incident {
    /// When it was noticed.
    pub(crate) unix_ms: u64,
    /// `recovery`, `notice`, `warning` or `error`.
    pub(crate) severity: &'static str,
    /// The event's name in snake case, such as `gap`, `down`, `up` or `moved`.
    pub(crate) kind: &'static str,
    pub(crate) text: String,
    /// The connection that it happened to, if it was one.
    #[serde(skip)]
    connection: Option<ConnectionId>,
}

/// An account, and the number of a connection within it.
type ConnectionId = (AccountId, usize);

/// Counts of what was missed, and the last incidents.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Incidents {
    /// Gaps of all connections in which instruments were missed.
    pub(crate) gaps: u64,
    /// Their time without ticks, summed.
    pub(crate) gap_seconds: f64,
    /// Events that were not received, so that gaps may be among them.
    pub(crate) events_missed: u64,
    /// The last incidents, the oldest first.
    pub(crate) last: VecDeque<Incident>,
    /// Why connections have lost their sockets, by account and number, until they have others.
    #[serde(skip)]
    pub(crate) lost: BTreeMap<ConnectionId, String>,
    /// How many attempts of connections that are down have failed, by account and number.
    #[serde(skip)]
    pub(crate) failed_attempts: BTreeMap<ConnectionId, u64>,
}

impl Incidents {
    fn note(&mut self, event: &ManagerEvent, unix_ms: u64) {
        let connection = match event {
            ManagerEvent::Connection { seat, event } => {
                let connection = (seat.account.clone(), seat.connection);
                self.note_connection(connection.clone(), event);
                Some(connection)
            }
            ManagerEvent::Lagged { missed } => {
                self.events_missed += missed;
                None
            }
            _ => None,
        };
        let Some(severity) = name(event.severity()) else { return };
        self.keep(Incident {
            unix_ms,
            severity,
            kind: kind(event),
            text: clean(event),
            connection,
        });
    }

    /// Keeps an incident. Of the failed attempts of a connection only the last one is kept, which has
    /// their number, so that a long outage does not displace what was lost.
    fn keep(&mut self, incident: Incident) {
        if REPEATED.contains(&incident.kind) {
            let is_same =
                |it: &Incident| (it.kind, &it.connection) == (incident.kind, &incident.connection);
            self.last.retain(|it| !is_same(it));
        }
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(incident);
    }

    fn note_connection(&mut self, connection: ConnectionId, event: &Event) {
        match event {
            // Without instruments nothing was missed.
            Event::Gap(gap) if !gap.instruments.is_empty() => {
                self.gaps += 1;
                self.gap_seconds += without_ticks(gap).as_secs_f64();
            }
            Event::Down { cause, .. } => {
                self.lost.insert(connection, clean(cause));
            }
            Event::OpenFailed { .. } => {
                *self.failed_attempts.entry(connection).or_default() += 1;
            }
            Event::Up { .. } => {
                self.lost.remove(&connection);
                self.failed_attempts.remove(&connection);
            }
            _ => {}
        }
    }
}

/// Formats what may contain the text of a server.
fn clean(text: impl std::fmt::Display) -> String {
    OneLine(text).to_string().chars().take(LONGEST).collect()
}

/// Returns how long a gap lasted, or if ticks have not resumed, until they could.
fn without_ticks(gap: &Gap) -> Duration {
    gap.without_ticks().unwrap_or_else(|| gap.up.since(gap.last_heard))
}

/// Returns the name of a severity; `None` for details.
fn name(severity: Severity) -> Option<&'static str> {
    match severity {
        Severity::Detail => None,
        Severity::Recovery => Some("recovery"),
        Severity::Warning => Some("warning"),
        Severity::Error => Some("error"),
        _ => Some("notice"),
    }
}

fn kind(event: &ManagerEvent) -> &'static str {
    match event {
        ManagerEvent::Connection { event, .. } => event.name(),
        ManagerEvent::Moved { .. } => "moved",
        ManagerEvent::Dark { .. } => "dark",
        ManagerEvent::Stopped(_) => "stopped",
        ManagerEvent::Lagged { .. } => "lagged",
        _ => "other",
    }
}

/// Notes the events of the manager's runs, for ever.
pub(crate) async fn follow(state: State, mut events: Events) {
    loop {
        match events.recv().await {
            Some(event) => {
                let unix_ms = Stamp::now().to_unix_ns() / 1_000_000;
                state.incidents.lock().note(&event, unix_ms);
            }
            // The next run.
            None => events = state.manager.events(),
        }
    }
}

#[cfg(test)]
mod tests {
    use kite_manager::{LossCause, Missed, Mode, Stopped, VolumeMissed};

    use super::*;

    fn dark(tokens: &[u32]) -> ManagerEvent {
        let account = AccountId::from("mine");
        ManagerEvent::Dark { account, connection: 0, tokens: tokens.into() }
    }

    #[test]
    fn the_last_incidents_are_kept_in_order() {
        let mut incidents = Incidents::default();
        for unix_ms in 0..(KEPT as u64 + 3) {
            incidents.note(&dark(&[1, 2]), unix_ms);
        }
        assert_eq!(incidents.last.len(), KEPT);
        assert_eq!((incidents.last[0].unix_ms, incidents.last[KEPT - 1].unix_ms), (3, 102));
        let Incident { severity, kind, text, .. } = &incidents.last[0];
        assert_eq!((*severity, *kind), ("error", "dark"));
        let words = "connection 1 of mine: down; no connection streams 2 of its instruments";
        assert_eq!(text, words);
    }

    #[test]
    fn missed_events_are_counted_and_an_end_is_an_incident() {
        let mut incidents = Incidents::default();
        incidents.note(&ManagerEvent::Lagged { missed: 7 }, 1);
        incidents.note(&ManagerEvent::Stopped(Stopped::NOTHING), 2);
        assert_eq!((incidents.events_missed, incidents.gaps), (7, 0));
        let kinds: Vec<_> = incidents.last.iter().map(|it| (it.kind, it.severity)).collect();
        assert_eq!(kinds, [("lagged", "warning"), ("stopped", "notice")]);
    }

    #[test]
    fn a_lost_connection_says_why_until_it_is_up() {
        let second = (AccountId::from("mine"), 1);
        let mut incidents = Incidents::default();
        let (cause, last_heard) = (LossCause::Eof, Stamp::from_nanos(1));
        incidents.note_connection(second.clone(), &Event::Down { epoch: 1, cause, last_heard });
        let why = "the server ended the stream without a close frame";
        assert_eq!(incidents.lost[&second], why);
        incidents.note_connection(second, &Event::Up { epoch: 2, instruments: 3 });
        assert!(incidents.lost.is_empty());
    }

    #[test]
    fn only_the_last_failed_attempt_of_a_connection_is_kept() {
        let mut incidents = Incidents::default();
        let mut note = |kind: &'static str, number: usize, text: &str| {
            let connection = Some((AccountId::from("mine"), number));
            let (severity, text) = ("error", text.to_owned());
            incidents.keep(Incident { unix_ms: 1, severity, kind, text, connection });
        };
        note("down", 0, "lost");
        note("open_failed", 1, "attempt 1");
        for attempt in 1..=500 {
            note("open_failed", 0, &format!("attempt {attempt}"));
        }
        note("down", 1, "lost");
        note("down", 1, "lost again");
        let texts: Vec<_> = incidents.last.iter().map(|it| &*it.text).collect();
        assert_eq!(texts, ["lost", "attempt 1", "attempt 500", "lost", "lost again"]);
    }

    #[test]
    fn only_gaps_in_which_instruments_were_missed_are_counted() {
        let at = |second: u64| Stamp::from_nanos(second * 1_000_000_000);
        let connection = (AccountId::from("mine"), 0);
        let mut incidents = Incidents::default();
        let mut gap = Gap::new(at(10), at(12), at(15));
        incidents.note_connection(connection.clone(), &Event::Gap(gap.clone().into()));
        assert_eq!((incidents.gaps, incidents.gap_seconds), (0, 0.0));
        gap.instruments = vec![Missed::new(408_065, Mode::Ltp, VolumeMissed::NotCarried)];
        incidents.note_connection(connection, &Event::Gap(gap.into()));
        assert_eq!((incidents.gaps, incidents.gap_seconds), (1, 5.0));
    }

    #[test]
    fn a_gap_lasts_until_the_first_tick_or_else_until_the_next_socket() {
        let at = |second: u64| Stamp::from_nanos(second * 1_000_000_000);
        let mut gap = Gap::new(at(10), at(12), at(15));
        assert_eq!(without_ticks(&gap), Duration::from_secs(5));
        gap.resumed = Some(at(16));
        assert_eq!(without_ticks(&gap), Duration::from_secs(6));
    }
}
