//! A recorder beside a feed: the names on its tapes, its failures to write, and its end.

pub(crate) mod daily;
pub(crate) mod finished;
pub(crate) mod notes;
pub(crate) mod progress;
pub(crate) mod report;

use std::path::{Path, PathBuf};

use crate::exit::CliError;
use crate::feed::{ReplayFeed, tapes};

/// Returns the replayed tape that a recorder would continue, if it would: one in its directory whose
/// name begins with its prefix.
pub(crate) async fn replayed_tape(
    to: &Path,
    prefix: &str,
    replay: &ReplayFeed,
) -> Result<Option<PathBuf>, CliError> {
    let reel = tapes::open(&replay.paths).await?;
    let prefix = format!("{prefix}-");
    let is_replayed =
        |file: &PathBuf| reel.files().iter().any(|input| tapes::is_same_file(input.path(), file));
    // A directory that does not exist yet has no tapes.
    let files = std::fs::read_dir(to).into_iter().flatten().flatten();
    let files = files.filter(|file| file.file_name().to_string_lossy().starts_with(&prefix));
    Ok(files.map(|file| file.path()).find(is_replayed))
}
