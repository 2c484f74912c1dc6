//! A connection upstream that is down or silent, why, and what its clients are sent about it.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::{Duration, Instant};

use kite_manager::{OpenError, ParkReason, Phase, Stamp, Status};
use kite_wire::Mode;

use crate::changes::ClientId;

/// How long a connection is down before its clients are sent an error.
pub(crate) const ERROR_AFTER: Duration = Duration::from_secs(1);

/// How long a connection is down or silent before clients that depend on it alone get no
/// heartbeats.
pub(crate) const DARK_AFTER: Duration = Duration::from_secs(5);

/// How much sooner than due an error is sent together with one that is due, and how long instruments
/// that are asked for later wait for others: connections lost, and instruments asked for, within
/// this time of each other are one text.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);

/// The most instruments that a text names.
const NAMED: usize = 5;

/// Instruments by client, of which it is to be informed.
pub(crate) type Owed = BTreeMap<ClientId, BTreeSet<u32>>;

/// Why nothing is received.
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
    /// Its socket is open, but nothing has been received for [`DARK_AFTER`].
    Silent,
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
            Self::Silent => "nothing received from Kite for 5 s",
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

/// The time in which a connection is down or silent.
#[derive(Debug)]
pub(crate) struct Outage {
    /// When anything was last received before, or when the relay was started.
    pub(crate) from: Stamp,
    /// Whether a socket was open before.
    had_socket: bool,
    /// When clients are sent the error at the earliest.
    pub(crate) error_at: Instant,
    /// When clients that depend on it alone get no heartbeats.
    pub(crate) dark_at: Instant,
    pub(crate) reason: Reason,
    /// Its instruments.
    pub(crate) tokens: BTreeSet<u32>,
    /// Those whose clients may not have been sent the error.
    to_report: BTreeSet<u32>,
    /// When the error for them is due.
    report_at: Instant,
    /// The clients that have been sent an error, with its reason: each reason is sent once, though
    /// reasons may alternate.
    pub(crate) informed: HashSet<(ClientId, Reason)>,
    /// What errors have named, and no text has ended.
    pub(crate) owed: Owed,
}

impl Outage {
    /// Creates that of a connection that has not opened a socket.
    #[must_use]
    pub(crate) fn unopened(now: Instant, from: Stamp) -> Self {
        Self { had_socket: false, ..Self::lost(now, from) }
    }

    /// Creates that of a connection that has lost its socket.
    #[must_use]
    pub(crate) fn lost(now: Instant, from: Stamp) -> Self {
        Self {
            from,
            had_socket: true,
            error_at: now + ERROR_AFTER,
            dark_at: now + DARK_AFTER,
            reason: Reason::Lost,
            tokens: BTreeSet::new(),
            to_report: BTreeSet::new(),
            report_at: now,
            informed: HashSet::new(),
            owed: Owed::new(),
        }
    }

    /// Creates that of a connection that has been silent for [`DARK_AFTER`].
    #[must_use]
    pub(crate) fn silent(now: Instant, from: Stamp) -> Self {
        let (error_at, dark_at, reason) = (now, now, Reason::Silent);
        Self { error_at, dark_at, reason, ..Self::lost(now, from) }
    }

    #[must_use]
    pub(crate) fn is_silent(&self) -> bool {
        self.reason == Reason::Silent
    }

    /// Returns whether the next socket reports a gap, unless there was nothing to miss.
    #[must_use]
    pub(crate) fn is_followed_by_gap(&self) -> bool {
        self.had_socket
    }

    /// Records the loss of a silent socket, after which heartbeats do not resume. Does nothing if the
    /// connection is down already.
    pub(crate) fn on_down(&mut self, now: Instant) {
        if self.is_silent() {
            self.error_at = now + ERROR_AFTER;
            self.set_reason(Reason::Lost, now);
        }
    }

    /// Records that the manager has ended its run, whose gaps the next one does not report.
    pub(crate) fn on_stopped(&mut self) {
        self.had_socket = false;
    }

    /// Returns when an error is due; `None` if all clients have been sent theirs.
    #[must_use]
    pub(crate) fn error_due(&self) -> Option<Instant> {
        (!self.to_report.is_empty()).then_some(self.report_at)
    }

    /// Adds instruments whose clients may not have been sent the error.
    pub(crate) fn report(&mut self, tokens: impl IntoIterator<Item = u32>, now: Instant) {
        let is_first = self.to_report.is_empty();
        self.to_report.extend(tokens);
        if is_first {
            self.report_at = self.error_at.max(now + SETTLE);
        }
    }

    /// Removes and returns the instruments of [`Outage::report`].
    #[must_use]
    pub(crate) fn take_to_report(&mut self) -> BTreeSet<u32> {
        std::mem::take(&mut self.to_report)
    }

    /// Sets the reason; another one is to be reported.
    pub(crate) fn set_reason(&mut self, reason: Reason, now: Instant) {
        if self.reason != reason {
            self.reason = reason;
            self.to_report.clear();
            self.report(self.tokens.clone(), now);
        }
    }

    /// Sets its instruments, of which new ones are to be reported. Returns what is owed of those that
    /// it has no longer.
    #[must_use]
    pub(crate) fn set_tokens(&mut self, instruments: &BTreeMap<u32, Mode>, now: Instant) -> Owed {
        let new = instruments.keys().filter(|token| !self.tokens.contains(token));
        let new: Vec<u32> = new.copied().collect();
        self.report(new, now);
        self.tokens = instruments.keys().copied().collect();
        self.to_report.retain(|token| self.tokens.contains(token));
        let mut left = Owed::new();
        for (&client, owed) in &mut self.owed {
            let (kept, gone) = owed.iter().partition(|token| self.tokens.contains(token));
            *owed = kept;
            let gone: BTreeSet<u32> = gone;
            if !gone.is_empty() {
                left.insert(client, gone);
            }
        }
        self.owed.retain(|_, owed| !owed.is_empty());
        left
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
