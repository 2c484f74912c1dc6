//! Errors fetching or caching the list.

use std::error::Error;
use std::io;
use std::path::PathBuf;

use crate::error::LoadError;

/// An error fetching a list or caching a fetched one.
///
/// URLs are shown without user, query and fragment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The string is not an HTTP URL.
    #[error("{url:?} is not a URL: expected one such as https://api.kite.trade/instruments")]
    Url {
        /// The string.
        url: String,
    },
    /// Credentials would be sent unencrypted to another machine.
    #[error("{url} wants credentials, which are not sent in plain text: use https")]
    PlainText {
        /// The URL.
        url: String,
    },
    /// The server, which is not Kite's, wants credentials, and the only ones are those of
    /// [`Source::ambient_credentials`](super::Source::ambient_credentials).
    #[error(
        "{url} wants credentials; those for Kite are not sent to another host unless they are \
         passed for its list"
    )]
    OtherHost {
        /// The URL.
        url: String,
    },
    /// The API key or the access token contains characters that a header cannot contain.
    #[error("the API key or the access token contains characters that cannot be sent: check both")]
    Credentials,
    /// The server was not reached, or did not respond in time.
    #[error("{url} did not respond: {source}")]
    Request {
        /// The URL.
        url: String,
        /// The HTTP client's error.
        r#source: Box<dyn Error + Send + Sync>,
    },
    /// The proxy is not the URL of an HTTP proxy.
    #[error("the proxy is not a URL such as http://host:port")]
    ProxyUrl,
    /// The proxy was not reached, refused the connection, or could not reach the server.
    #[error("{url} was not reached through the proxy {proxy}: {source}")]
    Proxy {
        /// The URL of the list.
        url: String,
        /// The proxy's host and port.
        proxy: String,
        /// The HTTP client's error, or the proxy's status.
        r#source: Box<dyn Error + Send + Sync>,
    },
    /// The server refused the request.
    #[error("{url} responded with status {status}{}", advice(*status))]
    Status {
        /// The URL.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The response ended early, is damaged, or took too long.
    #[error("the response from {url} ended early, after {received_bytes} bytes: {source}")]
    Body {
        /// The URL.
        url: String,
        /// Number of bytes received, after decompression.
        received_bytes: u64,
        /// The HTTP client's error.
        r#source: io::Error,
    },
    /// The response is larger than the limit.
    #[error("the response from {url} is larger than {limit_bytes} bytes decompressed")]
    TooLarge {
        /// The URL.
        url: String,
        /// The limit, in bytes.
        limit_bytes: u64,
    },
    /// The response is not an instrument list.
    #[error("the response from {url} is not a valid instrument list: {source}")]
    NotAList {
        /// The URL.
        url: String,
        /// What is wrong with it.
        r#source: LoadError,
    },
    /// The response is a list without a valid row.
    #[error("the list from {url} has no valid row and {problem_count} invalid ones")]
    NoRows {
        /// The URL.
        url: String,
        /// Number of invalid rows.
        problem_count: u64,
    },
    /// No cache folder is known.
    #[error("the user has no home folder: set a cache folder")]
    NoCacheFolder,
    /// The list cannot be cached.
    #[error("{} cannot be written: {source}; check the folder or set another", path.display())]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// The system's error.
        r#source: io::Error,
    },
}

/// Returns advice for a status.
fn advice(status: u16) -> &'static str {
    match status {
        401 | 403 => ": it may need credentials, or today's access token",
        404 => ": check the URL and the exchange",
        429 => ": too many requests, try again later",
        500.. => ": try again later",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use error_chain::assert_chain;

    use super::*;

    #[test]
    fn every_error_names_its_cause_once() {
        let io = || io::Error::other("the system's words");
        let url = || "https://api.kite.trade/instruments".to_owned();
        for error in [
            FetchError::Url { url: url() },
            FetchError::PlainText { url: url() },
            FetchError::OtherHost { url: url() },
            FetchError::Credentials,
            FetchError::Request { url: url(), source: Box::new(io()) },
            FetchError::ProxyUrl,
            FetchError::Proxy { url: url(), proxy: "h:1".to_owned(), source: Box::new(io()) },
            FetchError::Status { url: url(), status: 403 },
            FetchError::Body { url: url(), received_bytes: 5, source: io() },
            FetchError::TooLarge { url: url(), limit_bytes: 5 },
            FetchError::NotAList { url: url(), source: LoadError::Empty },
            FetchError::NoRows { url: url(), problem_count: 5 },
            FetchError::NoCacheFolder,
            FetchError::Cache { path: "list.csv".into(), source: io() },
        ] {
            let cause: Option<&dyn Error> = match &error {
                FetchError::Request { source, .. } | FetchError::Proxy { source, .. } => {
                    Some(source.as_ref())
                }
                FetchError::Body { source, .. } | FetchError::Cache { source, .. } => Some(source),
                FetchError::NotAList { source, .. } => Some(source),
                FetchError::Url { .. }
                | FetchError::PlainText { .. }
                | FetchError::OtherHost { .. }
                | FetchError::Credentials
                | FetchError::ProxyUrl
                | FetchError::Status { .. }
                | FetchError::TooLarge { .. }
                | FetchError::NoRows { .. }
                | FetchError::NoCacheFolder => None,
            };
            assert_chain(&error, cause);
        }
    }
}
