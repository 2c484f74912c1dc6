//! The log of commands that have no effect.

use std::time::Instant;

use tokio::time;

use super::Hub;
use crate::changes::ClientId;
use crate::repeats::Line;

/// Why a command has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Outcome {
    /// It is ignored in whole or in part.
    Ignored,
    /// It asks for more than a socket may have.
    SocketFull,
    /// It asks for more than there is room for upstream.
    AccountsFull,
}

/// A command that has no effect.
#[derive(Debug)]
pub(super) struct Declined {
    id: ClientId,
    name: String,
    outcome: Outcome,
    reason: String,
}

impl Hub {
    /// Logs a command, unless one of the client had the same outcome within a minute. The reason
    /// holds nothing of the client's text.
    pub(super) fn note_declined(&mut self, id: ClientId, outcome: Outcome, reason: String) {
        let Some(client) = self.clients.get(&id) else { return };
        let name = client.listed.name().to_owned();
        let key = (name.clone(), outcome);
        let declined = Declined { id, name, outcome, reason };
        let line = self.declined.note(key, declined, time::Instant::now().into_std());
        line.iter().for_each(Declined::log);
    }

    /// Logs repeated commands of the last minute that are due.
    pub(super) fn log_declined(&mut self, now: Instant) {
        self.declined.take_due(now).iter().for_each(Declined::log);
    }

    /// Logs the repeated commands that have not been logged.
    pub(super) fn log_rest_declined(&mut self) {
        self.declined.take_all().iter().for_each(Declined::log);
    }
}

impl Declined {
    fn log(line: &Line<Self>) {
        let Line { count, others, last: Self { id, name, outcome, reason } } = line;
        let id = id.0;
        match outcome {
            Outcome::Ignored => {
                tracing::info!(count, others, id, name, %reason, "command ignored");
            }
            Outcome::SocketFull => {
                tracing::warn!(count, others, id, name, %reason, "command refused: socket is full");
            }
            Outcome::AccountsFull => {
                tracing::warn!(
                    count,
                    others,
                    id,
                    name,
                    %reason,
                    "command refused: accounts are full"
                );
            }
        }
    }
}
