//! Faults that await handshakes to come, by account.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use super::Fault;
#[cfg(feature = "tls")]
use super::FaultFamily;

/// What awaits the handshakes of all accounts.
#[derive(Debug, Default)]
pub(crate) struct PendingFaults {
    by_key: Mutex<BTreeMap<String, Pending>>,
}

/// What is known of an account's handshakes, past and to come.
#[derive(Debug, Default)]
struct Pending {
    handshakes: u64,
    queue: VecDeque<Fault>,
    /// Faults of a script by the number of the handshake.
    scripted: BTreeMap<u64, VecDeque<Fault>>,
}

impl Pending {
    /// Counts a handshake and takes the fault that awaits it, if it is one of those wanted; without
    /// such a fault, nothing changes.
    fn take_if(&mut self, is_wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let number = self.handshakes + 1;
        if let Some(mut scripted) = self.scripted.remove(&number) {
            // One fault for each handshake: the others wait their turn.
            while let Some(fault) = scripted.pop_back() {
                self.queue.push_front(fault);
            }
        }
        if !self.queue.front().is_some_and(is_wanted) {
            return None;
        }
        self.handshakes = number;
        self.queue.pop_front()
    }
}

impl PendingFaults {
    fn with<T>(&self, api_key: &str, act: impl FnOnce(&mut Pending) -> T) -> T {
        act(self.by_key.lock().entry(api_key.to_owned()).or_default())
    }

    /// Has a fault await an account's next handshake, after those that wait already.
    pub(crate) fn at_next(&self, api_key: &str, fault: Fault) {
        self.with(api_key, |pending| pending.queue.push_back(fault));
    }

    /// Has a fault await a handshake to come: 1 is the account's next.
    pub(crate) fn at(&self, api_key: &str, number: u64, fault: Fault) {
        self.with(api_key, |pending| {
            let number = pending.handshakes + number.max(1);
            pending.scripted.entry(number).or_default().push_back(fault);
        });
    }

    /// Takes a fault that strikes before the account shows.
    #[cfg(feature = "tls")]
    pub(crate) fn take_tls(&self) -> Option<Fault> {
        let is_tls = |fault: &Fault| fault.kind().family() == FaultFamily::Tls;
        self.by_key.lock().values_mut().find_map(|pending| pending.take_if(is_tls))
    }

    /// Counts a handshake of an account and takes the fault that awaits it.
    pub(crate) fn take(&self, api_key: &str) -> Option<Fault> {
        self.with(api_key, |pending| {
            let fault = pending.take_if(|_| true);
            if fault.is_none() {
                pending.handshakes += 1;
            }
            fault
        })
    }

    /// Has a fault of sockets, whose socket was not let in, await the next.
    pub(crate) fn put_back(&self, api_key: &str, fault: Fault) {
        self.with(api_key, |pending| pending.queue.push_front(fault));
    }

    /// Forgets what awaits handshakes.
    pub(crate) fn clear(&self) {
        for pending in self.by_key.lock().values_mut() {
            pending.queue.clear();
            pending.scripted.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handshake_takes_one_fault_the_scripted_first() {
        let mut pending = Pending::default();
        pending.queue.extend([Fault::HalfOpen, Fault::Stalls]);
        pending.scripted.insert(2, [Fault::HandshakeEnd, Fault::HangingTls].into());
        assert_eq!(pending.take_if(|fault| *fault == Fault::Stalls), None);
        let taken: Vec<_> = std::iter::from_fn(|| pending.take_if(|_| true)).collect();
        let expected = [Fault::HalfOpen, Fault::HandshakeEnd, Fault::HangingTls, Fault::Stalls];
        assert_eq!(taken, expected);
        assert_eq!(pending.handshakes, 4);
    }
}
