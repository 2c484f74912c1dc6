//! Chooses which of a host's addresses is tried first.
//!
//! An address that does not answer would otherwise cost every reconnect time, and a server that
//! accepts TCP connections and then refuses or resets them would be tried for ever while other
//! addresses work. Addresses are remembered, not positions, because resolvers shuffle. The address
//! that worked last gets no preference over others that have not failed, so that a bad one among
//! them does not hold the connection.

use std::net::SocketAddr;

use parking_lot::Mutex;

/// Number of failed addresses that are remembered, more than a lookup returns.
const REMEMBERED: usize = 32;

/// The addresses that failed or were slow and have not worked since, oldest failure first.
#[derive(Debug, Default)]
pub(super) struct Route(Mutex<Vec<SocketAddr>>);

impl Route {
    /// Sorts addresses into the order to try them: those that have not failed in the resolver's
    /// order, then the others, oldest failure first.
    pub(super) fn order(&self, addresses: &mut [SocketAddr]) {
        let failed = self.0.lock();
        // Addresses that are not found are less than any that are.
        addresses.sort_by_key(|address| failed.iter().position(|it| it == address));
    }

    /// Records that an address failed, or was slow enough for the next one to be tried.
    pub(super) fn on_failure(&self, address: SocketAddr) {
        let mut failed = self.0.lock();
        failed.retain(|it| *it != address);
        failed.push(address);
        if failed.len() > REMEMBERED {
            failed.remove(0);
        }
    }

    /// Records that an address worked.
    pub(super) fn on_success(&self, address: SocketAddr) {
        self.0.lock().retain(|it| *it != address);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    fn order(route: &Route, ports: &[u16]) -> Vec<u16> {
        let mut addresses: Vec<_> = ports.iter().copied().map(address).collect();
        route.order(&mut addresses);
        addresses.iter().map(SocketAddr::port).collect()
    }

    #[test]
    fn addresses_that_failed_come_last() {
        let route = Route::default();
        assert_eq!(order(&route, &[1, 2, 3]), [1, 2, 3]);
        route.on_failure(address(1));
        assert_eq!(order(&route, &[1, 2, 3]), [2, 3, 1]);
        route.on_failure(address(2));
        assert_eq!(order(&route, &[1, 2, 3]), [3, 1, 2]);
        route.on_success(address(3));
        assert_eq!(order(&route, &[1, 2, 3]), [3, 1, 2]);
        assert_eq!(order(&route, &[4, 2, 5]), [4, 5, 2]);
        route.on_failure(address(3));
        assert_eq!(order(&route, &[1, 2, 3]), [1, 2, 3]);
        assert!(order(&route, &[]).is_empty());
        route.on_success(address(2));
        assert_eq!(order(&route, &[1, 2, 3]), [2, 1, 3]);
    }

    #[test]
    fn a_host_whose_addresses_change_uses_bounded_memory() {
        let route = Route::default();
        (0..1_000).for_each(|port| route.on_failure(address(port)));
        assert_eq!(route.0.lock().len(), REMEMBERED);
        assert_eq!(order(&route, &[999, 1]), [1, 999]);
    }

    proptest! {
        #[test]
        fn every_address_keeps_its_turn(
            count in 1..8_u16,
            tries in prop::collection::vec(0..9_u16, 0..20),
        ) {
            let ports: Vec<_> = (1..=count).collect();
            let route = Route::default();
            for port in tries {
                route.on_failure(address(port));
                let mut ordered = order(&route, &ports);
                prop_assert!(ports.len() == 1 || ordered[0] != port);
                ordered.sort_unstable();
                prop_assert_eq!(&ordered, &ports);
            }
        }
    }
}
