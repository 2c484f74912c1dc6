//! Holds back repetitions of a report.

use std::time::Duration;

use crate::clock::Stamp;

/// At most one event a second tells of damage of a kind: a server gone mad must not flood.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// Lets one occurrence through a second and counts the others.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    last: Option<Stamp>,
    untold: u64,
}

impl RateLimit {
    /// Gives the number of occurrences held back since the last one let through, if this one may.
    pub(crate) fn admit(&mut self, now: Stamp) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < TELL_EVERY) {
            self.untold += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}
