//! Times within what an instant can hold.

use std::time::Duration;

/// Longer than any simulator runs, and short enough to be added to an instant: 30 years.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);
