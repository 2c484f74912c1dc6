//! Why the list was not fetched or not kept.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::error::LoadError;

/// Why a list was not fetched, or a fetched one not kept.
///
/// URLs in it are without user, query and fragment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The text is no URL of a web server.
    #[error("{url:?} is no URL: expected one as https://api.kite.trade/instruments")]
    Url {
        /// The text.
        url: String,
    },
    /// Credentials would have been sent in plain text to another machine.
    #[error("credentials are not sent to {url} in plain text: use https")]
    PlainText {
        /// The URL.
        url: String,
    },
    /// The API key or the access token has characters that no header can hold.
    #[error("the api key or the access token has characters that cannot be sent: check both")]
    Credentials,
    /// The server was not reached, or did not answer in time.
    #[error("{url} does not answer")]
    Request {
        /// The URL.
        url: String,
        /// What the HTTP client says.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The server refuses.
    #[error("{url} answers with status {status}{}", advice(*status))]
    Status {
        /// The URL.
        url: String,
        /// The status of HTTP.
        status: u16,
    },
    /// The answer ends early, is damaged, or takes too long.
    #[error("the answer of {url} is broken after {received_bytes} bytes")]
    Body {
        /// The URL.
        url: String,
        /// The bytes that came, unpacked.
        received_bytes: u64,
        /// What the HTTP client says.
        source: io::Error,
    },
    /// The answer is larger than a list.
    #[error("the answer of {url} is larger than {limit_bytes} bytes unpacked")]
    TooLarge {
        /// The URL.
        url: String,
        /// The most bytes that are taken.
        limit_bytes: u64,
    },
    /// The answer is no instrument list.
    #[error("the answer of {url} is no instrument list that loads")]
    NotAList {
        /// The URL.
        url: String,
        /// What is wrong with it.
        source: LoadError,
    },
    /// The answer is a list without a row that reads.
    #[error("the list of {url} has no row that reads, and {problem_count} that do not")]
    NoRows {
        /// The URL.
        url: String,
        /// The rows that do not read.
        problem_count: u64,
    },
    /// There is no folder to keep lists in.
    #[error("the user has no home folder: set a folder to keep lists in")]
    NoCacheFolder,
    /// The list cannot be kept.
    #[error("{} cannot be written: check the folder or set another", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// Says what to do about a status.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it may need credentials, or new ones of today",
        404 => ": check the URL and the exchange",
        429 => ": too many requests, try again later",
        500.. => ": try again later",
        _ => "",
    }
}
