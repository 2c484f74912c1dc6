//! Lists on disk, one file per day and URL.
//!
//! Files are compressed with gzip, since hundreds of them are kept. A file is written under a temporary name and then renamed, so that a name always refers to a
//! complete file, even if other processes write at the same time.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use etcetera::BaseStrategy;
use flate2::Compression;
use flate2::write::GzEncoder;
use tempfile::NamedTempFile;

use super::download::shown_url;
use super::error::FetchError;
use crate::date::Date;
use crate::load::{Loaded, load};
use crate::unpack::{read_file, unpack};

/// The folder within the user's cache folder.
const FOLDER: &str = "kiteticker";

/// Prefix of a file that is being written.
const UNFINISHED: &str = ".instruments-";

/// Ends of the names of files; earlier releases wrote plain ones.
const COMPRESSED: &str = ".csv.gz";
const PLAIN: &str = ".csv";

/// Age after which an unfinished file counts as abandoned. Fetching takes at most a minute.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of characters of the URL in a file name.
const MAX_URL_CHARS: usize = 60;

pub(super) struct Cache {
    folder: PathBuf,
    /// Prefix of this URL's files.
    prefix: String,
}

/// Returns the user's cache folder for this project.
pub(super) fn default_folder() -> Result<PathBuf, FetchError> {
    let strategy = etcetera::choose_base_strategy().map_err(|_| FetchError::NoCacheFolder)?;
    Ok(strategy.cache_dir().join(FOLDER))
}

impl Cache {
    pub(super) fn new(folder: PathBuf, url: &str) -> Self {
        // Readable, plus the hash of the whole URL, because URLs that look alike when shortened
        // must not collide.
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
        self.named(day, COMPRESSED)
    }

    fn named(&self, day: Date, end: &str) -> PathBuf {
        self.other(&format!("{day}{end}"))
    }

    /// Returns the path of this URL's file with a name that is not of a list.
    pub(super) fn other(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{}{name}", self.prefix))
    }

    /// Reads the list of a day; `None` if it does not exist or has no valid row.
    pub(super) fn read(&self, day: Date, max_bytes: u64) -> Option<(Loaded, PathBuf)> {
        [COMPRESSED, PLAIN].into_iter().find_map(|end| {
            let path = self.named(day, end);
            let bytes = read_file(&path, max_bytes).ok()?;
            let loaded = load(&unpack(&bytes, max_bytes).ok()?).ok()?;
            (!loaded.instruments.is_empty()).then_some((loaded, path))
        })
    }

    /// Reads the list of the latest day.
    pub(super) fn read_latest(&self, max_bytes: u64) -> Option<(Loaded, PathBuf, Date)> {
        let mut days = self.days();
        days.sort_unstable();
        days.into_iter().rev().find_map(|day| {
            let (loaded, path) = self.read(day, max_bytes)?;
            Some((loaded, path, day))
        })
    }

    pub(super) fn write(&self, day: Date, plain: &[u8]) -> Result<(), FetchError> {
        self.replace(self.path(day), |file| {
            let mut compressed = GzEncoder::new(file, Compression::default());
            compressed.write_all(plain)?;
            compressed.finish().map(drop)
        })
    }

    /// Writes this URL's file with a name that is not of a list.
    pub(super) fn write_other(&self, name: &str, bytes: &[u8]) -> Result<(), FetchError> {
        self.replace(self.other(name), |file| file.write_all(bytes))
    }

    fn replace(
        &self,
        path: PathBuf,
        fill: impl FnOnce(&mut NamedTempFile) -> io::Result<()>,
    ) -> Result<(), FetchError> {
        let write = || -> io::Result<()> {
            fs::create_dir_all(&self.folder)?;
            let mut file = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(&self.folder)?;
            fill(&mut file)?;
            // Before the rename, because after a power cut the name must not refer to a file
            // without its bytes.
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|source| FetchError::Cache { path: path.clone(), source })
    }

    /// Removes lists of days long before or after today, and unfinished files of crashed processes.
    ///
    /// Files that cannot be removed stay until the next attempt.
    pub(super) fn remove_old(&self, today: Date, keep_days: u16) {
        for day in self.days() {
            if today.days_since(day).abs() > i32::from(keep_days) {
                for end in [COMPRESSED, PLAIN] {
                    let _ = fs::remove_file(self.named(day, end));
                }
            }
        }
        for (path, name) in files(&self.folder) {
            if name.starts_with(UNFINISHED) && age(&path).is_some_and(|age| age > ABANDONED_AFTER) {
                let _ = fs::remove_file(path);
            }
        }
    }

    /// Returns the days for which this URL has a file.
    pub(super) fn days(&self) -> Vec<Date> {
        let day = |name: &str| {
            let rest = name.strip_prefix(self.prefix.as_str())?;
            let text = rest.strip_suffix(COMPRESSED).or_else(|| rest.strip_suffix(PLAIN))?;
            // Files are named with the year first.
            text.parse().ok().filter(|day: &Date| day.to_string() == text)
        };
        files(&self.folder).filter_map(|(_, name)| day(&name)).collect()
    }
}

/// Iterates over the files of a folder with Unicode names, which all of ours have.
fn files(folder: &Path) -> impl Iterator<Item = (PathBuf, String)> {
    let entries = fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| Some((entry.path(), entry.file_name().into_string().ok()?)))
}

fn age(path: &Path) -> Option<Duration> {
    let modified = fs::metadata(path).and_then(|about| about.modified()).ok()?;
    SystemTime::now().duration_since(modified).ok()
}

/// Hashes with 64-bit FNV-1a, because file names must stay the same across versions of Rust, which
/// the hashes of `std` do not guarantee.
fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}
