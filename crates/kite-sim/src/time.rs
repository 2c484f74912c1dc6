//! The longest time that is added to an instant.

use std::time::Duration;

/// 30 years, more than any simulator runs and short enough to be added to an instant.
pub(crate) const FOREVER: Duration = Duration::from_secs(30 * 365 * 86_400);
