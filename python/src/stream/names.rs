//! The class `Lookup`: finds the instruments that a program names, as `kite watch` does.
//!
//! The list may have to be fetched, which takes seconds; so that happens on another thread, and the
//! program waits as it waits for ticks.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use kite_conn::{Credentials, Endpoint, ErrorChain};
use kite_instruments::{Date, Fetched, Instruments, KITE_INSTRUMENTS_URL, Loaded, Origin, Source};
use kite_wire::plain::trimmed;
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::feed::lock;
use crate::stream::shown::Shown;
use kiteticker_feed::Bell;

/// Environment variable with another URL of the list, such as a mirror. The command reads it too.
const URL_VARIABLE: &str = "KITE_INSTRUMENTS_URL";

/// Where the names of a stream come from.
#[derive(Debug)]
pub(crate) struct Names {
    file: Option<PathBuf>,
    endpoint: Endpoint,
    credentials: Credentials,
    proxy: Option<String>,
    /// The list, once it was loaded.
    list: OnceLock<Instruments>,
}

/// What a look-up has found: instruments in the order of the names, and warnings of the list.
type Found = Result<(Vec<(u32, String)>, Vec<String>), Failure>;

/// Why names were not found.
#[derive(Debug)]
enum Failure {
    /// There is no list.
    List(String),
    /// It does not have the names.
    Names(String),
}

impl Names {
    pub(crate) fn new(
        file: Option<PathBuf>,
        endpoint: Endpoint,
        credentials: Credentials,
        proxy: Option<String>,
    ) -> Self {
        Self { file, endpoint, credentials, proxy, list: OnceLock::new() }
    }

    fn find(&self, names: &[String]) -> Found {
        let mut warnings = Vec::new();
        let whole: Vec<String> = names.iter().map(|name| whole(name)).collect();
        let built_in = Instruments::built_in();
        let list = match self.list.get() {
            Some(list) => list,
            None if self.is_simulated() && built_in.resolve(&whole).is_ok() => &built_in,
            None => {
                let list = self.load(&mut warnings)?;
                self.list.get_or_init(|| list)
            }
        };
        let found = list.resolve(&whole).map_err(|error| Failure::Names(error.to_string()))?;
        let named = found.iter().map(|one| (one.instrument_token, one.to_string()));
        Ok((named.collect(), warnings))
    }

    /// Returns whether the server is on this machine, and so may be a simulator, whose instruments have
    /// names of their own.
    fn is_simulated(&self) -> bool {
        self.file.is_none() && crate::settings::is_loopback(self.endpoint.host())
    }

    /// Returns the names of these tokens that are known without a list.
    pub(crate) fn of_tokens(&self, tokens: impl IntoIterator<Item = u32>) -> Vec<(u32, String)> {
        if !self.is_simulated() {
            return Vec::new();
        }
        let known = Instruments::built_in();
        let named = |token| Some((token, known.by_token(token)?.to_string()));
        tokens.into_iter().filter_map(named).collect()
    }

    fn load(&self, warnings: &mut Vec<String>) -> Result<Instruments, Failure> {
        let loaded = match &self.file {
            Some(path) => Instruments::from_file(path),
            None if self.is_simulated() && url_of_environment().is_none() => return of_today(),
            None => return self.fetch(warnings),
        };
        let loaded = loaded.map_err(|error| Failure::List(ErrorChain(&error).to_string()))?;
        usable(loaded, warnings)
    }

    fn fetch(&self, warnings: &mut Vec<String>) -> Result<Instruments, Failure> {
        let url = url_of_environment();
        let mut source = Source::new().url(url.as_deref().unwrap_or(KITE_INSTRUMENTS_URL));
        // Those of another server are none of Kite's.
        if self.endpoint == Endpoint::default() {
            let (key, token) = (self.credentials.api_key(), self.credentials.access_token());
            source = source.ambient_credentials(key, token.expose());
        }
        if let Some(proxy) = &self.proxy {
            source = source.proxy(proxy);
        }
        let Fetched { loaded, origin, .. } = source.today().map_err(|error| {
            Failure::List(format!(
                "cannot get the instrument list: {}; name instruments by their tokens, or pass \
                 instruments_file",
                ErrorChain(&error)
            ))
        })?;
        match origin {
            Origin::Stale { day, why, .. } => {
                warnings.push(format!("using the instrument list of {day}: {}", ErrorChain(&why)));
            }
            Origin::Incomplete { day, .. } => warnings.push(format!(
                "using the instrument list of {day}: today's has fewer than half of its rows"
            )),
            _ => {}
        }
        usable(loaded, warnings)
    }
}

/// Returns the cached list of today, which is not fetched for a server on this machine: tests of
/// programs need no network.
fn of_today() -> Result<Instruments, Failure> {
    let kept = Source::new().kept_on(Date::today_in_india());
    kept.map(|loaded| loaded.instruments).ok_or_else(|| {
        let names: Vec<_> = kite_sim::known_instruments().map(|(_, name)| name).take(3).collect();
        Failure::Names(format!(
            "not every name is one of the simulator's, such as {}: pass instruments_file, or call \
             Instruments() once to fetch today's list",
            names.join(", ")
        ))
    })
}

fn url_of_environment() -> Option<String> {
    std::env::var(URL_VARIABLE).ok().filter(|url| !url.is_empty())
}

/// Warns of invalid rows, and returns the others.
fn usable(loaded: Loaded, warnings: &mut Vec<String>) -> Result<Instruments, Failure> {
    let (rows, invalid) = (loaded.row_count(), loaded.problem_count);
    if loaded.instruments.is_empty() {
        return Err(Failure::List(format!("none of {rows} rows of the instrument list is usable")));
    }
    if invalid > 0 {
        warnings
            .push(format!("{invalid} of {rows} rows in the instrument list skipped as invalid"));
    }
    Ok(loaded.instruments)
}

/// Adds the exchange to a symbol without one.
fn whole(name: &str) -> String {
    let name = trimmed(name);
    if name.contains(':') { name.to_owned() } else { format!("NSE:{name}") }
}

/// A look-up that runs on another thread.
#[pyclass(frozen)]
#[derive(Debug)]
pub struct Lookup {
    shown: Arc<Shown>,
    bell: Arc<Bell>,
    found: Arc<Mutex<Option<Found>>>,
}

impl Lookup {
    pub(crate) fn begin(
        names: &Arc<Names>,
        wanted: Vec<String>,
        shown: &Arc<Shown>,
        runtime: &Handle,
    ) -> PyResult<Self> {
        let lookup = Self { shown: Arc::clone(shown), bell: Bell::new()?, found: Arc::default() };
        let (names, has_list) = (Arc::clone(names), names.list.get().is_some());
        let done = Done { bell: Arc::clone(&lookup.bell), found: Arc::clone(&lookup.found) };
        let find = move || *lock(&done.found) = Some(names.find(&wanted));
        if has_list {
            find();
        } else {
            runtime.spawn_blocking(find);
        }
        Ok(lookup)
    }
}

/// Reports the end of a look-up, also if it panics, so that nothing waits for ever.
struct Done {
    bell: Arc<Bell>,
    found: Arc<Mutex<Option<Found>>>,
}

impl Drop for Done {
    fn drop(&mut self) {
        let failed = || Err(Failure::List("the look-up of names failed".to_owned()));
        lock(&self.found).get_or_insert_with(failed);
        self.bell.ring();
    }
}

#[pymethods]
impl Lookup {
    fn fileno(&self) -> i64 {
        self.bell.fileno()
    }

    fn hush(&self) {
        self.bell.hush();
    }

    /// Returns the tokens in the order of the names, and warnings of the list; `None` if it is not
    /// done.
    fn take(&self) -> PyResult<Option<(Vec<u32>, Vec<String>)>> {
        let Some(found) = lock(&self.found).take() else { return Ok(None) };
        let (named, warnings) = found.map_err(|failure| match failure {
            Failure::List(text) => PyOSError::new_err(text),
            Failure::Names(text) => PyValueError::new_err(text),
        })?;
        let tokens = named.iter().map(|(token, _)| *token).collect();
        self.shown.symbols().add(named);
        Ok(Some((tokens, warnings)))
    }
}
