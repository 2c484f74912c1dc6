//! Fetches the list from Kite once a day and caches it on disk.
//!
//! Fetching blocks, so async programs should call it on a thread for blocking work. The request is
//! in `download.rs`, its credentials in `authorization.rs`, the cache in `cache.rs`, and `trust.rs`
//! compares a list with the cached one.

mod authorization;
mod cache;
mod download;
mod error;
mod origin;
#[cfg(test)]
mod tests;
mod trust;

use std::fmt;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use ureq::tls::{Certificate, RootCerts};

use self::authorization::Authorization;
use self::cache::Cache;
use self::download::{Download, shown_url};
use self::trust::Doubt;
use crate::date::Date;
use crate::exchange::Exchange;
use crate::instruments::Instruments;
use crate::load::{Loaded, load};
use crate::unpack::{MAX_LIST_BYTES, unpack};

pub use self::error::FetchError;
pub use self::origin::{Fetched, Origin};

/// The URL of Kite's list of all exchanges.
pub const KITE_INSTRUMENTS_URL: &str = "https://api.kite.trade/instruments";

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(60);

/// Age in days after which a cached list is removed: a year of tapes can be named with the lists of
/// their days.
const KEEP_DAYS: u16 = 400;

/// The source of the list, with a cache on disk.
///
/// The list of a day (in India) is fetched once; later calls on that day, and other processes, read
/// it from disk. Kite's documentation recommends fetching once a day at about 08:30 IST. A list
/// fetched earlier may lack instruments listed that day; call [`Source::refresh`] to update it.
///
/// `Debug` and errors show neither credentials, also those of a proxy, nor the query of the URL.
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
    proxy: Option<String>,
    roots: Option<RootCerts>,
    connect_timeout: Duration,
    timeout: Duration,
    max_bytes: u64,
    keep_days: u16,
    accepts_fewer: bool,
}

impl Default for Source {
    fn default() -> Self {
        Self::new()
    }
}

impl Source {
    /// Creates a source for Kite's list of all exchanges ([`KITE_INSTRUMENTS_URL`]), cached in
    /// `kiteticker` in the user's cache folder.
    pub fn new() -> Self {
        Self {
            url: KITE_INSTRUMENTS_URL.to_owned(),
            exchange: None,
            cache_dir: None,
            authorization: None,
            proxy: None,
            roots: None,
            connect_timeout: CONNECT_TIMEOUT,
            timeout: TIMEOUT,
            max_bytes: MAX_LIST_BYTES,
            keep_days: KEEP_DAYS,
            accepts_fewer: false,
        }
    }

    /// Sets the URL. Lists of different URLs are cached separately.
    pub fn url(self, url: impl Into<String>) -> Self {
        Self { url: url.into(), ..self }
    }

    /// Restricts the list to one exchange by appending its name to the URL, as in `/NSE`.
    pub fn exchange(self, exchange: Exchange) -> Self {
        Self { exchange: Some(exchange), ..self }
    }

    /// Sets the cache folder, which is created if it does not exist.
    pub fn cache_dir(self, folder: impl Into<PathBuf>) -> Self {
        Self { cache_dir: Some(folder.into()), ..self }
    }

    /// Sends credentials if the server refuses to serve the list without them, with the status 401
    /// or 403. As far as is known Kite serves the list without them.
    ///
    /// They are sent to whatever server the URL names, but only over `https`, or unencrypted to a
    /// loopback address, and never to a server that the URL redirects to. For credentials that the
    /// user has not passed for this list, use [`Source::ambient_credentials`].
    pub fn credentials(self, api_key: &str, access_token: &str) -> Self {
        Self { authorization: Some(Authorization::new(api_key, access_token, false)), ..self }
    }

    /// Sets credentials that were not passed for this list, such as those of the environment or of a
    /// feed. Like [`Source::credentials`], but they are sent only to Kite's own host, that of
    /// [`KITE_INSTRUMENTS_URL`], and to loopback addresses. Another host that wants credentials is
    /// [`FetchError::OtherHost`]. Only the last call of either counts.
    pub fn ambient_credentials(self, api_key: &str, access_token: &str) -> Self {
        Self { authorization: Some(Authorization::new(api_key, access_token, true)), ..self }
    }

    /// Connects through an HTTP proxy, `http://host:port` or `http://user:password@host:port`, user
    /// and password percent-encoded. Default: none; the environment is not consulted.
    ///
    /// Credentials are sent to a plain `http` list on loopback only if the proxy is on loopback too.
    pub fn proxy(self, url: impl Into<String>) -> Self {
        Self { proxy: Some(url.into()), ..self }
    }

    /// Trusts the given root certificates, each in DER, and no others; invalid ones are left out.
    /// Default: the roots of Mozilla's list, as compiled in.
    pub fn roots<C: AsRef<[u8]>>(self, certificates: impl IntoIterator<Item = C>) -> Self {
        let certificates = certificates.into_iter();
        let roots = certificates.map(|it| Certificate::from_der(it.as_ref()).to_owned());
        Self { roots: Some(RootCerts::from(roots.collect::<Vec<_>>())), ..self }
    }

    /// Sets the limit for connecting. Default: 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        Self { connect_timeout: timeout, ..self }
    }

    /// Sets the limit for the whole request. Default: 60 s.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the maximum size of a decompressed list in bytes. The default, 256 MiB
    /// ([`MAX_LIST_BYTES`]), is also the maximum.
    pub fn max_bytes(self, max_bytes: u64) -> Self {
        Self { max_bytes: max_bytes.min(MAX_LIST_BYTES), ..self }
    }

    /// Sets for how many days lists are kept. Default: 400. Older ones are removed when a list is
    /// requested.
    ///
    /// A token is reused after expiry, so recorded ticks are named by the list of their day:
    /// [`Source::kept_on`].
    pub fn keep_days(self, days: u16) -> Self {
        Self { keep_days: days, ..self }
    }

    /// Sets whether to accept a list that has fewer than half of the instruments of the latest cached
    /// one. Default: false; the cached one is then returned ([`Origin::Incomplete`]), and the list
    /// is fetched again after 15 minutes.
    pub fn accept_fewer(self, accept: bool) -> Self {
        Self { accepts_fewer: accept, ..self }
    }

    /// Returns today's list from the cache, else fetches it, else returns the latest cached list.
    ///
    /// `Ok` does not mean that the list is today's ([`Fetched::origin`]) or that all its rows are
    /// valid ([`Loaded::problems`]). Blocks for as long as fetching takes.
    ///
    /// # Errors
    /// Returns the error of fetching if the list could not be fetched and none is cached.
    pub fn today(&self) -> Result<Fetched, FetchError> {
        self.on(Date::today_in_india())
    }

    /// Fetches the list even if today's is cached, or was found incomplete less than 15 minutes ago;
    /// otherwise like [`Source::today`].
    ///
    /// # Errors
    /// Returns an error if the list could not be fetched and none is cached.
    pub fn refresh(&self) -> Result<Fetched, FetchError> {
        self.fetch_on(&self.cache()?, Date::today_in_india(), SystemTime::now())
    }

    /// Returns the latest cached list of any day, without fetching; `None` if none is cached. Tokens
    /// of expired instruments may have been reused in it: to name recorded instruments, prefer
    /// [`Source::kept_on`].
    #[must_use]
    pub fn kept(&self) -> Option<(Loaded, Date)> {
        let (loaded, _, day) = self.cache().ok()?.read_latest(self.max_bytes)?;
        Some((loaded, day))
    }

    /// Returns the cached list of a day in India, without fetching; `None` if none is cached.
    #[must_use]
    pub fn kept_on(&self, day: Date) -> Option<Loaded> {
        self.cache().ok()?.read(day, self.max_bytes).map(|(loaded, _)| loaded)
    }

    /// Returns the days for which a list is cached, in ascending order.
    #[must_use]
    pub fn kept_days(&self) -> Vec<Date> {
        let mut days = self.cache().map(|cache| cache.days()).unwrap_or_default();
        days.sort_unstable();
        days
    }

    fn on(&self, today: Date) -> Result<Fetched, FetchError> {
        self.at(today, SystemTime::now())
    }

    fn at(&self, today: Date, now: SystemTime) -> Result<Fetched, FetchError> {
        let cache = self.cache()?;
        // A cached list that cannot be loaded is fetched again and replaced.
        if let Some((loaded, path)) = cache.read(today, self.max_bytes) {
            cache.remove_old(today, self.keep_days);
            return Ok(Fetched { loaded, origin: Origin::Kept { path }, not_kept: None });
        }
        if !self.accepts_fewer
            && let Some((doubt, retry_in)) = Doubt::read(&cache, now)
            && let Some(latest) = cache.read_latest(self.max_bytes)
        {
            return Ok(doubt.resolved(latest, retry_in));
        }
        self.fetch_on(&cache, today, now)
    }

    fn fetch_on(&self, cache: &Cache, today: Date, now: SystemTime) -> Result<Fetched, FetchError> {
        let why = match self.fetch(cache, today, now) {
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

    fn fetch(&self, cache: &Cache, today: Date, now: SystemTime) -> Result<Fetched, FetchError> {
        let url = self.whole_url();
        let bytes = Download {
            url: &url,
            authorization: self.authorization.as_ref(),
            proxy: self.proxy.as_deref(),
            roots: self.roots.as_ref(),
            connect_timeout: self.connect_timeout,
            timeout: self.timeout,
            max_bytes: self.max_bytes,
        }
        .run()?;
        let not_a_list = |source| FetchError::NotAList { url: shown_url(&url), source };
        let plain = unpack(&bytes, self.max_bytes).map_err(not_a_list)?;
        let loaded = load(&plain).map_err(not_a_list)?;
        // A list without rows is not valid and must not replace one that is.
        if loaded.instruments.is_empty() {
            let problem_count = loaded.problem_count;
            return Err(FetchError::NoRows { url: shown_url(&url), problem_count });
        }
        if !self.accepts_fewer
            && let Some(latest) = cache.read_latest(self.max_bytes)
            && let Some(doubt) = Doubt::new(loaded.instruments.len(), latest.0.instruments.len())
        {
            // Without the note the next call only fetches the list sooner.
            let not_kept = doubt.write(cache, now).err();
            return Ok(Fetched { not_kept, ..doubt.resolved(latest, trust::RETRY_AFTER) });
        }
        let not_kept = cache.write(today, &plain).err();
        if not_kept.is_none() {
            Doubt::clear(cache);
            cache.remove_old(today, self.keep_days);
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
    /// Returns today's list of all exchanges from Kite, cached in the user's cache folder for the
    /// day.
    ///
    /// Equivalent to [`Source::today`] on [`Source::new`].
    ///
    /// # Errors
    /// Returns an error if the list could not be fetched and none is cached.
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
            .field("proxy", &self.proxy.as_deref().map(shown_url))
            .field("roots", &if self.roots.is_some() { "given" } else { "webpki" })
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("max_bytes", &self.max_bytes)
            .field("keep_days", &self.keep_days)
            .field("accepts_fewer", &self.accepts_fewer)
            .finish()
    }
}
