//! Chooses the proxy for a server: that of the option, else that of the environment.

use std::convert::Infallible;
use std::fmt;
use std::str::FromStr;

use kite_conn::{Endpoint, Proxy, ProxyError};

use super::{EXCEPTION_VARIABLES, PROXY_VARIABLES, exceptions};
use crate::exit::CliError;
use crate::plain_text::trimmed;

const OPTION: &str = "--proxy";

/// The value of `--proxy`. Parsing it cannot fail, because clap's error would show it with its
/// password; [`choose`] reports it.
#[derive(Debug, Clone)]
pub(super) struct ProxyUrl(Result<Proxy, ProxyError>);

impl FromStr for ProxyUrl {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        Ok(Self(Proxy::parse(trimmed(text))))
    }
}

/// A server to connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Target<'a> {
    pub(super) is_encrypted: bool,
    /// An IPv6 address has no brackets.
    host: &'a str,
    port: u16,
}

impl<'a> From<&'a Endpoint> for Target<'a> {
    fn from(endpoint: &'a Endpoint) -> Self {
        Self { is_encrypted: endpoint.is_secure(), host: endpoint.host(), port: endpoint.port() }
    }
}

impl<'a> Target<'a> {
    /// Finds the server of an HTTP URL; `None` if it has none.
    pub(super) fn of_url(url: &'a str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let is_encrypted = scheme.eq_ignore_ascii_case("https");
        let authority = rest.split(['/', '?', '#']).next()?;
        let authority = authority.rsplit('@').next()?;
        let (host, port) = match authority.strip_prefix('[') {
            Some(address) => {
                let (address, rest) = address.split_once(']')?;
                (address, rest.strip_prefix(':'))
            }
            None => match authority.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (authority, None),
            },
        };
        let port = match port {
            Some(port) => port.parse().ok()?,
            None if is_encrypted => 443,
            None => 80,
        };
        Some(Self { is_encrypted, host, port })
    }
}

/// How a server is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// Without a proxy; in spite of a variable, if there is one.
    Direct(Option<Unused>),
    /// Through a proxy, which the option or the variable of this name sets.
    Through { proxy: Proxy, origin: &'static str },
}

/// A proxy that is set and not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unused {
    /// The proxy's variable is for encrypted connections.
    NotEncrypted { variable: &'static str },
    /// The other variable names the host.
    Excepted { variable: &'static str, by: &'static str },
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotEncrypted { variable } => {
                write!(f, "{variable} is set but not used: it is for wss://, this is ws://")
            }
            Self::Excepted { variable, by } => {
                write!(f, "{variable} is set but not used: {by} names the host")
            }
        }
    }
}

/// Chooses the proxy for a server.
///
/// # Errors
/// Returns an error of usage if what is needed is not the URL of a proxy. It shows no credentials.
pub(super) fn choose(
    option: Option<&ProxyUrl>,
    target: Target<'_>,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Choice, CliError> {
    let through = |proxy: Result<Proxy, ProxyError>, origin| match proxy {
        Ok(proxy) => Ok(Choice::Through { proxy, origin }),
        Err(error) => Err(CliError::usage(format!("{origin} cannot be used")).because(error)),
    };
    if let Some(ProxyUrl(proxy)) = option {
        return through(proxy.clone(), OPTION);
    }
    let first =
        |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, variable(name)?)));
    let Some((origin, url)) = first(PROXY_VARIABLES) else { return Ok(Choice::Direct(None)) };
    if !target.is_encrypted {
        return Ok(Choice::Direct(Some(Unused::NotEncrypted { variable: origin })));
    }
    match first(EXCEPTION_VARIABLES) {
        Some((by, list)) if exceptions::name(&list, target.host, target.port) => {
            Ok(Choice::Direct(Some(Unused::Excepted { variable: origin, by })))
        }
        _ => through(Proxy::parse(&url), origin),
    }
}

#[cfg(test)]
mod tests {
    use kite_conn::ErrorChain;

    use super::*;
    use crate::exit::Status;

    const SECURE: Target<'_> = Target { is_encrypted: true, host: "ws.kite.trade", port: 443 };
    const PLAIN: Target<'_> = Target { is_encrypted: false, host: "127.0.0.1", port: 8765 };

    fn choice(
        option: Option<&str>,
        variables: &[(&str, &str)],
        target: Target<'_>,
    ) -> Result<String, CliError> {
        let option = option.map(|url| url.parse().unwrap());
        let variable = |name: &str| {
            let found = variables.iter().find(|(set, _)| *set == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        Ok(match choose(option.as_ref(), target, variable)? {
            Choice::Direct(None) => "direct".to_owned(),
            Choice::Direct(Some(unused)) => unused.to_string(),
            Choice::Through { proxy, origin } => format!("{proxy} by {origin}"),
        })
    }

    #[test]
    fn the_option_precedes_the_variables_and_holds_for_every_server() {
        let both = [("HTTPS_PROXY", "http://b:2"), ("NO_PROXY", "*")];
        for target in [SECURE, PLAIN] {
            let chosen = choice(Some("http://u:p@a:1"), &both, target).unwrap();
            assert_eq!(chosen, "http://…@a:1 by --proxy");
        }
    }

    #[test]
    fn a_variable_holds_for_encrypted_connections_unless_the_host_is_excepted() {
        let set = ("HTTPS_PROXY", "b:2");
        let chosen = |variables: &[_], target| choice(None, variables, target).unwrap();
        assert_eq!(chosen(&[], SECURE), "direct");
        assert_eq!(chosen(&[set], SECURE), "http://b:2 by HTTPS_PROXY");
        let lower = ("https_proxy", "http://c:3");
        assert_eq!(chosen(&[set, lower], SECURE), "http://c:3 by https_proxy");
        assert_eq!(
            chosen(&[set], PLAIN),
            "HTTPS_PROXY is set but not used: it is for wss://, this is ws://"
        );
        assert_eq!(
            chosen(&[set, ("no_proxy", "kite.trade")], SECURE),
            "HTTPS_PROXY is set but not used: no_proxy names the host"
        );
        assert_eq!(
            chosen(&[set, ("NO_PROXY", "zerodha.com")], SECURE),
            "http://b:2 by HTTPS_PROXY"
        );
        let here = Target { host: "127.0.0.1", ..SECURE };
        assert_eq!(chosen(&[set], here), "http://b:2 by HTTPS_PROXY");
        assert_eq!(chosen(&[("HTTP_PROXY", "b:2"), ("ALL_PROXY", "b:2")], SECURE), "direct");
    }

    #[test]
    fn what_is_not_a_proxy_is_an_error_of_usage_without_its_credentials() {
        for url in ["socks5://u:s3cr3t@h:1", "http://u:s3cr3t@h", "http://u:s3 cr3t@h:1", "x"] {
            for error in [
                choice(Some(url), &[], SECURE).unwrap_err(),
                choice(None, &[("HTTPS_PROXY", url)], SECURE).unwrap_err(),
            ] {
                assert_eq!(error.status(), Status::Usage);
                let text = format!("{} {error:?}", ErrorChain(&error));
                assert!(!text.contains("s3"), "{text}");
            }
            assert!(choice(None, &[("HTTPS_PROXY", url)], PLAIN).is_ok(), "not needed");
            assert!(!format!("{:?}", url.parse::<ProxyUrl>()).contains("s3"));
        }
    }

    #[test]
    fn the_server_of_a_url_is_found() {
        let of = |url| Target::of_url(url).map(|it| (it.is_encrypted, it.host, it.port));
        assert_eq!(of("https://api.kite.trade/instruments"), Some((true, "api.kite.trade", 443)));
        assert_eq!(of("http://u:p@h:81?x"), Some((false, "h", 81)));
        assert_eq!(of("HTTPS://[::1]:8443/a@b"), Some((true, "::1", 8443)));
        assert_eq!(of("http://[::1]"), Some((false, "::1", 80)));
        for none in ["api.kite.trade", "http://h:x/", "http://[::1"] {
            assert_eq!(of(none), None, "{none}");
        }
    }
}
