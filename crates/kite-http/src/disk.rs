//! The room on the disk of the tapes.

use std::path::Path;

use serde::Serialize;

/// The room on a disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Disk {
    /// Bytes that the process can still write.
    pub(crate) free_bytes: u64,
    /// The size of the file system in bytes.
    pub(crate) total_bytes: u64,
}

impl Disk {
    /// Asks the operating system for the disk of a directory; `None` if it does not answer.
    pub(crate) fn of(directory: &Path) -> Option<Self> {
        let stats = fs4::statvfs(directory).ok()?;
        Some(Self { free_bytes: stats.available_space(), total_bytes: stats.total_space() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_has_a_disk_and_a_missing_one_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::of(directory.path()).unwrap();
        assert!(disk.free_bytes <= disk.total_bytes && disk.total_bytes > 0);
        assert_eq!(Disk::of(&directory.path().join("missing")), None);
    }
}
