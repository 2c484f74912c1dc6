//! Which hosts a request may be addressed to.
//!
//! A web page can let its own name resolve to 127.0.0.1 and then read what it requests from there
//! (DNS rebinding). The request has that name in its `Host` header, so a server that answers only to
//! its own names is safe from it.

use std::net::{IpAddr, Ipv6Addr};

/// The name or address of a host, in one form for each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    /// In lower case, without a dot at the end.
    Name(String),
}

impl Host {
    /// Parses a host without a port. IPv6 addresses may be in brackets.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let bare = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'))?;
        if let Ok(address) = bare.parse::<Ipv6Addr>() {
            return Some(Self::Address(IpAddr::V6(address).to_canonical()));
        }
        if text.len() != bare.len() {
            return None;
        }
        let name = text.strip_suffix('.').unwrap_or(text);
        if let Ok(address) = name.parse() {
            return Some(Self::Address(address));
        }
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let is_label = |label: &str| !label.is_empty() && label.chars().all(is_plain);
        let is_name = name.len() <= 253 && name.split('.').all(is_label);
        is_name.then(|| Self::Name(name.to_ascii_lowercase()))
    }

    /// Parses a host with or without a port, as in a `Host` header or a URL.
    pub(crate) fn of_authority(text: &str) -> Option<Self> {
        Self::and_port(text).map(|(host, _)| host)
    }

    /// Parses a host with or without a port, and returns both.
    pub(crate) fn and_port(text: &str) -> Option<(Self, Option<u16>)> {
        let number = |port: &str| {
            let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
            port.parse::<u16>().ok().filter(|_| is_number)
        };
        // In brackets or not, an IPv6 address has colons.
        let parts = text.rsplit_once(':').and_then(|(host, port)| Some((host, number(port)?)));
        let (host, port) = match parts {
            Some((host, port)) if host.ends_with(']') || !host.contains(':') => (host, Some(port)),
            _ if text.starts_with('[') || !text.contains(':') => (text, None),
            _ => return None,
        };
        Some((Self::parse(host)?, port))
    }

    fn is_loopback(&self) -> bool {
        match self {
            Self::Address(address) => address.is_loopback(),
            Self::Name(name) => name == "localhost",
        }
    }
}

/// The hosts that a server answers to: those of the loopback interface, and those listed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hosts {
    listed: Vec<Host>,
}

impl Hosts {
    pub(crate) fn new(listed: Vec<Host>) -> Self {
        Self { listed }
    }

    pub(crate) fn accept(&self, host: &Host) -> bool {
        host.is_loopback() || self.listed.contains(host)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn accepts(authority: &str) -> Option<bool> {
        let listed = ["Desk.example.", "192.168.1.5", "2001:db8::7"];
        let hosts = Hosts::new(listed.iter().map(|it| Host::parse(it).unwrap()).collect());
        Host::of_authority(authority).map(|host| hosts.accept(&host))
    }

    #[test]
    fn loopback_names_and_listed_hosts_are_accepted_in_any_spelling() {
        for authority in [
            "localhost",
            "LocalHost:9464",
            "localhost.:9464",
            "127.0.0.1",
            "127.0.0.1:1",
            "127.255.0.9:65535",
            "[::1]",
            "[::1]:9464",
            "[0:0:0:0:0:0:0:1]:9464",
            "[::ffff:127.0.0.1]:9464",
            "desk.example",
            "DESK.EXAMPLE:9464",
            "desk.example.:80",
            "192.168.1.5:9464",
            "[2001:DB8::7]:9464",
        ] {
            assert_eq!(accepts(authority), Some(true), "{authority}");
        }
    }

    #[test]
    fn other_hosts_are_not_accepted() {
        for authority in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "desk.example.evil",
            "sub.desk.example",
            "192.168.1.6:9464",
            "0.0.0.0:9464",
            "[::]:9464",
            "[2001:db8::8]",
            "2130706433",
            "127.1",
            "0x7f.0.0.1",
        ] {
            assert_eq!(accepts(authority), Some(false), "{authority}");
        }
    }

    #[test]
    fn what_is_not_a_host_is_an_error() {
        for authority in [
            "",
            ".",
            ":9464",
            "localhost:",
            "localhost:x",
            "localhost:65536",
            "localhost:+80",
            "localhost:80:80",
            "localhost..",
            "::1",
            "::1:80",
            "[::1",
            "[::1]x",
            "[::1]:",
            "[localhost]",
            "[127.0.0.1]",
            "[fe80::1%25eth0]",
            "user@localhost",
            "http://localhost",
            "localhost/",
            "local host",
            "localhost, evil.example",
            "l\u{f6}calhost",
        ] {
            assert_eq!(accepts(authority), None, "{authority}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_host_or_an_error(text in "\\PC{0,40}|[a-z0-9.:\\[\\]@-]{0,40}") {
            if let Some(host) = Host::of_authority(&text) {
                prop_assert!(!text.contains('@') && !text.contains('/'));
                let is_local = Hosts::default().accept(&host);
                prop_assert!(!is_local || host == Host::Name("localhost".into())
                    || matches!(host, Host::Address(address) if address.is_loopback()));
            }
        }
    }
}
