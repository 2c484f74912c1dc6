//! Slows down those who guess credentials.
//!
//! Performs no I/O and reads no clock; the caller passes in the time and waits.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The settings of a [`Throttle`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ThrottleConfig {
    /// Failures of one address within the window that are refused without delay. Default 10.
    pub free_failures: usize,
    /// The window. Default one minute.
    pub window: Duration,
    /// The delay of each further refusal. Default one second.
    pub delay: Duration,
    /// Addresses that are remembered; the one that failed longest ago is forgotten for a new one.
    /// Default 1,024.
    pub max_addresses: usize,
}

impl Default for ThrottleConfig {
    fn default() -> Self {
        Self {
            free_failures: 10,
            window: Duration::from_secs(60),
            delay: Duration::from_secs(1),
            max_addresses: 1_024,
        }
    }
}

/// Counts handshakes with wrong credentials by address.
///
/// Only failures are delayed, so that a program with the right credentials connects without delay
/// from an address that others guess from. IPv6 addresses are counted by their network of 64 bits,
/// which is what one host is given.
#[derive(Debug, Default)]
pub struct Throttle {
    config: ThrottleConfig,
    /// The latest failures of each address, oldest first, at most as many as are free.
    failures: HashMap<IpAddr, VecDeque<Instant>>,
}

impl Throttle {
    /// Creates a throttle.
    #[must_use]
    pub fn new(config: ThrottleConfig) -> Self {
        Self { config, failures: HashMap::new() }
    }

    /// Counts a handshake with wrong credentials; returns the time to wait before it is refused.
    pub fn on_failure(&mut self, address: IpAddr, now: Instant) -> Duration {
        let address = Self::network(address);
        let ThrottleConfig { free_failures, window, delay, max_addresses } = self.config;
        if !self.failures.contains_key(&address) && self.failures.len() >= max_addresses {
            self.forget(now);
        }
        let failures = self.failures.entry(address).or_default();
        while failures.front().is_some_and(|&at| now.saturating_duration_since(at) >= window) {
            failures.pop_front();
        }
        let is_free = failures.len() < free_failures;
        if !is_free {
            failures.pop_front();
        }
        failures.push_back(now);
        if is_free { Duration::ZERO } else { delay }
    }

    /// Returns what an address is counted by: its network, which its host can choose any address
    /// from. That is the address itself for IPv4, also if it is mapped to IPv6.
    #[must_use]
    pub fn network(address: IpAddr) -> IpAddr {
        match address.to_canonical() {
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
            address => address,
        }
    }

    /// Returns the number of addresses that are remembered.
    #[must_use]
    pub fn addresses(&self) -> usize {
        self.failures.len()
    }

    /// Forgets the addresses without recent failures, or else the one that failed longest ago.
    fn forget(&mut self, now: Instant) {
        let window = self.config.window;
        let is_recent = |at: &Instant| now.saturating_duration_since(*at) < window;
        self.failures.retain(|_, failures| failures.back().is_some_and(is_recent));
        if self.failures.len() >= self.config.max_addresses {
            let oldest = self.failures.iter().min_by_key(|(_, failures)| failures.back());
            if let Some((&oldest, _)) = oldest {
                self.failures.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    #[test]
    fn failures_past_the_tenth_in_a_minute_are_delayed() {
        let (mut throttle, start) = (Throttle::default(), Instant::now());
        for count in 0..10 {
            assert_eq!(throttle.on_failure(address(1), start + count * SECOND), Duration::ZERO);
        }
        assert_eq!(throttle.on_failure(address(1), start + 10 * SECOND), SECOND);
        assert_eq!(throttle.on_failure(address(2), start + 10 * SECOND), Duration::ZERO);
        // The ten failures before this one are those from the second on.
        assert_eq!(throttle.on_failure(address(1), start + 60 * SECOND), SECOND);
        assert_eq!(throttle.on_failure(address(1), start + 200 * SECOND), Duration::ZERO);
    }

    #[test]
    fn a_host_cannot_evade_it_by_another_address_of_its_network() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        let mut delay = Duration::ZERO;
        for host in 0..11 {
            let address = Ipv6Addr::new(0x2001, 0xdb8, 0, 7, 0, 0, 0, host);
            delay = throttle.on_failure(address.into(), now);
        }
        assert_eq!(delay, SECOND);
        let other = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 1);
        assert_eq!(throttle.on_failure(other.into(), now), Duration::ZERO);
        let mapped = Ipv6Addr::new(0, 0, 0, 0, 0, 0xffff, 0x0a00, 0x0001);
        for _ in 0..10 {
            throttle.on_failure(mapped.into(), now);
        }
        assert_eq!(throttle.on_failure(address(1), now), SECOND);
    }

    proptest! {
        /// The model counts the failures of the last window.
        #[test]
        fn a_failure_is_delayed_if_ten_preceded_it_within_the_window(
            steps in prop::collection::vec((0_u8..3, 0_u64..20), 1..200),
        ) {
            let (mut throttle, mut now) = (Throttle::default(), Instant::now());
            let mut all: Vec<(u8, Instant)> = Vec::new();
            for (last, seconds) in steps {
                now += Duration::from_secs(seconds);
                let recent = all.iter().filter(|(other, at)| {
                    *other == last && now.duration_since(*at) < 60 * SECOND
                });
                let expected = if recent.count() >= 10 { SECOND } else { Duration::ZERO };
                prop_assert_eq!(throttle.on_failure(address(last), now), expected);
                all.push((last, now));
            }
        }

        #[test]
        fn no_more_addresses_are_remembered_than_configured(
            addresses in prop::collection::vec(any::<u8>(), 1..300),
        ) {
            let config = ThrottleConfig { max_addresses: 5, ..ThrottleConfig::default() };
            let (mut throttle, start) = (Throttle::new(config), Instant::now());
            for (step, &last) in addresses.iter().enumerate() {
                throttle.on_failure(address(last), start + step as u32 * SECOND);
                prop_assert!(throttle.addresses() <= 5);
            }
        }
    }
}
