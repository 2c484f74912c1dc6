//! One HTTP request, with limits for time and size.

use std::io::{self, Read};
use std::net::IpAddr;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::uri::{Scheme, Uri};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body, Error, ResponseExt as _};

use super::error::FetchError;

/// The version of Kite Connect's API, which its clients send.
const KITE_VERSION: &str = "3";

pub(super) struct Download<'a> {
    pub(super) url: &'a str,
    pub(super) authorization: Option<&'a str>,
    pub(super) connect_timeout: Duration,
    pub(super) timeout: Duration,
    pub(super) max_bytes: u64,
}

impl Download<'_> {
    /// Returns the body of the response, with its content encoding removed.
    pub(super) fn run(&self) -> Result<Vec<u8>, FetchError> {
        let url = || shown_url(self.url);
        let invalid = || FetchError::Url { url: url() };
        let uri: Uri = self.url.parse().map_err(|_| invalid())?;
        let host = uri.host().ok_or_else(invalid)?;
        let encrypted = uri.scheme() == Some(&Scheme::HTTPS);
        if !encrypted && uri.scheme() != Some(&Scheme::HTTP) {
            return Err(invalid());
        }
        let here = is_loopback(host);
        let mut config = Agent::config_builder()
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .user_agent(concat!("kite-instruments/", env!("CARGO_PKG_VERSION")));
        if here {
            // A proxy cannot reach this machine's loopback.
            config = config.proxy(None);
        }
        let agent = Agent::new_with_config(config.build());
        let mut response = self.request(&agent, &uri, None)?;
        if let Some(authorization) = self.authorization
            && wants_credentials(&response, &uri)
        {
            if !encrypted && !here {
                return Err(FetchError::PlainText { url: url() });
            }
            response = self.request(&agent, &uri, Some(authorization))?;
        }
        let status = response.status();
        if !status.is_success() {
            return Err(FetchError::Status { url: url(), status: status.as_u16() });
        }
        let mut bytes = Vec::new();
        let mut body = response.into_body().into_reader().take(self.max_bytes.saturating_add(1));
        let read = body.read_to_end(&mut bytes);
        let received_bytes = bytes.len() as u64;
        match read {
            Err(source) => Err(FetchError::Body { url: url(), received_bytes, source }),
            Ok(_) if received_bytes > self.max_bytes => {
                Err(FetchError::TooLarge { url: url(), limit_bytes: self.max_bytes })
            }
            Ok(_) => Ok(bytes),
        }
    }
}

impl Download<'_> {
    fn request(
        &self,
        agent: &Agent,
        uri: &Uri,
        authorization: Option<&str>,
    ) -> Result<Response<Body>, FetchError> {
        let mut request = agent.get(uri).header("X-Kite-Version", KITE_VERSION);
        if let Some(authorization) = authorization {
            let mut value =
                HeaderValue::from_str(authorization).map_err(|_| FetchError::Credentials)?;
            // Keeps it out of the HTTP client's logs.
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        request.call().map_err(|error| request_error(shown_url(self.url), error))
    }
}

/// Returns whether the server of the URL, not one that it redirects to, refuses a request without
/// credentials.
fn wants_credentials(response: &Response<Body>, uri: &Uri) -> bool {
    matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        && response.get_uri().authority() == uri.authority()
}

fn request_error(url: String, error: Error) -> FetchError {
    match error {
        // The client's message would contain the URL with its secrets.
        Error::BadUri(_) => FetchError::Url { url },
        Error::Io(source) => FetchError::Request { url, source: Box::new(source) },
        Error::Timeout(_) => {
            let source = io::Error::new(io::ErrorKind::TimedOut, error);
            FetchError::Request { url, source: Box::new(source) }
        }
        other => FetchError::Request { url, source: Box::new(other) },
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

/// Returns a URL without user, query and fragment, which is safe to show.
pub(super) fn shown_url(url: &str) -> String {
    let shown = url.split(['?', '#']).next().unwrap_or_default();
    let (scheme, rest) = shown.split_once("://").unwrap_or(("", shown));
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit('@').next().unwrap_or_default();
    if scheme.is_empty() { format!("{host}{path}") } else { format!("{scheme}://{host}{path}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_urls_have_no_secrets() {
        for (url, shown) in [
            ("https://api.kite.trade/instruments", "https://api.kite.trade/instruments"),
            ("https://user:pass@host:1/a@b?key=1#x", "https://host:1/a@b"),
            ("host?token=1", "host"),
            ("user:pass@host/list", "host/list"),
            ("", ""),
        ] {
            assert_eq!(shown_url(url), shown);
        }
    }

    #[test]
    fn loopback_hosts_are_distinguished_from_others() {
        for host in ["localhost", "127.0.0.1", "127.8.9.1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in
            ["api.kite.trade", "10.0.0.1", "localhost.example", "[::2]", "127.0.0.1.example"]
        {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
