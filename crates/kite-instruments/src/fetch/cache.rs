//! Lists on disk, one file for each day and URL.
//!
//! A file is written beside its place and then moved there, so that at any moment, and whoever
//! else writes, a name means a whole file or none.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy;

use super::download::shown_url;
use super::error::FetchError;
use crate::date::Date;
use crate::load::{Loaded, load};
use crate::unpack::{read_file, unpack};

/// The folder within the user's cache folder.
const FOLDER: &str = "kiteticker";

/// How the name of a file begins that is being written.
const UNFINISHED: &str = ".instruments-";

/// An unfinished file of this age is nobody's any more: fetching takes a minute.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// The most characters of a URL in the name of a file.
const MAX_URL_CHARS: usize = 60;

pub(super) struct Cache {
    folder: PathBuf,
    /// What the names of this URL's files begin with.
    prefix: String,
}

/// Gives the user's cache folder for this project.
pub(super) fn default_folder() -> Result<PathBuf, FetchError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| FetchError::NoCacheFolder)?;
    Ok(strategy.cache_dir().join(FOLDER))
}

impl Cache {
    pub(super) fn new(folder: PathBuf, url: &str) -> Self {
        // Readable, and with the whole URL's hash: what is cut and replaced must not make two one.
        let shown = shown_url(url);
        let host_and_path = shown.split_once("://").map_or(shown.as_str(), |(_, rest)| rest);
        let readable: String = host_and_path
            .chars()
            .map(|char| if char.is_ascii_alphanumeric() || char == '.' { char } else { '-' })
            .take(MAX_URL_CHARS)
            .collect();
        Self { folder, prefix: format!("{readable}-{:016x}-", fnv(url.as_bytes())) }
    }

    pub(super) fn path(&self, day: Date) -> PathBuf {
        self.folder.join(format!("{}{day}.csv", self.prefix))
    }

    /// Reads the list of a day, if there is one with a row in it.
    pub(super) fn read(&self, day: Date, max_bytes: u64) -> Option<(Loaded, PathBuf)> {
        let path = self.path(day);
        let bytes = read_file(&path, max_bytes).ok()?;
        let loaded = load(&unpack(&bytes, max_bytes).ok()?).ok()?;
        (!loaded.instruments.is_empty()).then_some((loaded, path))
    }

    /// Reads the list of the latest day that has one.
    pub(super) fn read_latest(&self, max_bytes: u64) -> Option<(Loaded, PathBuf, Date)> {
        let mut days = self.days();
        days.sort_unstable();
        days.into_iter().rev().find_map(|day| {
            let (loaded, path) = self.read(day, max_bytes)?;
            Some((loaded, path, day))
        })
    }

    pub(super) fn write(&self, day: Date, plain: &[u8]) -> Result<(), FetchError> {
        let path = self.path(day);
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            file.write_all(plain)?;
            // Before the name: after a power cut, a name without its bytes would be a list of none.
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| FetchError::Cache { path: path.clone(), source })
    }

    /// Removes lists of days long before or after, and what crashed processes left unfinished.
    ///
    /// What cannot be removed stays: the next day tries again.
    pub(super) fn remove_old(&self, today: Date, keep_days: i32) {
        for day in self.days() {
            if today.days_since(day).abs() > keep_days {
                let _ = fs::remove_file(self.path(day));
            }
        }
        for (path, name) in files(&self.folder) {
            if name.starts_with(UNFINISHED) && age(&path).is_some_and(|age| age > ABANDONED_AFTER) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Gives the days of this URL that have a file.
    fn days(&self) -> Vec<Date> {
        let day = |name: &str| {
            name.strip_prefix(self.prefix.as_str())?.strip_suffix(".csv")?.parse().ok()
        };
        files(&self.folder).filter_map(|(_, name)| day(&name)).collect()
    }
}

/// Goes through the files of a folder that have a name in Unicode, as all of ours.
fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).and_then(|about| about.modified()).ok()?;
    SystemTime::now().duration_since(modified).ok()
}

/// Hashes by FNV-1a in 64 bits: names of files must stay the same from one version of Rust to the
/// next, which the hashes of `std` do not promise.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
