//! A file with the day's access token, as a source of credentials.
//!
//! Who writes the file is not decided here: `kite login`, a script, a person with an editor.

mod content;
mod error;
mod settling;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tracing::warn;

pub use self::error::TokenFileError;
use self::settling::Settling;
use crate::config::{TokenRequest, TokenSource};
use crate::credentials::Credentials;

/// Maximum size of the file. A key and a token take about a hundred bytes.
const MAX_BYTES: u64 = 64 << 10;

/// Interval of reading the file while a token is waited for. A new token must read the same twice,
/// so that it is used after half a second at most.
const READ_EVERY: Duration = Duration::from_millis(250);

/// A file of the lines `api_key = …` and `access_token = …`, which only its owner may access.
///
/// As a [`TokenSource`] it waits for a new access token: once the server has refused the current
/// one, the file is read every 250 ms, on a thread of its runtime that may block, until it has
/// another access token of the same API key. While the token is accepted, the file is not read. A
/// new token is used after it has read the same twice, 250 ms apart, and a manager passes it to all
/// connections of the account, so that a refused feed is back within a second of the file's change.
///
/// The file may be replaced, rewritten in place, or removed and written again. What cannot be used
/// (half a file, no file, one that others can access, a token of another key, the refused token) is
/// ignored until it changes; [`problem`](Self::problem) returns what is wrong with it.
///
/// Lines may be in any order, indented and quoted; blank ones and those that begin with `#` are
/// skipped. The text may begin with a byte order mark, also with that of UTF-16.
///
/// Clones share the problem, and nothing else. `Debug` shows the path alone.
///
/// # Examples
/// ```no_run
/// use kite_conn::{ConnectionConfig, TokenFile};
///
/// let file = TokenFile::new("/home/me/.config/kiteticker/credentials");
/// let credentials = file.read()?;
/// let config = ConnectionConfig { token_source: Some(file.source()), ..Default::default() };
/// # let _ = (credentials, config);
/// # Ok::<(), kite_conn::TokenFileError>(())
/// ```
#[derive(Debug, Clone)]
pub struct TokenFile {
    path: PathBuf,
    problem: Arc<Mutex<Option<TokenFileError>>>,
}

impl TokenFile {
    /// Names a file, which need not exist yet.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), problem: Arc::default() }
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the credentials. Blocks; a pipe is read to its end.
    ///
    /// # Errors
    /// Returns a [`TokenFileError`] if the file cannot be read, others can access it, or it does not
    /// hold an API key and an access token. No error contains the file's text.
    pub fn read(&self) -> Result<Credentials, TokenFileError> {
        // Checked on the open file: the path may name another file a moment later.
        let file = File::open(&self.path)?;
        check_private(&file.metadata()?)?;
        let mut bytes = Vec::new();
        file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(TokenFileError::TooLarge { limit_bytes: MAX_BYTES });
        }
        content::parse(&bytes)
    }

    /// Returns the file as a source that waits for a new access token in it.
    #[must_use]
    pub fn source(&self) -> TokenSource {
        let file = self.clone();
        TokenSource::waiting(move |request| file.clone().wait(request))
    }

    /// Returns why the file cannot be used, while a token is waited for and there is a reason that
    /// lasts for 250 ms or more.
    #[must_use]
    pub fn problem(&self) -> Option<TokenFileError> {
        self.problem.lock().clone()
    }

    /// Waits until there is another access token.
    async fn wait(self, request: TokenRequest) -> io::Result<Credentials> {
        let waiting = Waiting(&self);
        let mut settling = Settling::new(request.current, READ_EVERY);
        let mut reads = tokio::time::interval(READ_EVERY);
        reads.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = reads.tick().await;
            let file = self.clone();
            let read = tokio::task::spawn_blocking(move || file.read_again()).await;
            let read = read.map_err(io::Error::other)?;
            if let Some(found) = settling.on_read(now.into_std(), read) {
                return Ok(found);
            }
            waiting.note(settling.problem());
        }
    }

    /// Reads the file as [`read`](Self::read) does, but no pipe: it may have no writer now, and a
    /// read that waits for one cannot be cancelled.
    fn read_again(&self) -> Result<Credentials, TokenFileError> {
        if !fs::metadata(&self.path)?.is_file() {
            return Err(TokenFileError::NotAFile);
        }
        self.read()
    }
}

/// A wait for a token; the problem ends with it.
struct Waiting<'f>(&'f TokenFile);

impl Waiting<'_> {
    fn note(&self, problem: Option<&TokenFileError>) {
        let mut noted = self.0.problem.lock();
        if noted.as_ref() == problem {
            return;
        }
        if let Some(problem) = problem {
            warn!(path = %self.0.path.display(), %problem, "the token file cannot be used");
        }
        *noted = problem.cloned();
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.note(None);
    }
}

/// Checks that only its owner can access a file.
#[cfg(unix)]
fn check_private(metadata: &fs::Metadata) -> Result<(), TokenFileError> {
    use std::os::unix::fs::PermissionsExt as _;

    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(TokenFileError::Shared { mode }) }
}

/// Checks nothing on this system.
#[cfg(not(unix))]
fn check_private(_: &fs::Metadata) -> Result<(), TokenFileError> {
    Ok(())
}

#[cfg(test)]
mod tests;
