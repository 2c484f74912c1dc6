//! Scripted faults.

use std::time::Duration;

use super::Fault;
use super::pending::PendingFaults;

/// A list of faults for an account, each at a time or at a handshake.
///
/// ```
/// use std::time::Duration;
///
/// use kite_sim::{API_KEY, Fault, FaultScript, Refusal, Sim};
///
/// let script = FaultScript::new(API_KEY)
///     .after(Duration::from_secs(5), Fault::HalfOpen)
///     .heal_after(Duration::from_secs(9))
///     .on_handshake(3, Fault::refuse(Refusal::auth()));
/// let builder = Sim::builder().script(script);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct FaultScript {
    api_key: String,
    at_handshakes: Vec<(u64, Fault)>,
    timed: Vec<(Duration, Act)>,
}

/// An action of a script at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Act {
    Strike(Fault),
    Heal,
}

impl FaultScript {
    /// Creates an empty script for an account.
    #[must_use]
    pub fn new(api_key: impl Into<String>) -> Self {
        Self { api_key: api_key.into(), at_handshakes: Vec::new(), timed: Vec::new() }
    }

    /// Adds a fault that is injected as with [`Sim::inject`](crate::Sim::inject), this long after
    /// the script's start. If the account has no open socket then, a socket fault has no effect,
    /// and counts in [`SimStats::missed_faults`](crate::SimStats::missed_faults).
    #[must_use]
    pub fn after(mut self, time: Duration, fault: Fault) -> Self {
        self.timed.push((time, Act::Strike(fault)));
        self
    }

    /// Adds a fault for the account's n-th handshake after the script's start, counted from 1 and
    /// including refused ones. A socket fault strikes the socket that the handshake opens. Of
    /// several faults for one handshake, all but the first are queued for the next ones.
    #[must_use]
    pub fn on_handshake(mut self, number: u64, fault: Fault) -> Self {
        self.at_handshakes.push((number, fault));
        self
    }

    /// Heals the account's sockets, this long after the script's start.
    #[must_use]
    pub fn heal_after(mut self, time: Duration) -> Self {
        self.timed.push((time, Act::Heal));
        self
    }

    /// Queues the faults for handshakes.
    pub(crate) fn begin(&mut self, pending: &PendingFaults) {
        for (number, fault) in self.at_handshakes.drain(..) {
            pending.at(&self.api_key, number, fault);
        }
    }

    /// Returns the account and the timed actions, ordered by time and then as added.
    pub(crate) fn into_timed(mut self) -> (String, Vec<(Duration, Act)>) {
        self.timed.sort_by_key(|(time, _)| *time);
        (self.api_key, self.timed)
    }
}
