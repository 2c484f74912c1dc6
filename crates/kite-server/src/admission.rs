//! Admits sockets, by credentials and by each account's slots, and keeps track of the open ones.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use crate::accounts::Accounts;
use crate::changes::Changes;
use crate::handshake::Upgrade;
use crate::refusal::Refusal;

/// Sockets an API key may have open at Kite, as documented.
pub const MAX_SOCKETS: usize = 3;

/// Time for which a handshake waits for a slot before it is refused, so that a client that drops a
/// socket and immediately opens the next does not depend on the order in which two tasks run.
const SLOT_GRACE: Duration = Duration::from_millis(100);

/// Admits sockets and keeps a handle `H` of the owner's to each open one.
pub struct Admission<H> {
    state: Mutex<AdmissionState<H>>,
    changes: Arc<Changes>,
}

struct AdmissionState<H> {
    accounts: Accounts,
    /// The refusal of all handshakes, if set.
    refusal: Option<Refusal>,
    refused: BTreeMap<u16, u64>,
    accepted: u64,
    /// Sockets that hold a slot, in order of connecting.
    members: BTreeMap<u64, Member<H>>,
    slots_by_key: BTreeMap<String, Slots>,
    /// Dismissed sockets whose tasks have not carried out their last control yet.
    leaving: BTreeSet<u64>,
}

struct Member<H> {
    api_key: String,
    handle: H,
    kick: Arc<Notify>,
}

/// The state of an account's slots, apart from the sockets that hold them.
#[derive(Debug, Default)]
struct Slots {
    /// Sockets admitted so far.
    sockets: u64,
    /// Until when no slot is free, even if sockets have ended.
    held_until: Option<Instant>,
}

/// A newly admitted socket, before its owner has created a handle.
#[derive(Debug)]
#[non_exhaustive]
pub struct Admitted<'a> {
    /// Number of the socket, unique and ascending.
    pub id: u64,
    /// Number of the socket among the account's, from 1.
    pub number: u64,
    /// The API key that opened it.
    pub api_key: &'a str,
    /// The name of its account.
    pub name: &'a str,
}

/// The data that a socket's task receives on admission.
#[derive(Debug)]
pub struct Membership<H, T> {
    /// The socket's slot; freed on drop.
    pub slot: SocketSlot<H>,
    /// Notified when the socket must be dropped, regardless of what its task is doing.
    pub kick: Arc<Notify>,
    /// The owner's data for the task.
    pub owned: T,
}

impl<H> AdmissionState<H> {
    fn has_slot(&self, api_key: &str) -> bool {
        let held_until = self.slots_by_key.get(api_key).and_then(|slots| slots.held_until);
        let is_free =
            |max| self.members.values().filter(|member| member.api_key == api_key).count() < max;
        held_until.is_none_or(|until| until <= Instant::now())
            && self.accounts.max_sockets(api_key).is_none_or(is_free)
    }

    /// Checks an upgrade; returns the name of its account.
    fn check(&self, upgrade: &Upgrade) -> Result<String, Refusal> {
        if let Some(refusal) = &self.refusal {
            return Err(refusal.clone());
        }
        let account = self.accounts.check(&upgrade.api_key, &upgrade.access_token)?;
        if !self.has_slot(&upgrade.api_key) {
            return Err(Refusal::too_many_sockets());
        }
        Ok(account.name().to_owned())
    }
}

impl<H> Admission<H> {
    /// Creates an admission for these accounts. `changes` is notified of everything that changes.
    pub fn new(accounts: Accounts, changes: Arc<Changes>) -> Self {
        let state = AdmissionState {
            accounts,
            refusal: None,
            refused: BTreeMap::new(),
            accepted: 0,
            members: BTreeMap::new(),
            slots_by_key: BTreeMap::new(),
            leaving: BTreeSet::new(),
        };
        Self { state: Mutex::new(state), changes }
    }

    /// Admits a request or returns its refusal. `enter` creates the owner's handle and the data for
    /// the socket's task; it runs before the socket is visible to others.
    ///
    /// A handshake without a free slot waits 100 ms for one, because a client may open its next
    /// socket while the last one is still closing.
    ///
    /// # Errors
    /// Returns the refusal to respond with: that of the request itself, that of all handshakes, or
    /// one for wrong credentials or too many sockets. It is counted.
    ///
    /// # Cancel safety
    /// Cancel safe. No socket is admitted if it is cancelled.
    pub async fn admit<T>(
        self: &Arc<Self>,
        request: &Result<Upgrade, Refusal>,
        enter: impl FnOnce(Admitted<'_>) -> (H, T),
    ) -> Result<Membership<H, T>, Refusal> {
        let answer = match request {
            Ok(upgrade) => {
                let slot = self.changes.until(|| self.state.lock().has_slot(&upgrade.api_key));
                // If no slot is free in time, `try_admit` refuses.
                let _ = timeout(SLOT_GRACE, slot).await;
                self.try_admit(upgrade, enter)
            }
            Err(refusal) => Err(self.state.lock().refusal.clone().unwrap_or(refusal.clone())),
        };
        match &answer {
            Ok(_) => self.changes.notify(),
            Err(refusal) => self.count_refused(refusal),
        }
        answer
    }

    fn try_admit<T>(
        self: &Arc<Self>,
        upgrade: &Upgrade,
        enter: impl FnOnce(Admitted<'_>) -> (H, T),
    ) -> Result<Membership<H, T>, Refusal> {
        let mut state = self.state.lock();
        let name = state.check(upgrade)?;
        let (id, api_key) = (state.accepted, upgrade.api_key.clone());
        state.accepted += 1;
        let slots = state.slots_by_key.entry(api_key.clone()).or_default();
        slots.sockets += 1;
        let admitted = Admitted { id, number: slots.sockets, api_key: &api_key, name: &name };
        let (handle, owned) = enter(admitted);
        let kick = Arc::new(Notify::new());
        state.members.insert(id, Member { api_key, handle, kick: Arc::clone(&kick) });
        let slot = SocketSlot { id, admission: Arc::clone(self) };
        Ok(Membership { slot, kick, owned })
    }

    /// Replaces all accounts, and calls `then` before the next handshake is admitted. Open sockets
    /// stay.
    pub fn set_accounts(&self, accounts: Accounts, then: impl FnOnce()) {
        let mut state = self.state.lock();
        state.accounts = accounts;
        then();
    }

    /// Adds an account, or replaces its token. Open sockets stay.
    pub fn set_token(&self, api_key: String, access_token: String) {
        self.state.lock().accounts.set(api_key, access_token);
    }

    /// Revokes an account's token. Open sockets stay.
    pub fn revoke_token(&self, api_key: &str) {
        self.state.lock().accounts.revoke(api_key);
    }

    /// Refuses all handshakes; `None` ends this.
    pub fn refuse_with(&self, refusal: Option<Refusal>) {
        self.state.lock().refusal = refusal;
    }

    /// Checks whether these credentials open a socket, as [`Accounts::check`] does.
    ///
    /// # Errors
    /// Returns Kite's refusal: 400 for an unknown API key, 403 for a token that is not the key's.
    pub fn check(&self, api_key: &str, access_token: &str) -> Result<(), Refusal> {
        self.state.lock().accounts.check(api_key, access_token).map(|_| ())
    }

    /// Counts a refusal that was not made by [`Admission::admit`].
    pub fn count_refused(&self, refusal: &Refusal) {
        *self.state.lock().refused.entry(refusal.status()).or_insert(0) += 1;
        self.changes.notify();
    }

    /// Returns the number of refused handshakes, by HTTP status.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<u16, u64> {
        self.state.lock().refused.clone()
    }

    /// Returns the number of accepted handshakes.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.state.lock().accepted
    }

    /// Returns the number of sockets that hold a slot.
    #[must_use]
    pub fn open_sockets(&self) -> usize {
        self.state.lock().members.len()
    }

    /// Visits the sockets that hold a slot, in order of connecting: number, API key and handle.
    pub fn visit(&self, mut see: impl FnMut(u64, &str, &H)) {
        for (&id, member) in &self.state.lock().members {
            see(id, &member.api_key, &member.handle);
        }
    }

    /// Returns the account of a socket that holds a slot.
    #[must_use]
    pub fn api_key_of(&self, id: u64) -> Option<String> {
        self.state.lock().members.get(&id).map(|member| member.api_key.clone())
    }

    /// Keeps an account's slots taken until an instant.
    pub fn hold_slots(&self, api_key: &str, until: Instant) {
        let mut state = self.state.lock();
        state.slots_by_key.entry(api_key.to_owned()).or_default().held_until = Some(until);
    }

    /// Frees the slots that are held without a socket.
    pub fn release_slots(&self) {
        for slots in self.state.lock().slots_by_key.values_mut() {
            slots.held_until = None;
        }
    }

    /// Frees every socket's slot, passes its handle to `see` a last time and kicks its task.
    pub fn kick_all(&self, mut see: impl FnMut(&H)) {
        self.dismiss(|member| {
            see(&member.handle);
            member.kick.notify_one();
        });
    }

    /// Frees every socket's slot and passes its handle to `see` a last time.
    pub fn dismiss_all(&self, mut see: impl FnMut(&H)) {
        self.dismiss(|member| see(&member.handle));
    }

    fn dismiss(&self, see: impl FnMut(&Member<H>)) {
        let mut state = self.state.lock();
        let members = std::mem::take(&mut state.members);
        state.leaving.extend(members.keys());
        drop(state);
        members.values().for_each(see);
        self.changes.notify();
    }

    /// Waits until the tasks of all dismissed sockets have carried out what was queued for them.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn until_left(&self) {
        self.changes.until(|| self.state.lock().leaving.is_empty()).await;
    }
}

impl<H> fmt::Debug for Admission<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Admission")
            .field("accounts", &state.accounts)
            .field("open_sockets", &state.members.len())
            .finish_non_exhaustive()
    }
}

/// One of an API key's slots, held by the socket's task; freed on drop.
pub struct SocketSlot<H> {
    id: u64,
    admission: Arc<Admission<H>>,
}

impl<H> SocketSlot<H> {
    /// Returns the number of the socket, unique and ascending.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }
}

impl<H> Drop for SocketSlot<H> {
    fn drop(&mut self) {
        let mut state = self.admission.state.lock();
        let member = state.members.remove(&self.id);
        state.leaving.remove(&self.id);
        drop(state);
        // Outside the lock, because dropping the handle may drop guards.
        drop(member);
        self.admission.changes.notify();
    }
}

impl<H> fmt::Debug for SocketSlot<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SocketSlot").field("id", &self.id).finish_non_exhaustive()
    }
}
