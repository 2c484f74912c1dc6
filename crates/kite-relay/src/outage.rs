//! A connection upstream that is down, why, and what its clients are sent about it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use kite_manager::{OpenError, ParkReason, Phase, Status};
use kite_wire::Mode;

use crate::changes::ClientId;

/// How long a connection is down before its clients are sent an error.
pub(crate) const ERROR_AFTER: Duration = Duration::from_secs(1);

/// The most instruments that a text names.
const NAMED: usize = 5;

/// Why a connection is down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Reason {
    /// Its socket was lost or cannot be opened.
    Lost,
    /// Kite refuses the access token, which has expired or was replaced.
    TokenRefused,
    /// Kite does not know the credentials.
    CredentialsInvalid,
    /// Kite refuses a further socket.
    SocketsInUse,
    /// It does not reconnect by itself.
    GaveUp,
}

impl Reason {
    /// Returns why a connection with this status is down; `None` if it is not, or has ended.
    #[must_use]
    pub(crate) fn of(status: &Status) -> Option<Self> {
        if matches!(status.phase, Phase::Live | Phase::Closed) {
            return None;
        }
        Some(match (&status.parked, &status.last_failure) {
            (Some(ParkReason::Authentication(error)), _) => Self::of_credentials(error),
            (Some(_), _) => Self::GaveUp,
            (None, Some(error)) if error.is_auth() => Self::of_credentials(error),
            (None, Some(OpenError::Refused(refusal))) if refusal.status == 429 => {
                Self::SocketsInUse
            }
            (None, _) => Self::Lost,
        })
    }

    fn of_credentials(refused: &OpenError) -> Self {
        match refused.is_invalid_credentials() {
            true => Self::CredentialsInvalid,
            false => Self::TokenRefused,
        }
    }

    /// Returns the error for a client that gets no ticks from these instruments.
    #[must_use]
    pub(crate) fn error(self, tokens: &[u32]) -> String {
        let reason = match self {
            Self::Lost => "the connection to Kite is down; reconnecting",
            Self::TokenRefused => "Kite refuses the access token; waiting for a new one",
            Self::CredentialsInvalid => {
                "Kite does not know the api_key or the access token; waiting for a new token"
            }
            Self::SocketsInUse => "all sockets of the account are in use; retrying",
            Self::GaveUp => "the connection to Kite is down; no longer reconnecting",
        };
        format!("No ticks from {}: {reason}.", named(tokens))
    }
}

/// Returns the number of instruments, and the first ones by token.
#[must_use]
pub(crate) fn named(tokens: &[u32]) -> String {
    let (count, plural) = (tokens.len(), if tokens.len() == 1 { "" } else { "s" });
    let mut listed: Vec<String> = tokens.iter().take(NAMED).map(u32::to_string).collect();
    if count > NAMED {
        listed.push(format!("{} more", count - NAMED));
    }
    let last = listed.pop().unwrap_or_default();
    let listed = if listed.is_empty() { last } else { format!("{} and {last}", listed.join(", ")) };
    format!("{count} instrument{plural} ({listed})")
}

/// The time in which a connection is down.
#[derive(Debug)]
pub(crate) struct Outage {
    since: Instant,
    /// When clients that depend on it alone get no heartbeats.
    pub(crate) dark_at: Instant,
    pub(crate) reason: Reason,
    /// Its instruments.
    pub(crate) tokens: BTreeSet<u32>,
    /// Those whose clients may not have been sent the error.
    pub(crate) to_report: BTreeSet<u32>,
    /// The clients that have been sent an error, with its reason: each reason is sent once, though
    /// reasons may alternate.
    pub(crate) informed: HashSet<(ClientId, Reason)>,
}

impl Outage {
    #[must_use]
    pub(crate) fn new(since: Instant, dark_at: Instant) -> Self {
        let (tokens, to_report) = (BTreeSet::new(), BTreeSet::new());
        Self { since, dark_at, reason: Reason::Lost, tokens, to_report, informed: HashSet::new() }
    }

    /// Returns when clients are sent the error.
    #[must_use]
    pub(crate) fn error_at(&self) -> Instant {
        self.since + ERROR_AFTER
    }

    /// Sets the reason; another one is to be reported.
    pub(crate) fn set_reason(&mut self, reason: Reason) {
        if self.reason != reason {
            self.reason = reason;
            self.to_report.clone_from(&self.tokens);
        }
    }

    /// Sets its instruments; new ones are to be reported.
    pub(crate) fn set_tokens(&mut self, instruments: &BTreeMap<u32, Mode>) {
        let new = instruments.keys().filter(|token| !self.tokens.contains(token));
        self.to_report.extend(new);
        self.tokens = instruments.keys().copied().collect();
        self.to_report.retain(|token| self.tokens.contains(token));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_first_instruments() {
        assert_eq!(named(&[408_065]), "1 instrument (408065)");
        assert_eq!(named(&[1, 2, 3, 4, 5]), "5 instruments (1, 2, 3, 4 and 5)");
        let many: Vec<u32> = (1..=14).collect();
        assert_eq!(named(&many), "14 instruments (1, 2, 3, 4, 5 and 9 more)");
    }
}
