//! Faults queued for future handshakes, by account.

use std::collections::{BTreeMap, VecDeque};

use parking_lot::Mutex;

use super::Fault;
#[cfg(feature = "tls")]
use super::FaultFamily;

/// The queued faults of all accounts.
#[derive(Debug, Default)]
pub(crate) struct PendingFaults {
    by_key: Mutex<BTreeMap<String, Pending>>,
}

/// An account's handshakes so far, and the faults queued for the next ones.
#[derive(Debug, Default)]
struct Pending {
    handshakes: u64,
    queue: VecDeque<Fault>,
    /// Faults of a script by the number of the handshake.
    scripted: BTreeMap<u64, VecDeque<Fault>>,
}

impl Pending {
    /// Counts a handshake and takes its fault, if `is_wanted` accepts it; otherwise changes
    /// nothing.
    fn take_if(&mut self, is_wanted: impl Fn(&Fault) -> bool) -> Option<Fault> {
        let number = self.handshakes + 1;
        if let Some(mut scripted) = self.scripted.remove(&number) {
            // One fault per handshake, so the others stay queued.
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

    /// Queues a fault for an account's next handshake, after those already queued.
    pub(crate) fn at_next(&self, api_key: &str, fault: Fault) {
        self.with(api_key, |pending| pending.queue.push_back(fault));
    }

    /// Queues a fault for a later handshake; 1 is the account's next.
    pub(crate) fn at(&self, api_key: &str, number: u64, fault: Fault) {
        self.with(api_key, |pending| {
            let number = pending.handshakes + number.max(1);
            pending.scripted.entry(number).or_default().push_back(fault);
        });
    }

    /// Takes a fault that strikes before the account is known.
    #[cfg(feature = "tls")]
    pub(crate) fn take_tls(&self) -> Option<Fault> {
        let is_tls = |fault: &Fault| fault.kind().family() == FaultFamily::Tls;
        self.by_key.lock().values_mut().find_map(|pending| pending.take_if(is_tls))
    }

    /// Counts a handshake of an account and takes its fault, if any.
    pub(crate) fn take(&self, api_key: &str) -> Option<Fault> {
        self.with(api_key, |pending| {
            let fault = pending.take_if(|_| true);
            if fault.is_none() {
                pending.handshakes += 1;
            }
            fault
        })
    }

    /// Puts back a socket fault whose socket was refused, for the next handshake.
    pub(crate) fn put_back(&self, api_key: &str, fault: Fault) {
        self.with(api_key, |pending| pending.queue.push_front(fault));
    }

    /// Clears all queued faults.
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
    fn each_handshake_takes_one_fault_scripted_ones_first() {
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
