//! The exchange's clock, from which every timestamp that the simulator sends is taken.

use std::sync::atomic::{AtomicU32, Ordering};

use tokio::time::Instant;

use super::instrument::DAY_S;

/// The exchange's clock, in seconds since the Unix epoch.
#[derive(Debug)]
pub(crate) struct Clock {
    start_unix_s: u32,
    /// Since when it runs; `None` if each instrument's time advances with its own steps, so that
    /// every run sends the same bytes.
    running_since: Option<Instant>,
    /// Trading days since the first.
    days: AtomicU32,
}

impl Clock {
    /// Creates a clock that stands, so that time advances with the steps of each instrument.
    pub(crate) fn of_steps(start_unix_s: u32) -> Self {
        Self { start_unix_s, running_since: None, days: AtomicU32::new(0) }
    }

    /// Creates a clock that runs from now on.
    pub(crate) fn running(start_unix_s: u32) -> Self {
        Self { running_since: Some(Instant::now()), ..Self::of_steps(start_unix_s) }
    }

    pub(super) fn start_unix_s(&self) -> u32 {
        self.start_unix_s
    }

    /// Moves a clock that runs by a day.
    pub(super) fn next_day(&self) {
        self.days.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns the time, or the start if time advances with the steps of each instrument.
    pub(crate) fn now_unix_s(&self) -> u32 {
        self.running_unix_s().unwrap_or(self.start_unix_s)
    }

    /// Returns the time of a clock that runs.
    pub(crate) fn running_unix_s(&self) -> Option<u32> {
        let elapsed_s = u32::try_from(self.running_since?.elapsed().as_secs()).unwrap_or(u32::MAX);
        let days_s = self.days.load(Ordering::Relaxed).saturating_mul(DAY_S);
        Some(self.start_unix_s.saturating_add(elapsed_s).saturating_add(days_s))
    }
}
