//! The HTTP proxy to connect through, with a checked URL.
//!
//! Only `http://` proxies, reached without encryption. They see the host and port to connect to and
//! their own credentials; TLS to the server passes through them.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use thiserror::Error;

use super::endpoint::{Authority, AuthorityError, in_url, percent_encode};
use crate::credentials::Secret;

/// User names shorter than this occur in many strings and are not redacted from a proxy's response.
const SHORTEST_USER_BYTES: usize = 4;

/// An HTTP proxy to connect through by `CONNECT`, for instance one with a registered static IP.
///
/// `Debug` and `Display` hide its credentials. They are sent to the proxy unencrypted, as is usual
/// for `http://` proxies.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), kite_conn::ProxyError> {
/// use kite_conn::Proxy;
///
/// let proxy = Proxy::parse("http://user:p%40ss@proxy.example:3128")?;
/// assert_eq!(proxy.to_string(), "http://…@proxy.example:3128");
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Lower case; an IPv6 address has no brackets.
    host: String,
    port: u16,
    login: Option<Login>,
}

#[derive(Clone, PartialEq, Eq)]
struct Login {
    user: Secret,
    password: Secret,
}

/// Why a string is not a valid proxy URL.
///
/// No variant contains anything that may be part of the credentials.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// A byte that a URL may not contain unencoded.
    #[error("byte {position} of the proxy is not printable ASCII: percent-encode it")]
    Character {
        /// Offset in bytes from the start of the string.
        position: usize,
    },
    /// A scheme other than `http`.
    #[error("the proxy's scheme is not supported: only http:// proxies are")]
    Scheme,
    /// No host before the port.
    #[error("the proxy has no host: write http://host:port")]
    NoHost,
    /// A host that is neither a DNS name nor an IP address.
    #[error("the proxy's host is neither a DNS name nor an IP address (IPv6: [::1])")]
    Host,
    /// No port. Proxies have no default port.
    #[error("the proxy has no port: write http://host:port")]
    NoPort,
    /// A port that is not a number from 1 to 65535.
    #[error("the proxy's port is not from 1 to 65535")]
    Port,
    /// A path, query or fragment after the port.
    #[error("the proxy has text after its port: percent-encode / ? # in user and password")]
    Path,
    /// A `%` in the user or password that is not followed by two hexadecimal digits.
    #[error("the proxy's user or password has a % that encodes nothing: write % itself as %25")]
    Escape,
    /// A user or password that is not UTF-8 once decoded, or has control characters.
    #[error("the proxy's user or password is not UTF-8, or has a control character")]
    Login,
    /// A colon in the user name, which `Basic` authentication cannot represent (RFC 7617).
    #[error("the proxy's user name has a colon, which Basic authentication does not allow")]
    UserColon,
}

impl From<AuthorityError> for ProxyError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::NoHost => Self::NoHost,
            AuthorityError::Host(_) => Self::Host,
            AuthorityError::Port(_) => Self::Port,
        }
    }
}

/// Returns whether two hexadecimal digits follow each `%`.
fn is_percent_encoded(text: &str) -> bool {
    text.split('%')
        .skip(1)
        .all(|rest| rest.len() >= 2 && rest.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()))
}

impl Proxy {
    /// Parses `http://host:port` or `http://user:password@host:port`. User and password are
    /// percent-encoded if they have characters other than letters, digits and `-._~`. `http://` may
    /// be left out.
    ///
    /// # Errors
    /// Returns a [`ProxyError`] that describes the fault without quoting the URL.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        if let Some(position) = text.bytes().position(|b| !b.is_ascii_graphic()) {
            return Err(ProxyError::Character { position });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
        if !scheme.eq_ignore_ascii_case("http") {
            return Err(ProxyError::Scheme);
        }
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if !matches!(tail, "" | "/") {
            return Err(ProxyError::Path);
        }
        let (login, authority) = match authority.rsplit_once('@') {
            Some((login, authority)) => (Some(login), authority),
            None => (None, authority),
        };
        let Authority { host, port, .. } = Authority::parse(authority)?;
        let proxy = Self { host, port: port.ok_or(ProxyError::NoPort)?, login: None };
        let Some(login) = login else { return Ok(proxy) };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let decode = |text: &str| {
            if !is_percent_encoded(text) {
                return Err(ProxyError::Escape);
            }
            let decoded = percent_decode_str(text).decode_utf8();
            decoded.map(String::from).map_err(|_| ProxyError::Login)
        };
        proxy.with_login(decode(user)?, decode(password)?)
    }

    /// Sets the user and password, without percent-encoding.
    ///
    /// # Errors
    /// Returns [`ProxyError::Login`] for control characters, and [`ProxyError::UserColon`] for a
    /// colon in the user name.
    pub fn with_login(
        self,
        user: impl Into<Secret>,
        password: impl Into<Secret>,
    ) -> Result<Self, ProxyError> {
        let login = Login { user: user.into(), password: password.into() };
        if login.texts().any(|text| text.chars().any(char::is_control)) {
            return Err(ProxyError::Login);
        }
        if login.user.expose().contains(':') {
            return Err(ProxyError::UserColon);
        }
        Ok(Self { login: Some(login), ..self })
    }

    /// Returns the host: a lower-case DNS name or an IP address (IPv6 without brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns the URL with its credentials, for another client that uses the same proxy.
    #[must_use]
    pub fn url(&self) -> Secret {
        let login = self.login.as_ref().map_or_else(String::new, |login| {
            let [user, password] = [&login.user, &login.password].map(Secret::expose);
            format!("{}:{}@", percent_encode(user), percent_encode(password))
        });
        Secret::new(format!("http://{login}{}", self.authority()))
    }

    /// Returns the host and port, without the credentials.
    pub(super) fn authority(&self) -> String {
        format!("{}:{}", in_url(&self.host), self.port)
    }

    /// Returns the value of `Proxy-Authorization` (RFC 7617), if there are credentials.
    pub(super) fn authorization(&self) -> Option<String> {
        self.login.as_ref().map(|login| format!("Basic {}", login.basic()))
    }

    /// Returns the strings to redact from the proxy's response.
    pub(super) fn secrets(&self) -> impl Iterator<Item = String> {
        self.login.iter().flat_map(|login| {
            let user = login.user.expose();
            let user = (user.len() >= SHORTEST_USER_BYTES).then(|| user.to_owned());
            [Some(login.password.expose().to_owned()), Some(login.basic()), user]
                .into_iter()
                .flatten()
        })
    }
}

impl Login {
    fn texts(&self) -> impl Iterator<Item = &str> {
        [self.user.expose(), self.password.expose()].into_iter()
    }

    fn basic(&self) -> String {
        BASE64.encode(format!("{}:{}", self.user.expose(), self.password.expose()))
    }
}

impl FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        Self::parse(text)
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let login = if self.login.is_some() { "…@" } else { "" };
        write!(f, "http://{login}{}", self.authority())
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(url: &str) -> ProxyError {
        Proxy::parse(url).unwrap_err()
    }

    #[test]
    fn a_proxy_has_a_host_a_port_and_optional_credentials() {
        let proxy = Proxy::parse("HTTP://Proxy.Example:3128/").unwrap();
        assert_eq!((proxy.host(), proxy.port()), ("proxy.example", 3128));
        assert_eq!((proxy.authorization(), proxy.secrets().count()), (None, 0));
        assert_eq!(proxy.to_string(), "http://proxy.example:3128");
        let proxy: Proxy = "http://us%C3%A9r:p%40:s@[::1]:80".parse().unwrap();
        assert_eq!((proxy.host(), proxy.authority().as_str()), ("::1", "[::1]:80"));
        // Encoded with another tool: "usér:p@:s".
        assert_eq!(proxy.authorization().as_deref(), Some("Basic dXPDqXI6cEA6cw=="));
        let plain = Proxy::parse("http://[::1]:80").unwrap();
        assert_eq!(plain.with_login("usér", "p@:s").unwrap(), proxy);
        assert_eq!(Proxy::parse("us%C3%A9r:p%40:s@[::1]:80").unwrap(), proxy);
        assert_eq!(proxy.url().expose(), "http://us%C3%A9r:p%40%3As@[::1]:80");
        assert_eq!(Proxy::parse(proxy.url().expose()).unwrap(), proxy);
        let user_only = Proxy::parse("http://user@h:1").unwrap();
        assert_eq!(user_only.authorization().as_deref(), Some("Basic dXNlcjo="));
    }

    #[test]
    fn each_fault_has_its_error() {
        use ProxyError as E;
        for (url, expected) in [
            ("", E::NoHost),
            ("user:s3cr3t@h", E::NoPort),
            ("user:s3cr3t@", E::NoHost),
            ("https://user:s3cr3t@h:1", E::Scheme),
            ("s3cr3t://h:1", E::Scheme),
            ("http://user:s3cr3t@", E::NoHost),
            ("http://user:s3cr3t@:1", E::NoHost),
            ("http://user:s3cr3t@h", E::NoPort),
            ("http://user:s3cr3t", E::Port),
            ("http://h:0", E::Port),
            ("http://user:s3cr3t@h:65536", E::Port),
            ("http://s3cr3t$:80", E::Host),
            ("http://user:p#s3cr3t@h:1", E::Path),
            ("http://user:p/s3cr3t@h:1", E::Path),
            ("http://user:s3cr3t@h:1/x", E::Path),
            ("http://user:s3cr3t%zz@h:1", E::Escape),
            ("http://us%er:s3cr3t@h:1", E::Escape),
            ("http://user:s3cr3t%4@h:1", E::Escape),
            ("http://user:s3cr3t%@h:1", E::Escape),
            ("http://user:s3cr3t%FF@h:1", E::Login),
            ("http://user:s3cr3t%0D%0A@h:1", E::Login),
            ("http://us%3Aer:s3cr3t@h:1", E::UserColon),
            ("http://user:s3 cr3t@h:1", E::Character { position: 14 }),
        ] {
            let error = error(url);
            assert_eq!(error, expected, "{url}");
            assert!(!format!("{error} {error:?}").contains("s3"), "{url}: {error}");
        }
    }

    #[test]
    fn credentials_are_hidden_and_listed_as_secrets() {
        let proxy = Proxy::parse("http://operator:s3%2Fcr3t@h.example:1").unwrap();
        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "http://…@h.example:1 Proxy(http://…@h.example:1)"
        );
        let secrets: Vec<_> = proxy.secrets().collect();
        assert_eq!(secrets, ["s3/cr3t", &BASE64.encode("operator:s3/cr3t"), "operator"]);
    }

    proptest! {
        #[test]
        fn any_string_parses_or_is_rejected_and_headers_stay_on_one_line(text in prop_oneof![
            any::<String>(),
            "http://[a-z%0-9:@/é]{0,12}@?[a-z.\\[\\]:0-9]{0,8}:[0-9]{1,4}",
        ]) {
            if let Ok(proxy) = Proxy::parse(&text) {
                let line = format!("{} {:?}", proxy.authority(), proxy.authorization());
                prop_assert!(line.bytes().all(|b| b == b' ' || b.is_ascii_graphic()));
            }
        }
    }
}
