//! Faults by script.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::fault::{FOREVER, Fault};
use crate::server::{Control, Shared};

/// A list of faults that an account suffers, each at its time or its handshake.
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

#[derive(Debug, Clone, PartialEq)]
enum Act {
    Strike(Fault),
    Heal,
}

impl FaultScript {
    /// Begins a script for an account.
    #[must_use]
    pub fn new(api_key: impl Into<String>) -> Self {
        Self { api_key: api_key.into(), at_handshakes: Vec::new(), timed: Vec::new() }
    }

    /// Adds a fault that is given like by [`Sim::inject`](crate::Sim::inject), this long after the
    /// script's beginning.
    #[must_use]
    pub fn after(mut self, time: Duration, fault: Fault) -> Self {
        self.timed.push((time, Act::Strike(fault)));
        self
    }

    /// Adds a fault for the account's n-th handshake from the script's beginning, counted from 1
    /// and including those that are refused. One that strikes sockets strikes the socket so opened.
    /// Of several faults for a handshake, all but the first await the next.
    #[must_use]
    pub fn on_handshake(mut self, number: u64, fault: Fault) -> Self {
        self.at_handshakes.push((number, fault));
        self
    }

    /// Heals the account's sockets, this long after the script's beginning.
    #[must_use]
    pub fn heal_after(mut self, time: Duration) -> Self {
        self.timed.push((time, Act::Heal));
        self
    }

    /// Sets out what awaits handshakes.
    pub(crate) fn begin(&mut self, shared: &Shared) {
        for (number, fault) in self.at_handshakes.drain(..) {
            shared.at_handshake(&self.api_key, number, fault);
        }
    }

    /// Does what has its time, in order of time and then as added.
    pub(crate) async fn play(mut self, begun: Instant, shared: Arc<Shared>) {
        self.timed.sort_by_key(|(time, _)| *time);
        for (time, act) in self.timed {
            sleep_until(begun + time.min(FOREVER)).await;
            match act {
                Act::Strike(fault) => {
                    shared.inject(&self.api_key, fault);
                }
                Act::Heal => {
                    shared.tell(|_, key| key == self.api_key, || Control::Heal);
                }
            }
        }
    }
}
