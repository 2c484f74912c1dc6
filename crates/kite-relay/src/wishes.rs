//! What is subscribed upstream: the union of the clients' books and a fixed list.
//!
//! Each instrument is subscribed in the richest mode that any client asks for.
//!
//! - A client's `subscribe` means quote mode, but most clients send a `mode` for the same
//!   instruments right after it. What a `subscribe` raises is therefore held back for
//!   [`WishesConfig::settle`], and sent earlier if a `mode` for the instrument arrives, from any
//!   client: the two are one request upstream.
//! - What a `mode` raises is sent immediately.
//! - A mode that the last client has left is kept for [`WishesConfig::linger`], and so is the
//!   instrument itself. A client that asks for it again in the meantime changes nothing upstream.
//!   What lingers makes room early, the oldest first, if the accounts are full.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use kite_wire::Mode;

use crate::changes::{Cause, Change, Changes};

/// Replaces durations that are too long to add to a clock, which some use for "never".
const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);

/// Limits and times of [`Wishes`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WishesConfig {
    /// Number of instruments that all accounts together can hold. Default: 9,000, as one account
    /// can.
    pub(crate) capacity: usize,
    /// How long an instrument or a mode is kept after the last client has left it. Default: 30 s.
    pub(crate) linger: Duration,
    /// How long a `subscribe` waits for a `mode` that may follow. Default: 250 ms.
    pub(crate) settle: Duration,
}

impl Default for WishesConfig {
    fn default() -> Self {
        let (linger, settle) = (Duration::from_secs(30), Duration::from_millis(250));
        Self { capacity: 9_000, linger, settle }
    }
}

/// A command asks for more instruments than there is room for upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{asked} more instruments asked, {free} of {capacity} free upstream")]
#[non_exhaustive]
pub struct UpstreamFull {
    /// Number of instruments in the command that no client has yet.
    pub asked: usize,
    /// Number of instruments that still fit. Those that linger do not count, because they make
    /// room.
    pub free: usize,
    /// Number of instruments that all accounts together can hold.
    pub capacity: usize,
}

/// Changes to the subscriptions upstream, to be made in the order of the fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Upstream {
    /// Instruments to unsubscribe.
    pub(crate) unsubscribe: Vec<u32>,
    /// Instruments to subscribe, by mode.
    pub(crate) subscribe: BTreeMap<Mode, Vec<u32>>,
    /// Subscribed instruments to switch to another mode, by that mode.
    pub(crate) set_mode: BTreeMap<Mode, Vec<u32>>,
}

impl Upstream {
    /// Returns whether nothing is to be changed.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.unsubscribe.is_empty() && self.subscribe.is_empty() && self.set_mode.is_empty()
    }

    fn add(&mut self, token: u32, from: Option<Mode>, to: Option<Mode>) {
        match (from, to) {
            (Some(_), None) => self.unsubscribe.push(token),
            (None, Some(mode)) => self.subscribe.entry(mode).or_default().push(token),
            (Some(from), Some(to)) if from != to => {
                self.set_mode.entry(to).or_default().push(token);
            }
            _ => {}
        }
    }
}

/// The wishes of all clients, and what is subscribed upstream.
#[derive(Debug)]
pub(crate) struct Wishes {
    config: WishesConfig,
    /// The instruments that a client or the fixed list has, or that are subscribed upstream.
    wishes: HashMap<u32, Wish>,
    /// When each instrument is to be looked at again; at most one entry for each.
    due: BTreeSet<(Instant, u32)>,
    /// The fixed list.
    fixed: BTreeMap<u32, Mode>,
    /// Number of instruments that a client or the fixed list has.
    wished: usize,
    /// Number of instruments subscribed upstream.
    subscribed: usize,
}

/// The wishes for one instrument.
#[derive(Debug, Default)]
struct Wish {
    /// Number of clients by mode; the fixed list counts as one.
    clients: [u32; Mode::ALL.len()],
    /// Until when a mode is kept that no client has any more.
    kept_until: [Option<Instant>; Mode::ALL.len()],
    /// The mode upstream, if subscribed.
    upstream: Option<Mode>,
    /// When the mode upstream rises to the richest of any client, if that is richer.
    raise_at: Option<Instant>,
    /// Its entry in [`Wishes::due`].
    due: Option<Instant>,
}

impl Wishes {
    /// Creates the wishes of no clients. The `fixed` instruments are always subscribed, in at least
    /// these modes; of several modes for one instrument the richest counts.
    ///
    /// # Errors
    /// Returns [`UpstreamFull`] if the fixed instruments do not fit.
    pub(crate) fn new(
        config: WishesConfig,
        fixed: impl IntoIterator<Item = (u32, Mode)>,
        now: Instant,
    ) -> Result<Self, UpstreamFull> {
        let (wishes, due, none) = (HashMap::new(), BTreeSet::new(), BTreeMap::new());
        let mut created = Self { config, wishes, due, fixed: none, wished: 0, subscribed: 0 };
        created.set_fixed(fixed, now)?;
        Ok(created)
    }

    /// Replaces the fixed list, of which several modes for one instrument count as the richest. What
    /// is no longer wished lingers.
    ///
    /// # Errors
    /// Returns [`UpstreamFull`] if the list does not fit beside what clients have; nothing has changed
    /// then.
    pub(crate) fn set_fixed(
        &mut self,
        fixed: impl IntoIterator<Item = (u32, Mode)>,
        now: Instant,
    ) -> Result<(), UpstreamFull> {
        let mut list = BTreeMap::new();
        for (token, mode) in fixed {
            let richest = list.entry(token).or_insert(mode);
            *richest = mode.max(*richest);
        }
        let clients = |token: &u32| self.wishes.get(token).map_or(0, Wish::clients);
        let asked = list.keys().filter(|token| clients(token) == 0).count();
        let freed = self.fixed.keys().filter(|it| clients(it) == 1 && !list.contains_key(it));
        let (free, capacity) = (self.free() + freed.count(), self.config.capacity);
        if asked > free {
            return Err(UpstreamFull { asked, free, capacity });
        }
        let before = std::mem::replace(&mut self.fixed, list.clone());
        for (&token, &from) in before.iter().filter(|(token, _)| !list.contains_key(token)) {
            self.change(&Change { token, from: Some(from), to: None }, Cause::Unsubscribe, now);
        }
        for (token, mode) in list {
            let change = Change { token, from: before.get(&token).copied(), to: Some(mode) };
            self.change(&change, Cause::Mode, now);
        }
        Ok(())
    }

    /// Returns the number of instruments that fit in addition to those that a client or the fixed
    /// list has.
    #[must_use]
    pub(crate) fn free(&self) -> usize {
        self.config.capacity - self.wished
    }

    /// Checks that the instruments of a command fit.
    ///
    /// # Errors
    /// Returns [`UpstreamFull`] if they do not. The command is then to be refused as a whole.
    pub(crate) fn check(&self, changes: &Changes) -> Result<(), UpstreamFull> {
        let is_new = |change: &&Change| {
            change.to.is_some() && self.wishes.get(&change.token).is_none_or(|it| !it.is_wished())
        };
        let (asked, free) = (changes.iter().filter(is_new).count(), self.free());
        if asked > free {
            return Err(UpstreamFull { asked, free, capacity: self.config.capacity });
        }
        Ok(())
    }

    /// Applies the changes of one client's book, which [`Wishes::check`] has accepted.
    pub(crate) fn apply(&mut self, changes: &Changes, now: Instant) {
        for change in changes.iter() {
            self.change(change, changes.cause(), now);
        }
    }

    /// Returns what is to be changed upstream now.
    pub(crate) fn poll(&mut self, now: Instant) -> Upstream {
        let mut upstream = Upstream::default();
        while let Some(&(due, token)) = self.due.first()
            && due <= now
        {
            let Some(wish) = self.wishes.get_mut(&token) else { break };
            let before = wish.upstream;
            wish.settle(now);
            upstream.add(token, before, wish.upstream);
            self.subscribed += usize::from(wish.upstream.is_some());
            self.subscribed -= usize::from(before.is_some());
            self.reschedule(token);
        }
        self.make_room(&mut upstream);
        upstream
    }

    /// Returns when to poll next; `None` if not before the next command.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(due, _)| due)
    }

    fn change(&mut self, change: &Change, cause: Cause, now: Instant) {
        let wish = self.wishes.entry(change.token).or_default();
        let was_wished = wish.is_wished();
        wish.change(change, now, &self.config);
        wish.raise(cause, now, &self.config);
        self.wished += usize::from(wish.is_wished());
        self.wished -= usize::from(was_wished);
        self.reschedule(change.token);
    }

    /// Unsubscribes lingering instruments, those that would be unsubscribed first, until the others
    /// fit.
    fn make_room(&mut self, upstream: &mut Upstream) {
        let excess = self.subscribed.saturating_sub(self.config.capacity);
        if excess == 0 {
            return;
        }
        let lingers = |token: &u32| self.wishes.get(token).is_some_and(|wish| !wish.is_wished());
        let oldest = self.due.iter().map(|&(_, token)| token).filter(lingers).take(excess);
        for token in oldest.collect::<Vec<_>>() {
            let Some(wish) = self.wishes.get_mut(&token) else { continue };
            upstream.add(token, wish.upstream.take(), None);
            wish.kept_until = [None; Mode::ALL.len()];
            self.subscribed -= 1;
            self.reschedule(token);
        }
    }

    /// Renews the entry of an instrument in [`Wishes::due`], and removes the instrument if there is
    /// nothing more to know about it.
    fn reschedule(&mut self, token: u32) {
        let Some(wish) = self.wishes.get_mut(&token) else { return };
        let due = wish.next_due();
        if due != wish.due {
            if let Some(before) = std::mem::replace(&mut wish.due, due) {
                self.due.remove(&(before, token));
            }
            self.due.extend(due.map(|due| (due, token)));
        }
        if !wish.is_wished() && wish.upstream.is_none() {
            self.wishes.remove(&token);
        }
    }
}

impl Wish {
    fn is_wished(&self) -> bool {
        self.wished().is_some()
    }

    /// Returns the number of clients in any mode, of which the fixed list is one.
    fn clients(&self) -> u32 {
        self.clients.iter().sum()
    }

    /// Returns the richest mode of any client.
    fn wished(&self) -> Option<Mode> {
        Mode::ALL.into_iter().rev().find(|&mode| self.clients[mode as usize] > 0)
    }

    /// Returns the richest mode that lingers.
    fn kept(&self) -> Option<Mode> {
        Mode::ALL.into_iter().rev().find(|&mode| self.kept_until[mode as usize].is_some())
    }

    /// Counts a client from one mode to another.
    fn change(&mut self, change: &Change, now: Instant, config: &WishesConfig) {
        if change.from == change.to {
            return;
        }
        if let Some(to) = change.to {
            self.clients[to as usize] += 1;
            self.kept_until[to as usize] = None;
        }
        if let Some(from) = change.from {
            let clients = &mut self.clients[from as usize];
            *clients = clients.saturating_sub(1);
            // A mode that was never subscribed upstream does not linger.
            if *clients == 0 && self.upstream >= Some(from) {
                self.kept_until[from as usize] = Some(after(now, config.linger));
            }
        }
    }

    /// Decides when the mode upstream rises, after a change.
    fn raise(&mut self, cause: Cause, now: Instant, config: &WishesConfig) {
        let settled = after(now, config.settle);
        self.raise_at = match cause {
            _ if self.wished() <= self.upstream => None,
            Cause::Mode => Some(now),
            Cause::Subscribe => Some(self.raise_at.map_or(settled, |at| at.min(settled))),
            Cause::Unsubscribe => self.raise_at,
        };
    }

    /// Raises or lowers the mode upstream if it is time.
    fn settle(&mut self, now: Instant) {
        for kept in &mut self.kept_until {
            kept.take_if(|until| *until <= now);
        }
        if self.raise_at.is_some_and(|at| at <= now) {
            self.raise_at = None;
            self.upstream = self.upstream.max(self.wished());
        }
        self.upstream = self.upstream.min(self.wished().max(self.kept()));
    }

    /// Returns when [`Wish::settle`] may change something.
    fn next_due(&self) -> Option<Instant> {
        self.kept_until.iter().copied().chain([self.raise_at]).flatten().min()
    }
}

fn after(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + FAR)
}
