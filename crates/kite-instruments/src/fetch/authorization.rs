//! Credentials for the list, and the servers that they may be sent to.

use std::fmt;
use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::header::HeaderValue;
use ureq::http::uri::{Scheme, Uri};

use super::download::shown_url;
use super::error::FetchError;

/// The host of [`KITE_INSTRUMENTS_URL`](super::KITE_INSTRUMENTS_URL).
const KITE_HOST: &str = "api.kite.trade";

/// The value of the header that contains the access token.
#[derive(Clone)]
pub(super) struct Authorization {
    header: String,
    /// Whether the user passed it for another purpose than this list.
    is_ambient: bool,
}

impl Authorization {
    pub(super) fn new(api_key: &str, access_token: &str, is_ambient: bool) -> Self {
        Self { header: format!("token {api_key}:{access_token}"), is_ambient }
    }

    /// Returns the header for the server of a URL, or an error if the server must not receive it.
    pub(super) fn header_for(
        &self,
        uri: &Uri,
        proxy: Option<&Proxy>,
    ) -> Result<HeaderValue, FetchError> {
        let host = uri.host().unwrap_or_default();
        let stays_here = stays_here(host, proxy);
        let url = || shown_url(&uri.to_string());
        if self.is_ambient && !stays_here && !host.eq_ignore_ascii_case(KITE_HOST) {
            return Err(FetchError::OtherHost { url: url() });
        }
        if uri.scheme() != Some(&Scheme::HTTPS) && !stays_here {
            return Err(FetchError::PlainText { url: url() });
        }
        let mut value = HeaderValue::from_str(&self.header).map_err(|_| FetchError::Credentials)?;
        // Keeps it out of the HTTP client's logs.
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Returns whether what is sent to a host stays on this machine. A proxy reads what passes through it
/// in plain text, so does the network before it, and its loopback is that of its own machine.
fn stays_here(host: &str, proxy: Option<&Proxy>) -> bool {
    is_loopback(host) && proxy.is_none_or(|proxy| is_loopback(proxy.host()))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KITE_INSTRUMENTS_URL;

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

    #[test]
    fn a_distant_proxy_takes_what_is_sent_off_this_machine() {
        let stays = |proxy| stays_here("127.0.0.1", Some(&Proxy::new(proxy).unwrap()));
        assert!(stays_here("localhost", None) && stays("http://u:p@[::1]:3128"));
        assert!(!stays("http://192.0.2.1:3128") && !stays_here("192.0.2.1", None));
    }

    #[test]
    fn ambient_credentials_go_only_to_kite_and_to_this_machine() {
        let distant = Proxy::new("http://192.0.2.1:3128").unwrap();
        let outcome = |is_ambient, url: &str, proxy| {
            let sent = Authorization::new("key", "token", is_ambient);
            match sent.header_for(&url.parse().unwrap(), proxy) {
                Ok(_) => "sent",
                Err(FetchError::OtherHost { .. }) => "another host",
                Err(FetchError::PlainText { .. }) => "plain text",
                Err(error) => panic!("{error}"),
            }
        };
        for (url, proxy, ambient, named) in [
            (KITE_INSTRUMENTS_URL, None, "sent", "sent"),
            (KITE_INSTRUMENTS_URL, Some(&distant), "sent", "sent"),
            ("https://API.kite.trade:443/instruments/NSE", None, "sent", "sent"),
            ("http://api.kite.trade/instruments", None, "plain text", "plain text"),
            ("http://localhost:8080/", None, "sent", "sent"),
            ("https://[::1]/", None, "sent", "sent"),
            ("http://localhost/", Some(&distant), "another host", "plain text"),
            ("https://localhost/", Some(&distant), "another host", "sent"),
            ("https://mirror.example/instruments", None, "another host", "sent"),
            ("http://mirror.example/instruments", None, "another host", "plain text"),
            ("https://kite.trade/", None, "another host", "sent"),
            ("https://api.kite.trade.example/", None, "another host", "sent"),
            ("https://api.kite.trade@mirror.example/", None, "another host", "sent"),
        ] {
            assert_eq!(outcome(true, url, proxy), ambient, "{url}");
            assert_eq!(outcome(false, url, proxy), named, "{url}");
        }
    }
}
