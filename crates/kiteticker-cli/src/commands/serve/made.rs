//! A file with the credentials that were made for clients.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use etcetera::BaseStrategy as _;
use kite_conn::Credentials;

use crate::console::paths;
use crate::exit::CliError;

/// The file, which only its owner can read. Removed when dropped, because the credentials end with
/// the relay.
#[derive(Debug)]
pub(super) struct MadeFile {
    path: PathBuf,
}

impl MadeFile {
    /// Writes the file, in the form of credentials files. It is named by the relay's port.
    pub(super) fn write(made: &Credentials, port: u16) -> Result<Self, CliError> {
        let advice = "pass the clients' credentials by --client NAME=FILE, or use --json";
        let directory = directory().ok_or_else(|| {
            CliError::unable("no directory for the clients' credentials").help(advice)
        })?;
        let path = directory.join(format!("relay-{port}.credentials"));
        write(&path, made).map_err(|error| {
            CliError::unable(format!(
                "cannot write the clients' credentials to {}",
                paths::shown(&path)
            ))
            .because(error)
            .help(advice)
        })?;
        Ok(Self { path })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for MadeFile {
    fn drop(&mut self) {
        // It may have been removed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Returns the user's directory for what lasts as long as a session, else for what is kept.
fn directory() -> Option<PathBuf> {
    let strategy = etcetera::choose_base_strategy().ok()?;
    let base = strategy.runtime_dir().or_else(|| strategy.state_dir());
    Some(base.unwrap_or_else(|| strategy.data_dir()).join("kiteticker"))
}

fn write(path: &Path, made: &Credentials) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    // One of a relay that was killed may be there.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let (key, token) = (made.api_key(), made.access_token().expose());
    create(path)?.write_all(format!("api_key = {key}\naccess_token = {token}\n").as_bytes())
}

#[cfg(unix)]
fn create(path: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;

    File::options().write(true).create_new(true).mode(0o600).open(path)
}

#[cfg(not(unix))]
fn create(path: &Path) -> io::Result<File> {
    File::options().write(true).create_new(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feed::credentials;

    #[test]
    fn the_file_is_one_of_credentials_and_replaces_an_older_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("new/relay-1.credentials");
        for token in ["one", "two"] {
            let made = Credentials::new("key", token);
            write(&path, &made).unwrap();
            assert_eq!(credentials::read(&path).unwrap(), made);
        }
    }
}
