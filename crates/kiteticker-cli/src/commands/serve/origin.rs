//! Origins of web pages, as given to `--origin`.

use std::net::Ipv6Addr;

/// Parses an origin as browsers send it: without a path, and without the port that its scheme
/// implies.
pub(super) fn parse(text: &str) -> Result<String, &'static str> {
    const EXPECTED: &str = "expected scheme://host[:port], without a path";
    let text = text.strip_suffix('/').unwrap_or(text);
    let (scheme, rest) = text.split_once("://").ok_or(EXPECTED)?;
    // The last colon of an IPv6 address in brackets is not that of a port.
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let is_port =
        |text: &str| text.bytes().all(|it| it.is_ascii_digit()) && text.parse::<u16>().is_ok();
    let is_host = match host.strip_prefix('[') {
        Some(address) => address.strip_suffix(']').is_some_and(|it| it.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && has_only(host, "-._"),
    };
    let is_scheme =
        scheme.starts_with(|it: char| it.is_ascii_alphabetic()) && has_only(scheme, "+-.");
    if !is_scheme || !is_host || !port.is_none_or(is_port) {
        return Err(EXPECTED);
    }
    let is_implied = matches!((scheme, port), ("http", Some("80")) | ("https", Some("443")));
    Ok(match port.filter(|_| !is_implied) {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    })
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
            assert_eq!(parse(text).as_deref(), Ok(expected), "{text}");
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
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
