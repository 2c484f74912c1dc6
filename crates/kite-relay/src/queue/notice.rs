//! The message to a client about the frames that were dropped.

use std::time::{Duration, Instant};

use kite_server::texts;
use serde_json::json;

/// Shortest time between two messages about dropped frames.
pub(super) const NOTICE_EVERY: Duration = Duration::from_secs(1);

/// The message to the client about dropped frames. Composed when it can be sent, so that a client
/// that reads nothing has one message waiting and not one a second.
#[derive(Debug, Default)]
pub(super) struct DropNotice {
    frames: u64,
    packets: u64,
    next_at: Option<Instant>,
}

impl DropNotice {
    /// Adds a dropped frame of this many packets.
    pub(super) fn add(&mut self, packets: u16) {
        self.frames += 1;
        self.packets += u64::from(packets);
    }

    /// Returns when the message may be sent, if there is one and it has to wait.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_at.filter(|_| self.frames > 0)
    }

    /// Returns the message if there is something to report and the last one was long enough ago.
    pub(super) fn take(&mut self, now: Instant) -> Option<String> {
        if self.frames == 0 || self.next_at.is_some_and(|at| now < at) {
            return None;
        }
        let (frames, packets) = (self.frames, self.packets);
        *self = Self { next_at: Some(now + NOTICE_EVERY), ..Self::default() };
        Some(texts::message(&json!({ "dropped": { "frames": frames, "ticks": packets } })))
    }
}
