//! The longest time that is added to an instant.

use std::time::Duration;

/// Longer than any simulator runs, and short enough to be added to an instant: 30 years.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);
