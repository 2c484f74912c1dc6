//! A recorder's hold on its directory: the lock, and disk space in reserve for the last gap.

use std::fs::{File, OpenOptions};
use std::io::{Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use fs4::{FileExt, TryLockError};

use super::presence::Identity;
use crate::config::lock_name;
use crate::error::RecordError;

/// Space kept for the gaps at the end of a recording on a full disk: a new file's header, and the
/// gaps of more than 500 connections.
const RESERVE_LEN: usize = 64 << 10;
/// Attempts to lock a file that is still at its path afterwards. If all fail, the file system does
/// not identify files reliably.
const ATTEMPTS: u32 = 8;
const LOCK_ATTEMPTS: u32 = 20;
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// The locked lock file, whose contents are the reserve.
#[derive(Debug)]
pub(crate) struct Hold {
    path: PathBuf,
    file: File,
    /// Whether the file system identifies the open file and the one at its path alike.
    has_identity: bool,
    has_reserve: bool,
}

impl Hold {
    /// Creates the directory if needed, and locks it for a prefix.
    ///
    /// # Errors
    /// Returns an error if another recorder holds the lock, or the directory cannot be written to.
    pub(crate) fn acquire(directory: &Path, prefix: &str) -> Result<Self, RecordError> {
        let failed = |path: &Path, source| RecordError::Io { path: path.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(|error| failed(directory, error))?;
        let path = directory.join(lock_name(prefix));
        let mut attempts_left = ATTEMPTS;
        loop {
            attempts_left -= 1;
            let mut options = OpenOptions::new();
            options.write(true).create(true).truncate(false);
            let file = options.open(&path).map_err(|error| failed(&path, error))?;
            match try_lock(&file) {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Err(RecordError::Locked { path }),
                Err(TryLockError::Error(source)) => return Err(failed(&path, source)),
            }
            let has_identity = attempts_left > 0;
            let mut hold = Self { path: path.clone(), file, has_identity, has_reserve: false };
            // The file may have been removed between opening and locking it.
            if hold.is_in_place() || !has_identity {
                hold.keep_reserve();
                return Ok(hold);
            }
        }
    }

    /// Returns whether the lock file is still at its path, so that no other recorder can lock it.
    pub(crate) fn is_in_place(&self) -> bool {
        match (std::fs::metadata(&self.path), self.file.metadata()) {
            (Ok(found), Ok(own)) => {
                !self.has_identity || Identity::of(&found) == Identity::of(&own)
            }
            _ => false,
        }
    }

    /// Fills the reserve, if the disk has room for it.
    pub(crate) fn keep_reserve(&mut self) {
        if self.has_reserve {
            return;
        }
        // Zeros would take no space on a file system that compresses.
        let mut bytes = vec![0; RESERVE_LEN];
        fastrand::fill(&mut bytes);
        let filled = self.file.rewind().and_then(|()| self.file.write_all(&bytes));
        self.has_reserve = filled.is_ok();
        if !self.has_reserve {
            let _ = self.file.set_len(0);
        }
    }

    /// Frees the reserve.
    pub(crate) fn free_reserve(&mut self) {
        self.has_reserve = false;
        let _ = self.file.set_len(0);
    }
}

/// Locks a file. Tries for a while, because a reader that checks for a recorder holds the lock for a
/// moment, and so does a process that is being started by the one that held it before.
pub(crate) fn try_lock(file: &File) -> Result<(), TryLockError> {
    for _ in 1..LOCK_ATTEMPTS {
        match FileExt::try_lock(file) {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            ended => return ended,
        }
    }
    FileExt::try_lock(file)
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_removed_lock_is_noticed_and_belongs_to_the_first_that_locks_it_again() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path().join("tapes");
        let first = Hold::acquire(&directory, "kite").unwrap();
        assert!(matches!(Hold::acquire(&directory, "kite"), Err(RecordError::Locked { .. })));
        Hold::acquire(&directory, "other").unwrap();
        fs::remove_dir_all(&directory).unwrap();
        assert!(!first.is_in_place());
        let second = Hold::acquire(&directory, "kite").unwrap();
        assert!(second.is_in_place() && !first.is_in_place());
        assert!(matches!(Hold::acquire(&directory, "kite"), Err(RecordError::Locked { .. })));
    }

    #[test]
    fn the_reserve_takes_space_until_it_is_freed() {
        let directory = tempfile::tempdir().unwrap();
        let mut hold = Hold::acquire(directory.path(), "kite").unwrap();
        let len = || fs::metadata(directory.path().join("kite.lock")).unwrap().len();
        assert_eq!(len(), RESERVE_LEN as u64);
        hold.free_reserve();
        assert_eq!(len(), 0);
    }
}
