//! What a request for the list returns.

use std::path::PathBuf;
use std::time::Duration;

use super::error::FetchError;
use crate::date::Date;
use crate::load::Loaded;

/// A list and its origin.
#[derive(Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The list and the problems in its rows.
    pub loaded: Loaded,
    /// Whether it was fetched now, was cached today, or is an earlier one, and why.
    pub origin: Origin,
    /// Why a fetched list could not be cached; the next call fetches it again.
    pub not_kept: Option<FetchError>,
}

/// Where a list came from.
#[derive(Debug)]
#[non_exhaustive]
pub enum Origin {
    /// It was fetched just now.
    Fetched,
    /// It was fetched earlier today and read from the cache.
    Kept {
        /// The file it was read from.
        path: PathBuf,
    },
    /// The list could not be fetched, so this is the latest cached one. Instruments listed since
    /// are missing, and tokens of expired instruments may have been reused.
    Stale {
        /// The day it was fetched.
        day: Date,
        /// Why no newer list could be fetched.
        why: Box<FetchError>,
        /// The file it was read from.
        path: PathBuf,
    },
    /// The list that the server sent has fewer than half of the instruments of the latest cached
    /// one, which is therefore used. The other one is not cached.
    Incomplete {
        /// The day on which the cached list was fetched.
        day: Date,
        /// The number of instruments in the cached list.
        kept_len: usize,
        /// The number of instruments in the list that the server sent.
        sent_len: usize,
        /// After this time, [`Source::today`](super::Source::today) fetches the list again.
        retry_in: Duration,
        /// The file that the cached list was read from.
        path: PathBuf,
    },
}
