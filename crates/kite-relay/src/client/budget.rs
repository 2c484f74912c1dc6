//! How much of a client's messages is read.

use std::time::Duration;

use kite_server::Received;
use tokio::time::Instant;

/// What is read immediately: more than any client sends at its start.
const BURST: u64 = 1024 * 1024;

/// What is read each second. Commands for 20,000 instruments, or 500 short ones.
const PER_SECOND: u64 = 256 * 1024;

/// What a message costs besides its length.
const PER_MESSAGE: u64 = 512;

/// The bytes that a client may still send. A client that sends more is read later, so that its
/// commands cost the hub no more than those of others.
#[derive(Debug)]
pub(super) struct Budget {
    left: u64,
    since: Instant,
}

impl Budget {
    pub(super) fn new(now: Instant) -> Self {
        Self { left: BURST, since: now }
    }

    /// Returns whether a message may be read.
    pub(super) fn has_any(&mut self, now: Instant) -> bool {
        if self.left == 0 {
            let earned = now.saturating_duration_since(self.since);
            if earned >= Duration::from_secs(1) {
                let seconds = earned.as_secs();
                self.left = BURST.min(PER_SECOND.saturating_mul(seconds));
                self.since = now;
            }
        }
        self.left > 0
    }

    /// Takes the cost of a message, which may exceed what is left.
    pub(super) fn spend(&mut self, received: &Received) {
        let length = match received {
            Received::Text(text) => text.len() as u64,
            Received::Ping | Received::Other => 0,
        };
        self.left = self.left.saturating_sub(PER_MESSAGE + length);
    }
}
