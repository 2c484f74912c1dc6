//! The time after which a connection counts as silent.

use std::time::Duration;

use clap::Args;
use kite_tape::SilenceDetector;

use crate::format::times;

/// When a connection counts as silent.
#[derive(Debug, Clone, Args)]
pub(crate) struct Quiet {
    /// List silences longer than this: no frame, or no tick [5s]
    #[arg(long, value_name = "TIME", value_parser = times::positive_duration, allow_hyphen_values = true)]
    quiet_after: Option<Duration>,
}

impl Quiet {
    /// Returns the time.
    pub(crate) fn after(&self) -> Duration {
        self.quiet_after.unwrap_or(SilenceDetector::QUIET_AFTER)
    }
}
