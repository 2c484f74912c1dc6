//! Whether a fetched list may replace the cached one: not if it has lost most of its rows, as one that
//! a server has only begun to build.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::cache::Cache;
use super::{FetchError, Fetched, Origin};
use crate::date::Date;
use crate::load::Loaded;

/// The time after which a list that was not trusted is fetched again.
pub(super) const RETRY_AFTER: Duration = Duration::from_secs(15 * 60);

/// The name of the note about the last list that was not trusted.
const NOTE: &str = "incomplete";

/// A list that is not trusted, by the number of its instruments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Doubt {
    sent_len: usize,
}

impl Doubt {
    /// Compares a fetched list with the latest cached one; `None` if it is trusted.
    pub(super) fn new(sent_len: usize, kept_len: usize) -> Option<Self> {
        (sent_len < kept_len - kept_len / 2).then_some(Self { sent_len })
    }

    /// Reads a note that is not older than [`RETRY_AFTER`], with the time until it will be.
    pub(super) fn read(cache: &Cache, now: SystemTime) -> Option<(Self, Duration)> {
        let text = fs::read_to_string(cache.other(NOTE)).ok()?;
        let (unix_s, sent_len) = text.trim().split_once(' ')?;
        let noted =
            SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(unix_s.parse().ok()?))?;
        // A note from the future was made before the clock was set.
        let age = now.duration_since(noted).ok()?;
        let retry_in = RETRY_AFTER.checked_sub(age).filter(|it| !it.is_zero())?;
        Some((Self { sent_len: sent_len.parse().ok()? }, retry_in))
    }

    /// Notes it for later calls and other processes.
    pub(super) fn write(self, cache: &Cache, now: SystemTime) -> Result<(), FetchError> {
        let unix_s = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        cache.write_other(NOTE, format!("{unix_s} {}\n", self.sent_len).as_bytes())
    }

    /// Removes the note, after a list that is trusted.
    pub(super) fn clear(cache: &Cache) {
        let _ = fs::remove_file(cache.other(NOTE));
    }

    /// Returns the latest cached list in place of the one that is not trusted.
    pub(super) fn resolved(
        self,
        (loaded, path, day): (Loaded, PathBuf, Date),
        retry_in: Duration,
    ) -> Fetched {
        let kept_len = loaded.instruments.len();
        let origin = Origin::Incomplete { day, kept_len, sent_len: self.sent_len, retry_in, path };
        Fetched { loaded, origin, not_kept: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_with_fewer_than_half_of_the_instruments_is_not_trusted() {
        for (sent, kept, is_trusted) in [
            (1, 0, true),
            (1, 1, true),
            (1, 2, true),
            (1, 3, false),
            (2, 3, true),
            (49, 100, false),
            (50, 100, true),
            (200, 100, true),
        ] {
            assert_eq!(Doubt::new(sent, kept).is_none(), is_trusted, "{sent} of {kept}");
        }
    }
}
