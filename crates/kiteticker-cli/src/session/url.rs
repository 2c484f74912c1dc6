//! URLs of logins: encrypted, or of this machine.

use std::str::FromStr;

use ureq::http::Uri;

/// The URL of Kite's login page or API, or of another server. `http` only for this machine, because
/// the requests hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ServerUrl(String);

impl FromStr for ServerUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = parsed(text)?;
        match uri.scheme_str() {
            Some("https") => Ok(Self::of(text)),
            Some("http") if is_loopback(&uri) => Ok(Self::of(text)),
            Some("http") => Err("http:// is for this machine only, such as http://127.0.0.1:8766"),
            _ => Err("expected an https:// URL"),
        }
    }
}

impl ServerUrl {
    fn of(text: &str) -> Self {
        Self(text.trim_end_matches('/').to_owned())
    }

    /// Returns the URL without a slash at its end.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Port of an `http` URL that names none.
const HTTP_PORT: u16 = 80;

/// An `http` URL of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LocalUrl {
    text: String,
    port: u16,
}

impl FromStr for LocalUrl {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let uri = parsed(text)?;
        match uri.scheme_str() == Some("http") && is_loopback(&uri) {
            true => Ok(Self { text: text.to_owned(), port: uri.port_u16().unwrap_or(HTTP_PORT) }),
            false => Err("expected a URL of this machine, such as http://127.0.0.1:5010"),
        }
    }
}

impl LocalUrl {
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

fn parsed(text: &str) -> Result<Uri, &'static str> {
    let uri: Uri = text.parse().map_err(|_| "it is not a URL")?;
    let authority = uri.authority().ok_or("expected a URL such as https://api.kite.trade")?;
    if authority.as_str().contains('@') || uri.query().is_some() || text.contains('#') {
        return Err("a user, a query or a fragment does not belong into it");
    }
    Ok(uri)
}

fn is_loopback(uri: &Uri) -> bool {
    let host = uri.host().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']').parse();
    host.eq_ignore_ascii_case("localhost")
        || address.is_ok_and(|address: std::net::IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_sent_encrypted_or_to_this_machine() {
        let parse = |text: &str| text.parse::<ServerUrl>().map(|url| url.0);
        for url in ["https://api.kite.trade", "http://127.0.0.1:1", "http://[::1]:1/a"] {
            assert_eq!(parse(url), Ok(url.to_owned()));
        }
        assert_eq!(parse("HTTP://localhost:1/"), Ok("HTTP://localhost:1".to_owned()));
        for url in [
            "http://api.kite.trade",
            "http://127.0.0.1.example.com",
            "http://localhost@example.com",
            "https://user:password@api.kite.trade",
            "https://api.kite.trade/?a=b",
            "ftp://127.0.0.1",
            "api.kite.trade",
            "https://",
            "",
        ] {
            assert!(parse(url).is_err(), "{url}");
            assert!(url.parse::<LocalUrl>().is_err(), "{url}");
        }
        assert!("https://127.0.0.1".parse::<LocalUrl>().is_err());
    }

    #[test]
    fn a_local_url_has_a_port() {
        for (url, port) in [("http://127.0.0.1:8000/a", 8000), ("http://localhost", 80)] {
            assert_eq!(url.parse::<LocalUrl>().map(|url| url.port()), Ok(port));
        }
    }
}
