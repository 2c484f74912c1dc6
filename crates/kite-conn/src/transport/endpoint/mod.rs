//! The address of the ticker server: a URL that is checked once and then safe to dial.
//!
//! The access token is sent in the request line, so an unencrypted endpoint is allowed on loopback
//! only, and query values are never shown. Names are not resolved here.

mod authority;

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use thiserror::Error;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::credentials::Credentials;

use self::authority::is_loopback_host;
pub(crate) use self::authority::{Authority, AuthorityError, in_url};

/// Kite's ticker (Kite Connect v3 documentation, WebSocket page).
const KITE: &str = "wss://ws.kite.trade";

/// Everything but the unreserved characters of RFC 3986.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Query values shorter than this are not redacted from a server's response.
const SHORTEST_SECRET_BYTES: usize = 4;

/// The address of a ticker server, checked.
///
/// `wss://` is accepted for any host, `ws://` for loopback only (127.0.0.0/8, `[::1]`,
/// `localhost`). The path defaults to `/`; query parameters are kept and sent after the credentials
/// (the sandbox requires `user_id`). `Debug` and `Display` hide query values.
///
/// # Examples
/// ```
/// # fn main() -> Result<(), kite_conn::EndpointError> {
/// use kite_conn::Endpoint;
///
/// assert_eq!(Endpoint::default().to_string(), "wss://ws.kite.trade/");
/// let sandbox = Endpoint::parse("wss://ws-sandbox.kite.trade?user_id=AB1234")?;
/// assert_eq!(sandbox.to_string(), "wss://ws-sandbox.kite.trade/?user_id=…");
/// assert!(Endpoint::parse("ws://ws.kite.trade").is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Endpoint {
    secure: bool,
    /// Lower case; an IPv6 address has no brackets.
    host: String,
    server_name: ServerName<'static>,
    port: u16,
    path: String,
    query: String,
}

/// Why a string is not a valid endpoint.
///
/// No variant contains a query value or user information.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EndpointError {
    /// A byte that a URL may not contain unencoded.
    #[error("byte {position} of the endpoint is not printable ASCII: percent-encode it")]
    Character {
        /// Offset in bytes from the start of the string.
        position: usize,
    },
    /// No scheme such as `wss://` at the start.
    #[error("the endpoint has no scheme: write wss://host")]
    NoScheme,
    /// Another scheme than `ws` and `wss`, or none, with a loopback host.
    #[error("the endpoint's scheme is neither ws nor wss: write {url}")]
    Loopback {
        /// The host and port with `ws://`.
        url: String,
    },
    /// A scheme other than `wss` and `ws`.
    #[error("the endpoint's scheme {scheme} is not supported: use wss://")]
    Scheme {
        /// The scheme, without `://`.
        scheme: String,
    },
    /// `user:password@` before the host.
    #[error("the endpoint has user information before its host: pass credentials separately")]
    UserInfo,
    /// A `#` and what follows it, which is never sent.
    #[error("the endpoint has a fragment: remove the # or write it as %23")]
    Fragment,
    /// No host between `://` and the path.
    #[error("the endpoint has no host: write wss://host")]
    NoHost,
    /// A host that is neither a DNS name nor an IP address.
    #[error("the endpoint's host {host} is neither a DNS name nor an IP address (IPv6: [::1])")]
    Host {
        /// The host up to and including its first invalid character.
        host: String,
    },
    /// A port that is not a number from 1 to 65535.
    #[error("the endpoint's port {port:?} is not from 1 to 65535")]
    Port {
        /// The port as written, at most its first six characters.
        port: String,
    },
    /// `ws://` with a host that is not loopback.
    #[error(
        "ws://{host} would send the access token unencrypted: use wss://; ws:// is for loopback \
         (127.0.0.0/8, [::1], localhost)"
    )]
    Plaintext {
        /// The host as parsed.
        host: String,
    },
    /// The API key or access token as a query parameter.
    #[error("the endpoint's query has {name}: pass it as credentials")]
    Credentials {
        /// The parameter's name.
        name: &'static str,
    },
    /// A query parameter to add has no name.
    #[error("the query parameter to add has no name")]
    NoQueryName,
}

impl From<AuthorityError> for EndpointError {
    fn from(error: AuthorityError) -> Self {
        match error {
            AuthorityError::NoHost => Self::NoHost,
            AuthorityError::Host(host) => Self::Host { host },
            AuthorityError::Port(port) => Self::Port { port },
        }
    }
}

/// Returns the error for a scheme that is neither `ws` nor `wss`.
fn wrong_scheme(scheme: &str, text: &str) -> EndpointError {
    let is_named = is_scheme(scheme);
    let rest = if is_named { text.split_once("://").map_or("", |(_, rest)| rest) } else { text };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    match Authority::parse(authority) {
        // A server with TLS is meant by https, also on loopback.
        Ok(Authority { host, port, .. }) if is_loopback_host(&host) && scheme != "https" => {
            let port = port.map(|port| format!(":{port}")).unwrap_or_default();
            EndpointError::Loopback { url: format!("ws://{}{port}", in_url(&host)) }
        }
        _ if is_named => EndpointError::Scheme { scheme: scheme.to_owned() },
        _ => EndpointError::NoScheme,
    }
}

impl Endpoint {
    /// Parses and checks a URL.
    ///
    /// # Errors
    /// Returns an [`EndpointError`] that describes the fault, for example a scheme other than `wss`
    /// and `ws`, or `ws` with a host that is not loopback, since the access token would be sent
    /// unencrypted.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        // Check this first, so that nothing below can split a character and no line break reaches
        // the request line.
        if let Some(position) = text.bytes().position(|b| !b.is_ascii_graphic()) {
            return Err(EndpointError::Character { position });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let secure = match scheme.to_ascii_lowercase().as_str() {
            "wss" => true,
            "ws" => false,
            other => return Err(wrong_scheme(other, text)),
        };

        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        if tail.contains('#') {
            return Err(EndpointError::Fragment);
        }
        // A password may contain a slash, and then begins where a port would.
        let parsed = Authority::parse(authority);
        if matches!(parsed, Err(AuthorityError::Port(_))) && tail.contains('@') {
            return Err(EndpointError::UserInfo);
        }
        let Authority { host, server_name, port } = parsed?;
        let port = port.unwrap_or_else(|| default_port(secure));
        if !secure && !is_loopback_host(&host) {
            return Err(EndpointError::Plaintext { host: in_url(&host) });
        }

        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        check_query(query)?;
        // Without the `/` before `?` the load balancer answers 400 with an HTML page.
        let path = if path.is_empty() { "/" } else { path };
        Ok(Self { secure, host, server_name, port, path: path.to_owned(), query: query.to_owned() })
    }

    /// Adds a query parameter, percent-encoded, after the existing ones.
    ///
    /// A parameter of the same name stays, so the server receives both.
    ///
    /// ```
    /// # fn main() -> Result<(), kite_conn::EndpointError> {
    /// use kite_conn::Endpoint;
    ///
    /// let sandbox = Endpoint::parse("wss://ws-sandbox.kite.trade")?.with_query("user_id", "AB1234")?;
    /// assert_eq!(sandbox, Endpoint::parse("wss://ws-sandbox.kite.trade?user_id=AB1234")?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// Returns [`EndpointError::Credentials`] for `api_key` and `access_token`, which are sent
    /// already, and [`EndpointError::NoQueryName`] for an empty name.
    pub fn with_query(
        mut self,
        name: impl AsRef<str>,
        value: impl AsRef<str>,
    ) -> Result<Self, EndpointError> {
        let (name, value) = (percent_encode(name.as_ref()), percent_encode(value.as_ref()));
        if name.is_empty() {
            return Err(EndpointError::NoQueryName);
        }
        check_query(&name)?;
        if !self.query.is_empty() {
            self.query.push('&');
        }
        self.query.extend([name.as_str(), "=", value.as_str()]);
        Ok(self)
    }

    /// Returns the host: a lower-case DNS name or an IP address (IPv6 without brackets).
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port; if the URL has none, 443 for `wss` and 80 for `ws`.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Returns whether the connection is encrypted (`wss`).
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.secure
    }

    /// Returns whether a resolved address may be dialled. Without TLS it must be loopback, even if
    /// the resolver returns another address for `localhost`.
    pub(crate) fn permits(&self, address: &SocketAddr) -> bool {
        self.secure || address.ip().is_loopback()
    }

    /// Returns the name that the server's certificate must have.
    pub(crate) fn server_name(&self) -> ServerName<'static> {
        self.server_name.clone()
    }

    /// Returns the host and port for a proxy, always including the port.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", in_url(&self.host), self.port)
    }

    /// Returns the value of the `Host` header.
    pub(crate) fn host_header(&self) -> String {
        let host = in_url(&self.host);
        if self.port == default_port(self.secure) { host } else { format!("{host}:{}", self.port) }
    }

    /// Returns the query's values, percent-decoded. Like the token, no error may contain them.
    /// Values as short as `1` or `yes` are not secret and occur in any text.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = String> {
        let parameters = self.query.split('&');
        let values = parameters.map(|it| it.split_once('=').map_or(it, |(_, value)| value));
        values
            .flat_map(|value| {
                let decode =
                    |value: &str| percent_decode_str(value).decode_utf8_lossy().into_owned();
                // Some servers parse the query as a form, where `+` is a space.
                [value.to_owned(), decode(value), decode(&value.replace('+', " "))]
            })
            .filter(|value| value.len() >= SHORTEST_SECRET_BYTES)
    }

    /// Returns the path and query of the handshake request. It contains the access token, so write
    /// it to the socket and nowhere else.
    pub(crate) fn request_target(&self, credentials: &Credentials) -> String {
        let mut target = format!(
            "{}?api_key={}&access_token={}",
            self.path,
            percent_encode(credentials.api_key()),
            percent_encode(credentials.access_token().expose()),
        );
        if !self.query.is_empty() {
            target.push('&');
            target.push_str(&self.query);
        }
        target
    }
}

/// Percent-encodes a value for a query string.
pub(crate) fn percent_encode(value: &str) -> String {
    utf8_percent_encode(value, ENCODED).to_string()
}

impl Default for Endpoint {
    /// Kite's live ticker, `wss://ws.kite.trade`.
    #[expect(clippy::expect_used, reason = "a constant, parsed by a test")]
    fn default() -> Self {
        Self::parse(KITE).expect("the default endpoint is a valid one")
    }
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        Self::parse(text)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure { "wss" } else { "ws" };
        write!(f, "{scheme}://{}{}", self.host_header(), self.path)?;
        let parameters = self.query.split('&').filter(|parameter| !parameter.is_empty());
        for (index, parameter) in parameters.enumerate() {
            f.write_str(if index == 0 { "?" } else { "&" })?;
            match parameter.split_once('=') {
                Some((name, _)) => write!(f, "{name}=…")?,
                None => f.write_str("…")?,
            }
        }
        Ok(())
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}

fn default_port(secure: bool) -> u16 {
    if secure { 443 } else { 80 }
}

/// Returns whether a string is short and has only a scheme's characters, so that an error may show
/// it.
fn is_scheme(text: &str) -> bool {
    (1..=16).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

/// Rejects credentials in the query, because they would be sent twice and outlive their renewal.
fn check_query(query: &str) -> Result<(), EndpointError> {
    for parameter in query.split('&') {
        let name = parameter.split('=').next().unwrap_or_default();
        let name = percent_decode_str(name).decode_utf8_lossy();
        for reserved in ["api_key", "access_token"] {
            if name == reserved {
                return Err(EndpointError::Credentials { name: reserved });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn target(url: &str) -> String {
        Endpoint::parse(url).unwrap().request_target(&Credentials::new("key", "tok"))
    }

    fn error(url: &str) -> EndpointError {
        Endpoint::parse(url).unwrap_err()
    }

    #[test]
    fn the_default_is_kites_ticker_over_tls() {
        let endpoint = Endpoint::default();
        assert_eq!((endpoint.host(), endpoint.port()), ("ws.kite.trade", 443));
        assert!(endpoint.is_secure());
        assert_eq!(endpoint.host_header(), "ws.kite.trade");
        assert_eq!("wss://ws.kite.trade/".parse(), Ok(endpoint));
    }

    #[test]
    fn the_target_has_a_slash_before_the_query() {
        assert_eq!(target("wss://h.example"), "/?api_key=key&access_token=tok");
        assert_eq!(target("wss://h.example/"), "/?api_key=key&access_token=tok");
        assert_eq!(target("wss://h.example/a/b"), "/a/b?api_key=key&access_token=tok");
        assert_eq!(
            target("wss://h.example?user_id=AB12&x"),
            "/?api_key=key&access_token=tok&user_id=AB12&x"
        );
    }

    #[test]
    fn credentials_are_percent_encoded() {
        let credentials = Credentials::new("k y&", "a=b+c/d%é~");
        assert_eq!(
            Endpoint::default().request_target(&credentials),
            "/?api_key=k%20y%26&access_token=a%3Db%2Bc%2Fd%25%C3%A9~"
        );
    }

    #[test]
    fn plaintext_is_for_loopback_only() {
        for url in ["ws://127.0.0.1:1", "ws://127.9.8.7", "ws://[::1]:9", "WS://LocalHost:80/x"] {
            assert!(Endpoint::parse(url).is_ok(), "{url}");
        }
        for url in [
            "ws://ws.kite.trade",
            "ws://10.0.0.1:80",
            "ws://127.1",
            "ws://0.0.0.0",
            "ws://[::]",
            "ws://localhost.example",
            "ws://127.0.0.1.example",
        ] {
            let error = error(url);
            assert!(
                matches!(error, EndpointError::Plaintext { .. } | EndpointError::Host { .. }),
                "{url}: {error}"
            );
        }
        assert!(error("ws://ws.kite.trade").to_string().contains("unencrypted"));
    }

    #[test]
    fn plaintext_dials_loopback_addresses_only() {
        let outside: SocketAddr = "192.0.2.1:80".parse().unwrap();
        let inside: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let local = Endpoint::parse("ws://localhost").unwrap();
        assert!(local.permits(&inside) && !local.permits(&outside));
        assert!(Endpoint::default().permits(&outside));
    }

    #[test]
    fn each_fault_has_its_own_error() {
        use EndpointError as E;
        assert_eq!(error(""), E::NoScheme);
        assert_eq!(error("ws.kite.trade"), E::NoScheme);
        let loopback = |url: &str| E::Loopback { url: url.to_owned() };
        assert_eq!(error("127.0.0.1:8765"), loopback("ws://127.0.0.1:8765"));
        assert_eq!(error("localhost/?api_key=mine"), loopback("ws://localhost"));
        assert_eq!(error("HTTP://127.0.0.1:8765/"), loopback("ws://127.0.0.1:8765"));
        assert_eq!(error("http://[::1]:1"), loopback("ws://[::1]:1"));
        assert_eq!(error("https://localhost"), E::Scheme { scheme: "https".to_owned() });
        assert_eq!(error("http://user:my_secret@localhost"), E::Scheme { scheme: "http".into() });
        assert_eq!(error("user:my_secret@localhost"), E::NoScheme);
        assert_eq!(error("https://h.example"), E::Scheme { scheme: "https".into() });
        assert_eq!(error("wss://"), E::NoHost);
        assert_eq!(error("wss:///x"), E::NoHost);
        assert_eq!(error("wss://:443"), E::NoHost);
        assert_eq!(error("wss://u:p@h.example"), E::UserInfo);
        assert_eq!(error("wss://u:s3/cr@h.example"), E::UserInfo);
        assert_eq!(error("wss://h.example/#x"), E::Fragment);
        assert_eq!(error("wss://h.example#x"), E::Fragment);
        assert_eq!(error("wss://h.example/ x"), E::Character { position: 16 });
        assert_eq!(error("wss://h.example\r\n"), E::Character { position: 15 });
        for port in ["", "0", "65536", "+80", "80x"] {
            let url = format!("wss://h.example:{port}");
            assert_eq!(error(&url), E::Port { port: port.into() }, "{url}");
        }
        for host in ["[::1", "[::1]x", "[1.2.3.4]", "[]", "h%2e", "a..b", "[fe80::1%25eth0]"] {
            assert!(matches!(error(&format!("wss://{host}")), E::Host { .. }), "{host}");
        }
    }

    #[test]
    fn credentials_in_the_query_are_rejected() {
        for url in ["wss://h.example?api_key=a", "wss://h.example/?x=1&%61pi_key=a"] {
            assert_eq!(error(url), EndpointError::Credentials { name: "api_key" });
        }
        assert_eq!(
            error("wss://h.example?access_token"),
            EndpointError::Credentials { name: "access_token" }
        );
    }

    #[test]
    fn an_added_parameter_is_encoded_and_never_credentials() {
        let endpoint = Endpoint::default().with_query("user id", "a=b&c/\u{e9}\r\n").unwrap();
        assert_eq!(endpoint.to_string(), "wss://ws.kite.trade/?user%20id=…");
        let endpoint = endpoint.with_query("v", "").unwrap();
        assert_eq!(
            endpoint.request_target(&Credentials::new("key", "tok")),
            "/?api_key=key&access_token=tok&user%20id=a%3Db%26c%2F%C3%A9%0D%0A&v="
        );
        assert!(endpoint.secrets().any(|secret| secret == "a=b&c/\u{e9}\r\n"));
        for name in ["api_key", "access_token"] {
            let error = Endpoint::default().with_query(name, "s3cr3t").unwrap_err();
            assert_eq!(error, EndpointError::Credentials { name });
        }
        let error = Endpoint::default().with_query("", "s3cr3t").unwrap_err();
        assert_eq!(error, EndpointError::NoQueryName);
    }

    #[test]
    fn the_authority_always_has_a_port() {
        assert_eq!(Endpoint::default().authority(), "ws.kite.trade:443");
        assert_eq!(Endpoint::parse("ws://[::1]").unwrap().authority(), "[::1]:80");
    }

    #[test]
    fn display_and_debug_hide_query_values() {
        let endpoint =
            Endpoint::parse("wss://h.example:8443/p?user_id=AB12&hush&e=s3c=r3t").unwrap();
        assert_eq!(endpoint.to_string(), "wss://h.example:8443/p?user_id=…&…&e=…");
        assert_eq!(format!("{endpoint:?}"), format!("Endpoint({endpoint})"));
    }

    #[test]
    fn query_values_are_secret_encoded_and_decoded() {
        let secrets = |query: &str| -> Vec<String> {
            let mut secrets: Vec<String> =
                Endpoint::parse(&format!("wss://h/?{query}")).unwrap().secrets().collect();
            secrets.sort();
            secrets.dedup();
            secrets
        };
        assert_eq!(secrets("user_id=AB1234&v=3&&a="), ["AB1234"]);
        assert_eq!(secrets("t=a%2Fb+c=d"), ["a%2Fb+c=d", "a/b c=d", "a/b+c=d"]);
        assert_eq!(secrets("bare-word"), ["bare-word"]);
        assert!(secrets("").is_empty());
    }

    #[test]
    fn errors_hide_what_may_be_secret() {
        for url in [
            "api_key=k&access_token=s3cr3t",
            "wss://api_key=k&access_token=s3cr3t",
            "wss://u:s3cr3t@h.example",
            "wss://h.example/?access_token=s3cr3t",
            "wss://h.example/?x=s3cr3t#s3cr3t",
            "ftp://h.example/?x=s3cr3t",
            "s3cr3ts3cr3ts3cr3t://h.example",
        ] {
            let error = error(url);
            assert!(!format!("{error} {error:?}").contains("s3cr3t"), "{url}: {error}");
        }
    }

    #[test]
    fn ipv6_hosts_keep_their_brackets_on_the_wire() {
        let endpoint = Endpoint::parse("ws://[0:0::1]:8080").unwrap();
        assert_eq!(endpoint.host(), "::1");
        assert_eq!(endpoint.host_header(), "[::1]:8080");
        assert_eq!(endpoint.to_string(), "ws://[::1]:8080/");
    }

    proptest! {
        #[test]
        fn any_string_parses_or_is_rejected_and_the_target_stays_on_one_line(
            text in prop_oneof![
                any::<String>(),
                "wss?://[\\[\\]a-z0-9.:@%é]{0,12}[/?#&= \r\na-z]{0,12}",
            ],
            key in any::<String>(),
            token in any::<String>(),
        ) {
            if let Ok(endpoint) = Endpoint::parse(&text) {
                let target = endpoint.request_target(&Credentials::new(key, token));
                prop_assert!(target.starts_with('/'));
                prop_assert!(target.bytes().all(|b| b.is_ascii_graphic()));
            }
        }
    }
}
