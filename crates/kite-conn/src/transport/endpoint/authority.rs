//! The host and port of a URL, checked.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tokio_rustls::rustls::pki_types::ServerName;

/// `host`, `host:port`, `[v6]` or `[v6]:port`, in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Authority {
    /// Lower case; an IPv6 address has no brackets.
    pub(crate) host: String,
    pub(crate) server_name: ServerName<'static>,
    pub(crate) port: Option<u16>,
}

/// Why a string is not a valid host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum AuthorityError {
    NoHost,
    /// The host up to and including its first invalid character. The rest is left out, because
    /// credentials follow in its place if the host was forgotten.
    Host(String),
    /// The port as written, at most its first six characters.
    Port(String),
}

impl Authority {
    /// Parses an ASCII string.
    pub(crate) fn parse(text: &str) -> Result<Self, AuthorityError> {
        let (host, port) = split(text)?;
        let (host, server_name) = check_host(host)?;
        let port = port.map(parse_port).transpose()?;
        Ok(Self { host, server_name, port })
    }
}

/// Returns the host as in a URL: an IPv6 address in brackets.
pub(crate) fn in_url(host: &str) -> String {
    match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{host}]"),
        _ => host.to_owned(),
    }
}

/// Returns whether a host can only be this machine.
pub(crate) fn is_loopback_host(host: &str) -> bool {
    host == "localhost"
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
        || host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback())
}

fn split(text: &str) -> Result<(&str, Option<&str>), AuthorityError> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| bad_host(text))?;
        let (host, after) = text.split_at(end + 1);
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(bad_host(text)),
        };
    }
    match text.split_once(':') {
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

fn check_host(host: &str) -> Result<(String, ServerName<'static>), AuthorityError> {
    if host.is_empty() {
        return Err(AuthorityError::NoHost);
    }
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let text = match inner {
        Some(inner) => inner.parse::<Ipv6Addr>().map_err(|_| bad_host(host))?.to_string(),
        None if host.bytes().all(is_name_byte) => host.to_ascii_lowercase(),
        None => return Err(bad_host(host)),
    };
    let server_name = ServerName::try_from(text.clone()).map_err(|_| bad_host(host))?;
    Ok((text, server_name))
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn bad_host(host: &str) -> AuthorityError {
    let is_valid = |b: u8| is_name_byte(b) || matches!(b, b'[' | b']' | b':');
    let end = host.bytes().position(|b| !is_valid(b)).map_or(host.len(), |at| at + 1);
    AuthorityError::Host(host[..end].to_owned())
}

fn parse_port(digits: &str) -> Result<u16, AuthorityError> {
    let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse::<u16>().ok());
    match number.flatten() {
        None | Some(0) => Err(AuthorityError::Port(digits.chars().take(6).collect())),
        Some(port) => Ok(port),
    }
}
