//! The hosts that `NO_PROXY` names, by the rules of curl.

use std::net::IpAddr;

/// Whether a list of hosts, separated by commas or blanks, names a host.
///
/// An entry is `*` for all hosts; a name, which is also that of all names below it, with or without
/// a dot at its start; an IP address, or a block of them such as `10.0.0.0/8`. Names and addresses
/// may have a port, `localhost:8443` and `[::1]:8443`, and are then for this port only. Other
/// entries name nothing. Names are compared as they are written, without a look-up.
pub(super) fn name(list: &str, host: &str, port: u16) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host);
    let entries = list.split(|c: char| c == ',' || c.is_whitespace());
    entries.filter(|entry| !entry.is_empty()).any(|entry| entry_names(entry, host, port))
}

fn entry_names(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    let (entry, for_port) = split_port(entry);
    if for_port.is_some_and(|for_port| for_port.parse() != Ok(port)) {
        return false;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => block_has(entry, address),
        Err(_) => is_at_or_below(host, entry),
    }
}

/// Separates the port. A bare IPv6 address has none.
fn split_port(entry: &str) -> (&str, Option<&str>) {
    if let Some((address, rest)) = entry.strip_prefix('[').and_then(|it| it.split_once(']')) {
        return (address, rest.strip_prefix(':'));
    }
    match entry.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, Some(port)),
        _ => (entry, None),
    }
}

/// Returns whether a name is `suffix` or ends with it after a dot.
fn is_at_or_below(host: &str, suffix: &str) -> bool {
    let suffix = suffix.strip_prefix('*').unwrap_or(suffix);
    let suffix = suffix.strip_prefix('.').unwrap_or(suffix);
    let suffix = suffix.strip_suffix('.').unwrap_or(suffix);
    let Some(start) = host.len().checked_sub(suffix.len()).filter(|_| !suffix.is_empty()) else {
        return false;
    };
    let Some((before, end)) = host.split_at_checked(start) else { return false };
    end.eq_ignore_ascii_case(suffix) && (before.is_empty() || before.ends_with('.'))
}

/// Returns whether an address is the one written, or in the block written as `address/bits`.
fn block_has(block: &str, address: IpAddr) -> bool {
    let (network, bits) = match block.split_once('/') {
        Some((network, bits)) => (network, Some(bits)),
        None => (block, None),
    };
    let (Ok(network), Ok(bits)) = (network.parse(), bits.map(str::parse::<u32>).transpose()) else {
        return false;
    };
    // As 128 bits with the first at the top, whatever the family.
    let (network, address, width) = match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            (u128::from(network.to_bits()) << 96, u128::from(address.to_bits()) << 96, 32)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => (network.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let bits = bits.unwrap_or(width);
    bits <= width && (network ^ address).checked_shr(128 - bits).unwrap_or(0) == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hosts_are_named_as_in_curl() {
        for (list, host) in [
            ("*", "ws.kite.trade"),
            ("ws.kite.trade", "ws.kite.trade"),
            ("WS.Kite.Trade.", "ws.kite.trade"),
            ("kite.trade", "ws.kite.trade"),
            (".kite.trade", "ws.kite.trade"),
            ("*.kite.trade", "ws.kite.trade"),
            (".kite.trade", "kite.trade"),
            ("a.example, kite.trade:443 ,b", "ws.kite.trade"),
            ("a.example kite.trade", "ws.kite.trade"),
            ("localhost", "localhost"),
            ("127.0.0.1", "127.0.0.1"),
            ("127.0.0.1:443", "127.0.0.1"),
            ("127.0.0.0/8", "127.8.9.1"),
            ("0.0.0.0/0", "10.1.2.3"),
            ("10.1.2.3/32", "10.1.2.3"),
            ("::1", "::1"),
            ("[::1]:443", "::1"),
            ("fd00::/8", "fd12::1"),
        ] {
            assert!(name(list, host, 443), "{list} names {host}");
        }
    }

    #[test]
    fn other_hosts_are_not_named() {
        for (list, host) in [
            ("", "ws.kite.trade"),
            (" , ", "ws.kite.trade"),
            (".", "ws.kite.trade"),
            ("trade.example", "ws.kite.trade"),
            ("e.trade", "ws.kite.trade"),
            ("ws.kite.trade", "kite.trade"),
            ("kite.trade:8443", "ws.kite.trade"),
            ("kite.trade:x", "ws.kite.trade"),
            ("127.0.0.1", "localhost"),
            ("localhost", "127.0.0.1"),
            ("1", "127.0.0.1"),
            ("10.0.0.0/8", "11.0.0.1"),
            ("10.0.0.0/33", "10.0.0.1"),
            ("10.0.0.0/x", "10.0.0.1"),
            ("0.0.0.0/0", "::1"),
            ("::1", "::2"),
        ] {
            assert!(!name(list, host, 443), "{list} does not name {host}");
        }
    }

    proptest! {
        #[test]
        fn any_list_and_host_are_compared(list in any::<String>(), host in any::<String>()) {
            name(&list, &host, 443);
        }

        #[test]
        fn a_host_alone_is_named(host in "[a-z0-9]{1,9}(\\.[a-z]{1,9}){0,3}", port in 1_u16..) {
            prop_assert!(name(&host, &host, port));
            let with_port = format!("x,{}:{}", host, port);
            prop_assert!(name(&with_port, &host, port));
        }
    }
}
