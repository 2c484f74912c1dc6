//! Whether a file is still being recorded.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use crate::config::lock_name;
use crate::name::Name;

const ATTEMPTS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Returns whether a recorder is running that writes to this file: it holds the lock of the
/// directory and prefix, and no file of the prefix is newer.
pub(crate) fn is_being_recorded(path: &Path) -> bool {
    // The recorder does not know the links to its file.
    let Ok(path) = path.canonicalize() else { return false };
    let (Some(name), Some(directory)) = (Name::of(&path), path.parent()) else { return false };
    is_locked(&directory.join(lock_name(name.prefix))) && is_newest_of_recorder(&name, directory)
}

/// Returns whether [`is_being_recorded`] holds for a while. Of a recorder that has just ended, a
/// process that is being started can keep the lock for a moment.
pub(crate) fn stays_recorded(path: &Path) -> bool {
    (0..ATTEMPTS).all(|_| {
        let is_recorded = is_being_recorded(path);
        if is_recorded {
            thread::sleep(PAUSE);
        }
        is_recorded
    })
}

fn is_locked(path: &Path) -> bool {
    let Ok(file) = File::open(path) else { return false };
    // Released when the file is closed. A recorder that starts meanwhile tries again.
    matches!(FileExt::try_lock_shared(&file), Err(TryLockError::WouldBlock))
}

/// Returns whether no file of a recorder is newer than this one.
pub(crate) fn is_newest_of_recorder(name: &Name<'_>, directory: &Path) -> bool {
    let Ok(files) = directory.read_dir() else { return false };
    let position = |name: &Name<'_>| (name.day.to_owned(), name.number);
    let own = position(name);
    files.flatten().all(|file| match Name::of(&file.path()) {
        Some(other) if other.prefix == name.prefix => position(&other) <= own,
        _ => true,
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn only_the_newest_file_of_a_running_recorder_is_being_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        let names = ["kite-2026-11-23.ktape", "kite-2026-11-23.2.ktape", "mine-2026-11-24.ktape"];
        for name in names {
            fs::write(path(name), "").unwrap();
        }
        let live = || names.map(|name| is_being_recorded(&path(name)));
        assert_eq!(live(), [false; 3]);
        let lock = File::create(path("kite.lock")).unwrap();
        assert_eq!(live(), [false; 3], "a lock file without a recorder");
        FileExt::try_lock(&lock).unwrap();
        assert_eq!(live(), [false, true, false]);
        drop(lock);
        assert_eq!(live(), [false; 3]);
    }
}
