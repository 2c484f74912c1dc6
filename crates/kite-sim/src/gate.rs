//! Who is let in and who is in: accounts, slots, and what awaits an account's handshakes.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, timeout};

use crate::accounts::Accounts;
use crate::book::Book;
use crate::exchange::lock;
#[cfg(feature = "tls")]
use crate::fault::FaultFamily;
use crate::fault::{FOREVER, Fault};
use crate::handshake::Upgrade;
use crate::ledger::Entry;
use crate::refusal::Refusal;
use crate::replay::Feed;
use crate::server::{Control, Shared};

/// Sockets an API key may have open, as documented by Kite.
pub const MAX_SOCKETS: usize = 3;

/// How long a handshake waits for a slot before it is refused: a client that drops a socket and
/// opens the next at once is not refused for the order in which two tasks run.
const SLOT_GRACE: Duration = Duration::from_millis(100);

/// The state behind the door.
pub(crate) struct Gate {
    pub(crate) accounts: Accounts,
    pub(crate) refusal: Option<Refusal>,
    pub(crate) refused: BTreeMap<u16, u64>,
    /// Sockets that hold a slot, in order of connecting.
    pub(crate) members: BTreeMap<u64, Member>,
    desks: BTreeMap<String, Desk>,
    next_id: u64,
}

pub(crate) struct Member {
    pub(crate) api_key: String,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedSender<Control>,
    pub(crate) kick: Arc<Notify>,
}

/// What is known of an account's handshakes, past and to come.
#[derive(Debug, Default)]
struct Desk {
    handshakes: u64,
    sockets: u64,
    queue: VecDeque<Fault>,
    /// Faults of a script by the number of the handshake.
    scripted: BTreeMap<u64, VecDeque<Fault>>,
    /// Until when no slot is free, whoever has gone.
    held_until: Option<Instant>,
}

impl Desk {
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

impl Gate {
    pub(crate) fn new(accounts: Accounts) -> Self {
        Self {
            accounts,
            refusal: None,
            refused: BTreeMap::new(),
            members: BTreeMap::new(),
            desks: BTreeMap::new(),
            next_id: 0,
        }
    }

    fn desk(&mut self, api_key: &str) -> &mut Desk {
        self.desks.entry(api_key.to_owned()).or_default()
    }

    fn has_slot(&self, api_key: &str) -> bool {
        let held_until = self.desks.get(api_key).and_then(|desk| desk.held_until);
        let taken = self.members.values().filter(|member| member.api_key == api_key);
        held_until.is_none_or(|until| until <= Instant::now()) && taken.count() < MAX_SOCKETS
    }
}

impl Shared {
    pub(crate) fn at_next_handshake(&self, api_key: &str, fault: Fault) {
        lock(&self.gate).desk(api_key).queue.push_back(fault);
    }

    /// Has a fault await a handshake to come: 1 is the account's next.
    pub(crate) fn at_handshake(&self, api_key: &str, number: u64, fault: Fault) {
        let mut gate = lock(&self.gate);
        let desk = gate.desk(api_key);
        let number = desk.handshakes + number.max(1);
        desk.scripted.entry(number).or_default().push_back(fault);
    }

    /// Takes a fault that strikes before the account shows.
    #[cfg(feature = "tls")]
    pub(crate) fn take_tls_fault(&self) -> Option<Fault> {
        let is_tls = |fault: &Fault| fault.kind().family() == FaultFamily::Tls;
        lock(&self.gate).desks.values_mut().find_map(|desk| desk.take_if(is_tls))
    }

    /// Counts a handshake of an account and takes the fault that awaits it.
    pub(crate) fn take_handshake_fault(&self, api_key: &str) -> Option<Fault> {
        let mut gate = lock(&self.gate);
        let desk = gate.desk(api_key);
        let fault = desk.take_if(|_| true);
        if fault.is_none() {
            desk.handshakes += 1;
        }
        fault
    }

    /// Has a fault of sockets, whose socket was not let in, await the next.
    pub(crate) fn put_back(&self, api_key: &str, fault: Fault) {
        lock(&self.gate).desk(api_key).queue.push_front(fault);
    }

    /// Forgets what awaits handshakes.
    pub(crate) fn clear_desks(&self) {
        for desk in lock(&self.gate).desks.values_mut() {
            desk.queue.clear();
            desk.scripted.clear();
            desk.held_until = None;
        }
    }

    /// Keeps an account's slots taken.
    pub(crate) fn hold_slots(&self, api_key: &str, held: Duration) {
        lock(&self.gate).desk(api_key).held_until = Some(Instant::now() + held.min(FOREVER));
    }

    pub(crate) fn count_refused(&self, refusal: &Refusal) {
        *lock(&self.gate).refused.entry(refusal.status()).or_insert(0) += 1;
        self.changed.notify_waiters();
    }

    /// Lets a request in or says how to refuse it.
    pub(crate) async fn admit(
        self: &Arc<Self>,
        upgrade: &Result<Upgrade, Refusal>,
    ) -> Result<Membership, Refusal> {
        let answer = match upgrade {
            Ok(upgrade) => {
                let slot = self.until(|| lock(&self.gate).has_slot(&upgrade.api_key));
                // Without a slot in time, the answer is that there is none.
                let _ = timeout(SLOT_GRACE, slot).await;
                self.try_admit(upgrade)
            }
            Err(refusal) => Err(lock(&self.gate).refusal.clone().unwrap_or(refusal.clone())),
        };
        match &answer {
            Ok(_) => {
                self.counters.connections.add(1);
                self.changed.notify_waiters();
            }
            Err(refusal) => self.count_refused(refusal),
        }
        answer
    }

    fn try_admit(self: &Arc<Self>, upgrade: &Upgrade) -> Result<Membership, Refusal> {
        let mut gate = lock(&self.gate);
        if let Some(refusal) = &gate.refusal {
            return Err(refusal.clone());
        }
        if !gate.accounts.admits(&upgrade.api_key, &upgrade.access_token) {
            return Err(Refusal::auth());
        }
        if !gate.has_slot(&upgrade.api_key) {
            return Err(Refusal::too_many_sockets());
        }
        let id = gate.next_id;
        gate.next_id += 1;
        let desk = gate.desk(&upgrade.api_key);
        desk.sockets += 1;
        let number = desk.sockets;
        let (sender, controls) = mpsc::unbounded_channel();
        let book = Arc::<Mutex<Book>>::default();
        let kick = Arc::new(Notify::new());
        let member = Member {
            api_key: upgrade.api_key.clone(),
            book: Arc::clone(&book),
            controls: sender,
            kick: Arc::clone(&kick),
        };
        gate.members.insert(id, member);
        let entry = self.ledger.open(id, &upgrade.api_key, &book);
        let slot = Slot { id, shared: Arc::clone(self) };
        // From here on, so that whoever is counted as connected has its place in a replay.
        let feed = self.stage.as_ref().map(|stage| stage.join(id, &upgrade.api_key, &book));
        Ok(Membership { slot, number, book, controls, feed, kick, entry })
    }
}

/// What a client's task gets when its client is let in.
pub(crate) struct Membership {
    pub(crate) slot: Slot,
    /// Number of the socket among the account's, from 1.
    pub(crate) number: u64,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedReceiver<Control>,
    pub(crate) feed: Option<Feed>,
    pub(crate) kick: Arc<Notify>,
    pub(crate) entry: Entry,
}

/// One of the sockets an API key may have; free again when dropped.
pub(crate) struct Slot {
    id: u64,
    shared: Arc<Shared>,
}

impl Slot {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let member = lock(&self.shared.gate).members.remove(&self.id);
        // Outside the lock: what the member was still told may end here, guards included.
        drop(member);
        self.shared.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_handshake_takes_one_fault_the_scripted_first() {
        let mut desk = Desk::default();
        desk.queue.extend([Fault::HalfOpen, Fault::Stalls]);
        desk.scripted.insert(2, [Fault::HandshakeEnd, Fault::HangingTls].into());
        assert_eq!(desk.take_if(|fault| *fault == Fault::Stalls), None);
        let taken: Vec<_> = std::iter::from_fn(|| desk.take_if(|_| true)).collect();
        let expected = [Fault::HalfOpen, Fault::HandshakeEnd, Fault::HangingTls, Fault::Stalls];
        assert_eq!(taken, expected);
        assert_eq!(desk.handshakes, 4);
    }
}
