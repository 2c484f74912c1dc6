//! Suppresses repetitions of a report.

use std::time::Duration;

use crate::clock::Stamp;

/// At most one event a second per kind of damage, so that a faulty server cannot flood the lane.
const REPORT_EVERY: Duration = Duration::from_secs(1);

/// Admits one occurrence per second and counts the others.
#[derive(Debug, Default)]
pub(crate) struct RateLimit {
    last: Option<Stamp>,
    suppressed: u64,
}

impl RateLimit {
    /// Returns the number of occurrences suppressed since the last admitted one, or `None` to
    /// suppress this one.
    pub(crate) fn admit(&mut self, now: Stamp) -> Option<u64> {
        if self.last.is_some_and(|last| now.since(last) < REPORT_EVERY) {
            self.suppressed += 1;
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}
