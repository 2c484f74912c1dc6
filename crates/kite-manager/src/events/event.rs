//! Events of a manager, as data and as text.

use std::fmt;
use std::sync::Arc;

use kite_conn::{Event, OneLine, Severity, Stopped};

use crate::account_id::AccountId;
use crate::balance::Move;
use crate::seat::{Seat, write_connection};

/// An event of a connection, or of the manager itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum ManagerEvent {
    /// An event of a connection.
    Connection {
        /// The connection.
        seat: Seat,
        /// The event.
        event: Event,
    },
    /// Instruments moved to other connections because theirs has been down for too long, or
    /// returned because it is stable again.
    Moved {
        /// The account of these connections.
        account: AccountId,
        /// The instruments, each with its old and new connection.
        moves: Arc<[Move]>,
        /// Whether they returned to the connection on which they were subscribed.
        back: bool,
    },
    /// A connection has been down for too long, and no connection streams these instruments: none
    /// is live, or those that are have no room.
    Dark {
        /// The account.
        account: AccountId,
        /// The connection's number within the account.
        connection: usize,
        /// Its instruments that no connection streams now.
        tokens: Arc<[u32]>,
    },
    /// Something that another process reported, for feeds that a program receives from there, and
    /// that has none of the other forms. See [`Delivery`](crate::Delivery).
    Reported {
        /// The account.
        account: AccountId,
        /// The connection's number within the account, if it happened to one.
        connection: Option<usize>,
        /// The name for reports, in snake case.
        name: String,
        /// How much it matters.
        severity: Severity,
        /// What happened, in words.
        text: String,
    },
    /// The run has ended, and so has every connection. The last event of a run, and not queued, so
    /// that no lag displaces it.
    Stopped(Stopped),
    /// This listener fell behind and missed events; it continues with the oldest event still kept.
    Lagged {
        /// Number of missed events.
        missed: u64,
    },
}

impl ManagerEvent {
    /// Returns how much the event matters.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::Connection { event, .. } => event.severity(),
            Self::Moved { .. } => Severity::Notice,
            Self::Dark { .. } => Severity::Error,
            Self::Reported { severity, .. } => *severity,
            Self::Stopped(_) => Severity::Notice,
            Self::Lagged { .. } => Severity::Warning,
        }
    }
}

/// One line of plain English, as for [`Event`]; connections count from 1.
impl fmt::Display for ManagerEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { seat, event } => write!(f, "{seat}: {event}"),
            Self::Moved { account, moves, back } => {
                let connection = moves.first().map_or(0, |it| if *back { it.to } else { it.from });
                write_connection(f, account, connection)?;
                let went = if *back { "moved back" } else { "moved to other connections" };
                write!(f, ": {} of its instruments {went}", moves.len())
            }
            Self::Dark { account, connection, tokens } => {
                write_connection(f, account, *connection)?;
                let dark = tokens.len();
                write!(f, ": down; no connection streams {dark} of its instruments")
            }
            Self::Reported { text, .. } => OneLine(text).fmt(f),
            Self::Stopped(stopped) => stopped.fmt(f),
            Self::Lagged { missed } => write!(f, "events missed: {missed}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use kite_conn::{LossCause, Stamp};

    use super::*;

    #[test]
    fn every_event_has_a_severity_and_a_text() {
        let seat = |account: AccountId| Seat { account, account_index: 0, connection: 1 };
        let up = |account| ManagerEvent::Connection {
            seat: seat(account),
            event: Event::Up { epoch: 2, instruments: 3 },
        };
        let lost = ManagerEvent::Connection {
            seat: seat(AccountId::default()),
            event: Event::Down { epoch: 1, cause: LossCause::Eof, last_heard: Stamp::now() },
        };
        let moved = |back| {
            let moves = [4, 5].map(|token| Move { token, from: 1, to: 0 });
            ManagerEvent::Moved { account: AccountId::default(), moves: moves.into(), back }
        };
        let account = AccountId::from("mine");
        for (event, severity, words) in [
            (up(AccountId::default()), Severity::Recovery, "connection 2: up again"),
            (up(account.clone()), Severity::Recovery, "connection 2 of mine: up again"),
            (
                lost,
                Severity::Error,
                "connection 2: lost: the server ended the stream without a close frame",
            ),
            (
                moved(false),
                Severity::Notice,
                "connection 2: 2 of its instruments moved to other connections",
            ),
            (moved(true), Severity::Notice, "connection 1: 2 of its instruments moved back"),
            (
                ManagerEvent::Dark { account, connection: 0, tokens: [4].into() },
                Severity::Error,
                "connection 1 of mine: down; no connection streams 1 of its instruments",
            ),
            (
                ManagerEvent::Reported {
                    account: AccountId::default(),
                    connection: None,
                    name: "nats_down".into(),
                    severity: Severity::Error,
                    text: "connection to NATS\nlost".into(),
                },
                Severity::Error,
                "connection to NATS lost",
            ),
            (ManagerEvent::Stopped(Stopped::NOTHING), Severity::Notice, "stopped"),
            (ManagerEvent::Lagged { missed: 7 }, Severity::Warning, "events missed: 7"),
        ] {
            assert_eq!(event.to_string(), words);
            assert_eq!(event.severity(), severity, "{words}");
        }
    }
}
