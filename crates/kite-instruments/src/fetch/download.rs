//! One HTTP request, with limits for time and size.

use std::io::{self, Read};
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::http::header::{AUTHORIZATION, HeaderValue};
use ureq::http::uri::{Scheme, Uri};
use ureq::http::{Response, StatusCode};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body, Error, Proxy, ProxyProtocol, ResponseExt as _};

use super::authorization::Authorization;
use super::error::FetchError;

/// The version of Kite Connect's API, which its clients send.
const KITE_VERSION: &str = "3";

pub(super) struct Download<'a> {
    pub(super) url: &'a str,
    pub(super) authorization: Option<&'a Authorization>,
    pub(super) proxy: Option<&'a str>,
    pub(super) roots: Option<&'a RootCerts>,
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
        let is_http = uri.scheme() == Some(&Scheme::HTTPS) || uri.scheme() == Some(&Scheme::HTTP);
        if !is_http || uri.host().is_none() {
            return Err(invalid());
        }
        let proxy = self.proxy.map(parse_proxy).transpose()?;
        let mut tls = TlsConfig::builder();
        if let Some(roots) = self.roots {
            tls = tls.root_certs(roots.clone());
        }
        let config = Agent::config_builder()
            .timeout_connect(Some(self.connect_timeout))
            .timeout_global(Some(self.timeout))
            .http_status_as_error(false)
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .proxy(proxy.clone())
            .tls_config(tls.build())
            .user_agent(concat!("kite-instruments/", env!("CARGO_PKG_VERSION")));
        let agent = Agent::new_with_config(config.build());
        let mut response = self.request(&agent, &uri, proxy.as_ref(), None)?;
        if let Some(authorization) = self.authorization
            && wants_credentials(&response, &uri)
        {
            let header = authorization.header_for(&uri, proxy.as_ref())?;
            response = self.request(&agent, &uri, proxy.as_ref(), Some(header))?;
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
        proxy: Option<&Proxy>,
        authorization: Option<HeaderValue>,
    ) -> Result<Response<Body>, FetchError> {
        let mut request = agent.get(uri).header("X-Kite-Version", KITE_VERSION);
        if let Some(authorization) = authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        request.call().map_err(|error| request_error(shown_url(self.url), proxy, error))
    }
}

/// Returns whether the server of the URL, not one that it redirects to, refuses a request without
/// credentials.
fn wants_credentials(response: &Response<Body>, uri: &Uri) -> bool {
    matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
        && response.get_uri().authority() == uri.authority()
}

/// Parses the URL of a proxy; only the kind that the ticker's connections can use is accepted.
fn parse_proxy(url: &str) -> Result<Proxy, FetchError> {
    match Proxy::new(url) {
        Ok(proxy) if proxy.protocol() == ProxyProtocol::Http => Ok(proxy),
        Ok(_) | Err(_) => Err(FetchError::ProxyUrl),
    }
}

fn request_error(url: String, proxy: Option<&Proxy>, error: Error) -> FetchError {
    let source: Box<dyn std::error::Error + Send + Sync> = match error {
        // The client's message would contain the URL with its secrets.
        Error::BadUri(_) => return FetchError::Url { url },
        Error::Io(source) => Box::new(source),
        Error::Timeout(_) => Box::new(io::Error::new(io::ErrorKind::TimedOut, error)),
        Error::ConnectProxyFailed(reason) => match refusal(&reason) {
            Some(status) => format!("it refused the connection with status {status}").into(),
            None => Box::new(Error::ConnectProxyFailed(reason)),
        },
        other => Box::new(other),
    };
    match proxy {
        Some(proxy) => {
            let proxy = format!("{}:{}", proxy.host(), proxy.port());
            FetchError::Proxy { url, proxy, source }
        }
        None => FetchError::Request { url, source },
    }
}

/// Returns the status in the client's "proxy server responded 407/407".
fn refusal(reason: &str) -> Option<u16> {
    reason.rsplit_once(['/', ' '])?.1.parse().ok()
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
}
