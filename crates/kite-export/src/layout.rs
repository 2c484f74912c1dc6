//! Finds files of another layout in the directory of a partitioned table.
//!
//! Readers take all files of a directory for one table, so files partitioned by other keys would
//! count rows twice.

use std::fs;
use std::path::Path;

use crate::error::ExportError;
use crate::partition::Partition;

/// Checks that no file of this name is in directories of other keys than these, or of these keys in
/// another order.
pub(crate) fn check(root: &Path, by: &[Partition], file_name: &str) -> Result<(), ExportError> {
    check_directory(root, &mut Vec::new(), by, file_name)
}

/// Checks a directory that is reached by directories of the keys `above`.
fn check_directory(
    directory: &Path,
    above: &mut Vec<String>,
    by: &[Partition],
    file_name: &str,
) -> Result<(), ExportError> {
    // What cannot be read is not of this export, or fails when a file is written.
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            // The names of hidden directories are temporary.
            let Some((key, _)) = name.split_once('=').filter(|_| !name.starts_with('.')) else {
                continue;
            };
            above.push(key.to_owned());
            check_directory(&entry.path(), above, by, file_name)?;
            above.pop();
        } else if name == file_name
            && !above.is_empty()
            && !above.iter().map(String::as_str).eq(by.iter().map(|key| key.key()))
        {
            return Err(ExportError::OtherLayout { path: entry.path() });
        }
    }
    Ok(())
}
