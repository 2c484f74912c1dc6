//! Where web pages come from.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

/// The origin of web pages, as browsers send it in the `Origin` header: `scheme://host[:port]`.
///
/// ```
/// use kite_server::Origin;
///
/// let origin: Origin = "https://desk.example:443/".parse()?;
/// assert_eq!(origin.to_string(), "https://desk.example");
/// assert!("https://desk.example/path".parse::<Origin>().is_err());
/// # Ok::<(), kite_server::OriginError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin(String);

/// A text is not an origin that a browser sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected scheme://host[:port], without a path")]
#[non_exhaustive]
pub struct OriginError;

impl Origin {
    /// Returns whether this is the value of an `Origin` header. Schemes and hosts do not distinguish
    /// upper and lower case.
    pub(crate) fn is(&self, header: &str) -> bool {
        self.0.eq_ignore_ascii_case(header)
    }
}

impl FromStr for Origin {
    type Err = OriginError;

    /// Parses an origin; a slash at the end and the port that the scheme implies are left out.
    fn from_str(text: &str) -> Result<Self, OriginError> {
        let text = text.strip_suffix('/').unwrap_or(text);
        let (scheme, rest) = text.split_once("://").ok_or(OriginError)?;
        // The last colon of an IPv6 address in brackets is not that of a port.
        let (host, port) = match rest.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (rest, None),
        };
        let is_port =
            |text: &str| text.bytes().all(|it| it.is_ascii_digit()) && text.parse::<u16>().is_ok();
        let is_host = match host.strip_prefix('[') {
            Some(address) => {
                address.strip_suffix(']').is_some_and(|it| it.parse::<Ipv6Addr>().is_ok())
            }
            None => !host.is_empty() && has_only(host, "-._"),
        };
        let is_scheme =
            scheme.starts_with(|it: char| it.is_ascii_alphabetic()) && has_only(scheme, "+-.");
        if !is_scheme || !is_host || !port.is_none_or(is_port) {
            return Err(OriginError);
        }
        let is_implied = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
        Ok(Self(match port.filter(|_| !is_implied) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        }))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn has_only(text: &str, others: &str) -> bool {
    text.chars().all(|it| it.is_ascii_alphanumeric() || others.contains(it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_are_those_that_browsers_send() {
        for (text, expected) in [
            ("https://a.example", "https://a.example"),
            ("https://a.example/", "https://a.example"),
            ("https://a.example:443", "https://a.example"),
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://[::1]:3000", "http://[::1]:3000"),
            ("http://[::1]", "http://[::1]"),
            ("chrome-extension://abc", "chrome-extension://abc"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), expected);
        }
        for text in [
            "foo",
            "*",
            "null",
            "",
            "https://",
            "https://*",
            "https://a.example/b",
            "://a",
            "https://a.example//",
            "https://a.example:x",
            "https://a.example:",
            "https://a b",
            "https://me@a.example",
            "https://a.example?x",
            "http://::1",
            "http://[a]",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(OriginError), "{text}");
        }
    }
}
