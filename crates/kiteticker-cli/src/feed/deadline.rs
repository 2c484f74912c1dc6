//! When a command ends by the clock.

use std::time::Duration;

use tokio::time::Instant;

use crate::exit::CliError;
use crate::format::times::{Moment, ist, now_unix_ns};

/// Interval of reading the wall clock, which may be set and goes on while the machine sleeps.
const CHECK_EVERY: Duration = Duration::from_secs(1);

/// Returns when a moment is, in nanoseconds since the Unix epoch; a time of day is that of today in
/// India.
///
/// # Errors
/// Returns what is wrong with it if it is in the past.
pub(crate) fn ahead(until: Moment, now_unix_ns: u64) -> Result<u64, String> {
    let unix_ns = until.on_day_of(now_unix_ns);
    if unix_ns > now_unix_ns {
        return Ok(unix_ns);
    }
    let shown = |unix_ns| format!("{} {}", ist(unix_ns).date(), ist(unix_ns).clock());
    let (until, now) = (shown(unix_ns), shown(now_unix_ns));
    Err(format!("{until} IST is past: it is {now} in India"))
}

/// When a command ends: after a time, at a time of the wall clock, or whichever is first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Deadline {
    after: Option<Instant>,
    until_unix_ns: Option<u64>,
}

impl Deadline {
    /// Counts from now.
    pub(crate) fn after(self, lasts: Option<Duration>) -> Self {
        let after = lasts.and_then(|lasts| Instant::now().checked_add(lasts));
        Self { after, ..self }
    }

    /// Ends at a moment; a time of day is today's in India.
    ///
    /// # Errors
    /// Returns an error if it is in the past.
    pub(crate) fn until(self, until: Option<Moment>) -> Result<Self, CliError> {
        let Some(until) = until else { return Ok(self) };
        let unix_ns = ahead(until, now_unix_ns())
            .map_err(|error| CliError::usage(format!("--until {error}")))?;
        Ok(Self { until_unix_ns: Some(unix_ns), ..self })
    }

    /// Waits for the end; forever if there is none.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(crate) async fn reached(self) {
        let over = async {
            match self.after {
                Some(after) => tokio::time::sleep_until(after).await,
                None => std::future::pending().await,
            }
        };
        let past = async {
            let Some(until) = self.until_unix_ns else { return std::future::pending().await };
            while let Some(left) = until.checked_sub(now_unix_ns()).filter(|&left| left > 0) {
                tokio::time::sleep(Duration::from_nanos(left).min(CHECK_EVERY)).await;
            }
        };
        tokio::select! {
            () = over => {}
            () = past => {}
        }
    }
}
