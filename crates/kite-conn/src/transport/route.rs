//! Which of a host's addresses is tried first.
//!
//! A server that accepts TCP connections and then refuses or resets them would otherwise be tried
//! for ever, while other addresses work. Addresses are remembered, not positions: resolvers
//! shuffle.

use std::net::SocketAddr;

use parking_lot::Mutex;

/// The address that the last attempt ended at, unless it succeeded.
#[derive(Debug, Default)]
pub(super) struct Route(Mutex<Option<SocketAddr>>);

impl Route {
    /// Sorts addresses into the order to try them: starting after the one tried last, if that
    /// failed.
    pub(super) fn order(&self, addresses: &mut [SocketAddr]) {
        start_after(addresses, *self.0.lock());
    }

    /// Records that an address is being tried.
    pub(super) fn on_try(&self, address: SocketAddr) {
        *self.0.lock() = Some(address);
    }

    /// Records that the attempt succeeded: the next one uses the resolver's order again.
    pub(super) fn on_success(&self) {
        *self.0.lock() = None;
    }
}

/// Rotates addresses so that they start after `last`, if it is among them.
fn start_after(addresses: &mut [SocketAddr], last: Option<SocketAddr>) {
    if let Some(index) = last.and_then(|last| addresses.iter().position(|it| *it == last)) {
        addresses.rotate_left(index + 1);
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
    fn an_attempt_starts_after_the_address_that_failed_last() {
        let route = Route::default();
        assert_eq!(order(&route, &[1, 2, 3]), [1, 2, 3]);
        route.on_try(address(1));
        assert_eq!(order(&route, &[1, 2, 3]), [2, 3, 1]);
        route.on_try(address(2));
        assert_eq!(order(&route, &[1, 2, 3]), [3, 1, 2]);
        route.on_try(address(3));
        assert_eq!(order(&route, &[1, 2, 3]), [1, 2, 3]);
        assert_eq!(order(&route, &[4, 5]), [4, 5]);
        assert!(order(&route, &[]).is_empty());
        route.on_try(address(2));
        route.on_success();
        assert_eq!(order(&route, &[1, 2, 3]), [1, 2, 3]);
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
                route.on_try(address(port));
                let mut ordered = order(&route, &ports);
                prop_assert!(ports.len() == 1 || ordered[0] != port);
                ordered.sort_unstable();
                prop_assert_eq!(&ordered, &ports);
            }
        }
    }
}
