//! Metrics, status and a page of a running relay, over HTTP.

use std::fs::File;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_candles::{Config, Every};
use kite_conn::Secret;
use kite_http::{HttpBuilder, HttpError, HttpServer, InstrumentNames};
use kite_manager::Manager;
use kite_nats::PublisherCounts;
use kite_relay::{RelayCounts, TlsFiles};
use kite_tape::Recorder;
use kite_wire::ist::{DAY_S, Day};

use super::places::Places;
use crate::args::bars::sessions;
use crate::console::paths;
use crate::exit::CliError;
use crate::feed::credentials;
use crate::instruments::names::Names;
use crate::plain_text::{self, trimmed};

/// The time of day in India at which access tokens expire, in seconds.
const EXPIRES_AT_S: i64 = 6 * 60 * 60;

/// The settings of the server.
#[derive(Debug)]
pub(super) struct HttpSettings {
    pub(super) listen: SocketAddr,
    /// The file of the token that readers send.
    pub(super) token_file: Option<PathBuf>,
    /// Names by which readers reach this machine.
    pub(super) hosts: Vec<String>,
    pub(super) tls: Option<TlsFiles>,
    pub(super) is_insecure: bool,
    /// The lengths of the bars of today that are kept.
    pub(super) candles: Vec<Every>,
    /// The file of hours that replace the usual ones.
    pub(super) sessions: Option<PathBuf>,
}

/// The names of instruments, which may be replaced while the server runs.
#[derive(Debug, Clone)]
pub(super) struct SharedNames(Arc<Mutex<Names>>);

impl SharedNames {
    pub(super) fn new(names: Names) -> Self {
        Self(Arc::new(Mutex::new(names)))
    }

    /// Replaces the names.
    pub(super) fn set(&self, names: Names) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = names;
    }

    fn now(&self) -> Names {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl InstrumentNames for SharedNames {
    fn token(&self, name: &str) -> Option<u32> {
        self.now().resolve(name).ok().map(|named| named.token)
    }

    fn name(&self, instrument_token: u32) -> Option<String> {
        self.now().known(instrument_token)
    }
}

impl HttpSettings {
    /// Returns what an address that other machines reach lacks.
    pub(super) fn lack(&self) -> Option<HttpError> {
        let address = self.listen;
        if address.ip().is_loopback() {
            return None;
        }
        if self.tls.is_none() && !self.is_insecure {
            return Some(HttpError::NotLoopback { address });
        }
        self.token_file.is_none().then_some(HttpError::NoToken { address })
    }

    /// Returns the bars to keep. Reads the file of hours, in which instruments may be named.
    pub(super) fn candles(&self, names: &Names) -> Result<Vec<Config>, CliError> {
        let mut config = Config::default();
        if let Some(file) = &self.sessions {
            config.sessions = sessions::read(file, names)?;
        }
        let of_length = |every: &Every| {
            let mut config = config.clone();
            config.every = *every;
            config
        };
        Ok(self.candles.iter().map(of_length).collect())
    }

    /// Prepares the server. Reads the token.
    pub(super) fn builder(&self, manager: &Manager) -> Result<HttpBuilder, CliError> {
        let builder = HttpServer::builder(manager).listen(self.listen).insecure(self.is_insecure);
        let mut builder = self.hosts.iter().fold(builder, HttpBuilder::host);
        if let Some(file) = &self.token_file {
            builder = builder.token(token(file)?);
        }
        if let Some(file) = &self.sessions {
            // Parsed once names are known.
            sessions::text(file)?;
        }
        if let Some(files) = &self.tls {
            // The server reports a key that cannot be read.
            if let Ok(metadata) = std::fs::metadata(&files.key) {
                credentials::check_private(&files.key, &metadata, "the private key")?;
            }
            builder = builder.tls(files.clone());
        }
        Ok(builder)
    }
}

/// Parses the length of bars that are kept.
pub(super) fn length(text: &str) -> Result<Every, String> {
    let every = text.parse::<Every>().map_err(|error| error.to_string())?;
    let error = HttpError::BarsTooShort { every };
    if every < Every::MINUTE { Err(error.to_string()) } else { Ok(every) }
}

/// What the server shows besides the connections.
#[derive(Debug)]
pub(super) struct Shown<'a> {
    pub(super) relay: RelayCounts,
    /// The recorder and its directory.
    pub(super) recorder: Option<(&'a Recorder, &'a Path)>,
    pub(super) nats: Option<PublisherCounts>,
    pub(super) names: SharedNames,
    /// The files of the accounts' credentials.
    pub(super) credentials: Vec<PathBuf>,
}

impl Shown<'_> {
    /// Starts the server.
    pub(super) fn start(
        self,
        builder: HttpBuilder,
        places: &Places,
    ) -> Result<HttpServer, CliError> {
        let relay = self.relay;
        let mut builder = builder.names(self.names).relay(move || relay.stats());
        if let Some((recorder, directory)) = self.recorder {
            let recorder = recorder.clone();
            builder = builder.recorder(directory, move || recorder.stats());
        }
        if let Some(nats) = self.nats {
            builder = builder.nats(move || nats.stats());
        }
        let files = self.credentials;
        let started = builder.token_expires(move || expiry(&files)).start();
        started.map_err(|error| not_started_at(places, error))
    }
}

/// Reads the token of a file that only its owner can read.
pub(super) fn token(file: &Path) -> Result<Secret, CliError> {
    let cannot = |error| {
        CliError::unable(format!("cannot read the token in {}", paths::shown(file))).because(error)
    };
    let open = File::open(file).map_err(cannot)?;
    let metadata = open.metadata().map_err(cannot)?;
    credentials::check_private(file, &metadata, "the token")?;
    let text = Secret::from(plain_text::read(open).map_err(cannot)?);
    let token = Secret::from(trimmed(text.expose()));
    kite_http::check_token(&token).map_err(|error| {
        CliError::usage(format!("cannot use the token in {}", paths::shown(file)))
            .because(error)
            .help("openssl rand -hex 16 makes one")
    })?;
    Ok(token)
}

/// Does the same as [`not_started`], with the place of an address that cannot be listened on.
pub(super) fn not_started_at(places: &Places, error: HttpError) -> CliError {
    match error {
        HttpError::Listen { .. } => places.at("http.listen", not_started(error)),
        error => not_started(error),
    }
}

/// Explains why the server cannot start.
pub(super) fn not_started(error: HttpError) -> CliError {
    let what = "cannot start the HTTP server";
    match error {
        HttpError::NotLoopback { address } => CliError::usage(format!(
            "{address} can be reached from other machines, where the token needs TLS"
        ))
        .help(
            "add --http-tls-cert and --http-tls-key, or --http-insecure if the network is trusted",
        ),
        HttpError::NoToken { .. } => CliError::usage(what)
            .because(error)
            .help("write one to a file (openssl rand -hex 16), and pass it by --http-token-file"),
        HttpError::Host { .. } => CliError::usage(what).because(error),
        HttpError::Listen { ref source, .. } if source.kind() == ErrorKind::AddrInUse => {
            CliError::unable(what).because(error).help("choose another port")
        }
        error => CliError::unable(what).because(error),
    }
}

/// Returns when the first of the tokens in files expires, judged by when the files were written: a
/// token is valid until the next 06:00 in India.
fn expiry(files: &[PathBuf]) -> Option<SystemTime> {
    let written = files.iter().filter_map(|file| file.metadata().ok()?.modified().ok());
    let first = written.min()?.duration_since(UNIX_EPOCH).ok()?;
    let midnight = Day::at_unix_ns(u64::try_from(first.as_nanos()).ok()?).start_unix_s();
    let at = midnight + EXPIRES_AT_S;
    let is_over = at <= i64::try_from(first.as_secs()).ok()?;
    let at = if is_over { at + DAY_S } else { at };
    Some(UNIX_EPOCH + Duration::from_secs(u64::try_from(at).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_at_the_next_six_in_india_after_its_file_was_written() {
        let file = tempfile::NamedTempFile::new().unwrap();
        // 23 November 2026 in India: 05:59:59, 06:00 and 23:59:59.
        for (unix_s, expires) in [
            (1_795_393_799, 1_795_393_800),
            (1_795_393_800, 1_795_480_200),
            (1_795_458_599, 1_795_480_200),
        ] {
            let at = |unix_s| UNIX_EPOCH + Duration::from_secs(unix_s);
            file.as_file().set_modified(at(unix_s)).unwrap();
            let files = [file.path().to_owned(), "/no such file".into()];
            assert_eq!(expiry(&files), Some(at(expires)));
        }
        assert_eq!(expiry(&[]), None);
    }
}
