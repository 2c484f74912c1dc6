//! The file of the credentials: written whole or not at all, and removed.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use kite_conn::{Credentials, TokenFile};
use tempfile::NamedTempFile;

use crate::console::paths;
use crate::exit::CliError;

/// Most links that lead from one to the next.
const MAX_LINKS: usize = 8;

/// A place for credentials in a file that other processes read.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    /// The path that the user named.
    path: PathBuf,
    /// Where links lead from there.
    target: PathBuf,
}

impl Store {
    /// Checks that the file can be written. A link stays: the file that it leads to is replaced.
    ///
    /// # Errors
    /// Returns an error if there is something other than a file, if its directory does not exist,
    /// or if no file can be created there.
    pub(crate) fn prepare(path: &Path) -> Result<Self, CliError> {
        let target = target(path).map_err(|error| unwritable(path, error))?;
        if let Err(error) = fs::metadata(directory(&target))
            && error.kind() == io::ErrorKind::NotFound
        {
            return Err(no_directory(path, directory(&target)));
        }
        let checked = || {
            match fs::metadata(&target) {
                Ok(metadata) if !metadata.is_file() => {
                    return Err(io::Error::other("it is not a regular file"));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
            temporary(&target).map(drop)
        };
        checked().map_err(|error| unwritable(path, error))?;
        Ok(Self { path: path.to_owned(), target })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Replaces the file. Others see the old one or the new one, and only its owner may read it. A
    /// failure leaves the old one as it was.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written, such as on a full disk.
    pub(crate) fn write(&self, credentials: &Credentials) -> Result<(), CliError> {
        let written = temporary(&self.target).and_then(|mut file| {
            let (key, token) = (credentials.api_key(), credentials.access_token().expose());
            write!(file, "api_key = {key}\naccess_token = {token}\n")?;
            file.as_file().sync_all()?;
            file.persist(&self.target).map_err(|failed| failed.error)?;
            sync_directory(directory(&self.target))
        });
        written.map_err(|error| unwritable(&self.path, error))
    }
}

/// Creates the directory of the file that is used if none is named. Only its owner may access it.
///
/// # Errors
/// Returns an error if it cannot be created.
pub(crate) fn create_directory(path: &Path) -> Result<(), CliError> {
    create(directory(path)).map_err(|error| unwritable(path, error))
}

/// Removes a file if it still holds these credentials; returns whether it did. Of a link, the file
/// that it leads to is removed.
///
/// # Errors
/// Returns an error if the file cannot be removed.
pub(crate) fn remove(path: &Path, credentials: &Credentials) -> Result<bool, CliError> {
    if TokenFile::new(path).read().ok().as_ref() != Some(credentials) {
        return Ok(false);
    }
    let removed = target(path).and_then(|target| {
        fs::remove_file(&target)?;
        sync_directory(directory(&target))
    });
    removed.map(|()| true).map_err(|error| {
        CliError::unable(format!("cannot remove {}", paths::shown(path))).because(error)
    })
}

fn unwritable(path: &Path, error: io::Error) -> CliError {
    CliError::unable(format!("cannot write the credentials to {}", paths::shown(path)))
        .because(error)
        .help("free some space or choose another file by --credentials")
}

fn no_directory(path: &Path, directory: &Path) -> CliError {
    let (path, directory) = (paths::shown(path), paths::shown(directory));
    CliError::unable(format!(
        "cannot write the credentials to {path}: the directory {directory} does not exist"
    ))
    .help("create the directory, or choose another file by --credentials")
}

/// Follows links, also to a file that does not exist.
fn target(path: &Path) -> io::Result<PathBuf> {
    let mut target = path.to_owned();
    for _ in 0..=MAX_LINKS {
        match fs::read_link(&target) {
            Ok(next) => target = directory(&target).join(next),
            // Not a link, or nothing.
            Err(_) => return Ok(target),
        }
    }
    Err(io::Error::other("too many links lead from it"))
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Creates a file next to the target, which only its owner may read.
fn temporary(target: &Path) -> io::Result<NamedTempFile> {
    tempfile::Builder::new().prefix(".credentials-").tempfile_in(directory(target))
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;

    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<()> {
    fs::create_dir_all(path)
}

/// Syncs a change of names.
#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    fs::File::open(path)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(token: &str) -> Credentials {
        Credentials::new("key", token)
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap().flatten();
        let mut names: Vec<_> = entries.map(|it| it.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn credentials_replace_older_ones_and_leave_nothing_else() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/credentials");
        let error = Store::prepare(&path).unwrap_err().to_string();
        assert!(error.ends_with("/new does not exist"), "only one that was not named: {error}");
        create_directory(&path).unwrap();
        for token in ["one", "two"] {
            Store::prepare(&path).unwrap().write(&of(token)).unwrap();
            assert_eq!(TokenFile::new(&path).read(), Ok(of(token)), "others cannot access it");
        }
        assert_eq!(names(path.parent().unwrap()), ["credentials"]);
        assert!(!remove(&path, &of("one")).unwrap(), "another login has replaced them");
        assert!(remove(&path, &of("two")).unwrap());
        assert!(!path.exists());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_and_its_file_is_replaced_and_removed() {
        let directory = tempfile::tempdir().unwrap();
        let [link, other] = ["link", "other/file"].map(|name| directory.path().join(name));
        std::os::unix::fs::symlink("other/file", &link).unwrap();
        create_directory(&other).unwrap();
        for token in ["one", "two"] {
            Store::prepare(&link).unwrap().write(&of(token)).unwrap();
            assert_eq!(TokenFile::new(&other).read(), Ok(of(token)));
            assert!(link.is_symlink());
        }
        assert!(remove(&link, &of("two")).unwrap());
        assert!(!other.exists() && link.is_symlink());
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let error = Store::prepare(directory.path()).unwrap_err();
        assert!(error.to_string().starts_with("cannot write the credentials to "), "{error}");
    }

    #[cfg(unix)]
    #[test]
    fn a_directory_that_cannot_be_written_is_reported_before_a_login() {
        let error = Store::prepare(Path::new("/proc/credentials")).unwrap_err();
        assert!(error.advice().is_some());
    }
}
