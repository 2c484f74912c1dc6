//! The list from Kite, fetched once a day and kept on disk.
//!
//! Blocking: in async programs it belongs on a thread for blocking work. How bytes come is in
//! `download.rs`, how they are kept in `cache.rs`.

mod cache;
mod download;
mod error;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use self::cache::Cache;
use self::download::{Download, shown_url};
use crate::date::Date;
use crate::exchange::Exchange;
use crate::instruments::Instruments;
use crate::load::{Loaded, load};
use crate::unpack::{MAX_LIST_BYTES, unpack};

pub use self::error::FetchError;

/// Where Kite publishes the list of all exchanges.
pub const KITE_INSTRUMENTS_URL: &str = "https://api.kite.trade/instruments";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// How many days a list of another day is kept.
const KEEP_DAYS: i32 = 7;

/// Where the list comes from, and where it is kept for the day.
///
/// The list of a day (in India) is fetched once; later calls of the day, and other processes, take
/// it from disk. Kite's documentation advises to fetch once a day, at about 08:30 IST: a list that
/// was fetched earlier can lack what is listed that day, which [`Source::refresh`] mends.
///
/// `Debug` and errors show neither credentials nor the query of the URL.
///
/// # Examples
/// ```no_run
/// use kite_instruments::{Origin, Source};
///
/// let fetched = Source::new().today()?;
/// if let Origin::Stale { day, why, .. } = &fetched.origin {
///     eprintln!("the list is that of {day}: {why}");
/// }
/// let infosys = fetched.loaded.instruments.by_symbol("NSE:INFY");
/// # let _ = infosys;
/// # Ok::<(), kite_instruments::FetchError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Source {
    url: String,
    exchange: Option<Exchange>,
    cache_dir: Option<PathBuf>,
    authorization: Option<Authorization>,
    connect_timeout: Duration,
    timeout: Duration,
    max_bytes: u64,
}

/// The value of the header that holds the access token.
#[derive(Clone)]
struct Authorization(String);

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A list, and how it was had.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The list and what is wrong with its rows.
    pub loaded: Loaded,
    /// Whether it was fetched, kept, or is an old one.
    pub origin: Origin,
    /// Why a fetched list could not be kept on disk: the next call fetches it again.
    pub not_kept: Option<FetchError>,
}

/// How a list was had.
#[derive(Debug)]
#[non_exhaustive]
pub enum Origin {
    /// It was fetched just now.
    Fetched,
    /// It was fetched earlier on this day, and kept.
    Kept {
        /// The file it was read from.
        path: PathBuf,
    },
    /// It could not be fetched: this is the latest that was kept. Instruments that were listed
    /// since are missing, and tokens of expired ones may mean others by now.
    Stale {
        /// The day it was fetched.
        day: Date,
        /// Why there is no newer one.
        why: Box<FetchError>,
        /// The file it was read from.
        path: PathBuf,
    },
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    /// Takes all exchanges' list from Kite ([`KITE_INSTRUMENTS_URL`]) and keeps it in the user's
    /// cache folder, in `kiteticker`.
    pub fn new() -> Self {
        Self {
            url: KITE_INSTRUMENTS_URL.to_owned(),
            exchange: None,
            cache_dir: None,
            authorization: None,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: TIMEOUT,
            max_bytes: MAX_LIST_BYTES,
        }
    }

    /// Takes the list from another URL. Lists of different URLs are kept apart.
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// Takes the list of one exchange: its name is appended to the URL as `/NSE`.
    pub fn exchange(self, exchange: Exchange) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    /// Keeps lists in this folder; it is made if it is not there.
    pub fn cache_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(folder.into()), ..self }
    }

    /// Sends credentials with the request. Kite's documentation does; the list comes without, as far
    /// as is known.
    ///
    /// They are sent encrypted only: by `https`, or in plain text to this very machine.
    pub fn credentials(self, api_key: &str, access_token: &str) -> Self {
        let authorization = Authorization(format!("token {api_key}:{access_token}"));
        Self { authorization: Some(authorization), ..self }
    }

    /// Gives up a connection after this time: 10 s if not set.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Gives up fetching after this time in all: 60 s if not set.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Refuses lists of more bytes, unpacked: 256 MiB ([`MAX_LIST_BYTES`]) if not set, which is
    /// also the most.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes: max_bytes.min(MAX_LIST_BYTES), ..self }
    }

    /// Gives today's list: the one that is kept, else a fetched one, else the latest kept.
    ///
    /// `Ok` does not mean that the list is today's ([`Fetched::origin`]) or that all its rows read
    /// ([`Loaded::problems`]). Blocks for as long as fetching takes.
    ///
    /// # Errors
    /// There is no list: none could be fetched and none is kept. The error is that of fetching.
    pub fn today(&self) -> Result<Fetched, FetchError> {
        self.on(Date::today_in_india())
    }

    /// Fetches the list, though today's may be kept already; else as [`Source::today`].
    ///
    /// # Errors
    /// None could be fetched and none is kept.
    pub fn refresh(&self) -> Result<Fetched, FetchError> {
        self.fetch_on(&self.cache()?, Date::today_in_india())
    }

    /// Gives the latest list that is kept, of whatever day; `None` if none is. Nothing is fetched:
    /// for names of what was recorded, which an old list has too.
    #[must_use]
    pub fn kept(&self) -> Option<(Loaded, Date)> {
        let (loaded, _, day) = self.cache().ok()?.read_latest(self.max_bytes)?;
        Some((loaded, day))
    }

    fn on(&self, today: Date) -> Result<Fetched, FetchError> {
        let cache = self.cache()?;
        // A kept list that does not read is fetched anew and then replaced.
        match cache.read(today, self.max_bytes) {
            Some((loaded, path)) => {
                Ok(Fetched { loaded, origin: Origin::Kept { path }, not_kept: None })
            }
            None => self.fetch_on(&cache, today),
        }
    }

    fn fetch_on(&self, cache: &Cache, today: Date) -> Result<Fetched, FetchError> {
        let why = match self.fetch(cache, today) {
            Ok(fetched) => return Ok(fetched),
            Err(why) => why,
        };
        match cache.read_latest(self.max_bytes) {
            Some((loaded, path, day)) => {
                let origin = Origin::Stale { day, why: Box::new(why), path };
                Ok(Fetched { loaded, origin, not_kept: None })
            }
            None => Err(why),
        }
    }

    fn fetch(&self, cache: &Cache, today: Date) -> Result<Fetched, FetchError> {
        let url = self.whole_url();
        let bytes = Download {
            url: &url,
            authorization: self.authorization.as_ref().map(|header| header.0.as_str()),
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        }
        .run()?;
        let not_a_list = |source| FetchError::NotAList { url: shown_url(&url), source };
        let plain = unpack(&bytes, self.max_bytes).map_err(not_a_list)?;
        let loaded = load(&plain).map_err(not_a_list)?;
        // What has no row is no list of a day, and must not replace one.
        if loaded.instruments.is_empty() {
            let problem_count = loaded.problem_count;
            return Err(FetchError::NoRows { url: shown_url(&url), problem_count });
        }
        let not_kept = cache.write(today, &plain).err();
        if not_kept.is_none() {
            cache.remove_old(today, KEEP_DAYS);
        }
        Ok(Fetched { loaded, origin: Origin::Fetched, not_kept })
    }

    fn cache(&self) -> Result<Cache, FetchError> {
        let folder = match &self.cache_dir {
            Some(folder) => folder.clone(),
            None => cache::default_folder()?,
        };
        Ok(Cache::new(folder, &self.whole_url()))
    }

    fn whole_url(&self) -> String {
        match &self.exchange {
            Some(exchange) => format!("{}/{exchange}", self.url.trim_end_matches('/')),
            None => self.url.clone(),
        }
    }
}

impl Instruments {
    /// Gives today's list of all exchanges from Kite, kept in the user's cache folder for the day.
    ///
    /// The same as [`Source::today`] of [`Source::new`].
    ///
    /// # Errors
    /// None could be fetched and none is kept.
    pub fn today() -> Result<Fetched, FetchError> {
        Source::new().today()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Source")
            .field("url", &shown_url(&self.url))
            .field("exchange", &self.exchange)
            .field("cache_dir", &self.cache_dir)
            .field("authorization", &self.authorization)
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .finish()
    }
}
