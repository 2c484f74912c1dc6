//! What clients are sent when a connection upstream is lost or silent, and when its ticks return.
//!
//! - Once a connection has been down for a second, or has received nothing for five, each client
//!   with instruments on it is sent one `error` text, and so is each client that asks for such an
//!   instrument later, also one that has just reconnected. Connections that are out for the same
//!   reason share a text. Another reason is another text, once.
//! - Each gap is a `message` text to the clients of its instruments, with what was missed.
//! - What an error has named and no gap does, because nothing of it was received before or its
//!   socket was never lost, is named by a `message` text of its own once its ticks can return.
//! - A client all of whose instruments are on connections that have been down or silent for five
//!   seconds gets no heartbeats, so that it notices by its own means.

mod ends;
#[cfg(test)]
mod tests;
mod texts;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kite_manager::{Gap, Stamp};
use kite_server::texts::error;
use kite_wire::Mode;

use crate::changes::{Changes, ClientId};
use crate::groups::Groups;
use crate::outage::{DARK_AFTER, Outage, Reason, SETTLE};
use ends::Ends;
use texts::instruments_by_group;
pub(crate) use texts::{Notice, damaged, dropped, gap, not_subscribed};

/// Whether clients without a live connection upstream get heartbeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Heartbeats {
    /// Not once all connections of their instruments have been down, or have received nothing, not
    /// even a heartbeat, for five seconds.
    #[default]
    WhileFed,
    /// Always.
    Always,
}

/// The connections upstream, and which clients know that one is out.
#[derive(Debug)]
pub(crate) struct Losses {
    heartbeats: Heartbeats,
    /// By slot: the number of the connection across all accounts, as in
    /// [`Manager::distribution`](kite_manager::Manager::distribution). `None` while it is up and
    /// something is received.
    connections: Vec<Option<Outage>>,
    ends: Ends,
}

/// A change that [`Losses::on_silence`] has noticed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SilenceChange {
    /// Nothing has been received for five seconds.
    Began,
    /// Something has been received, after this time.
    Ended(Duration),
}

impl Losses {
    /// Creates the state of connections that have not opened their first socket, which counts as
    /// down since `started`.
    #[must_use]
    pub(crate) fn new(
        connections: usize,
        heartbeats: Heartbeats,
        now: Instant,
        started: Stamp,
    ) -> Self {
        let down = || Some(Outage::unopened(now, started));
        let connections = std::iter::repeat_with(down).take(connections).collect();
        Self { heartbeats, connections, ends: Ends::default() }
    }

    /// Records that a connection has opened a socket.
    pub(crate) fn on_up(&mut self, slot: usize, now: Instant, up: Stamp) {
        if let Some(outage) = self.connections.get_mut(slot).and_then(Option::take) {
            let due = if outage.is_followed_by_gap() { now + ends::GAP_WITHIN } else { now };
            self.ends.add(Some(slot), outage.from, up, due, outage.owed);
        }
    }

    /// Records that a connection has lost its socket, on which something was last received at
    /// `last_heard`. [`Losses::set_placement`] must follow.
    pub(crate) fn on_down(&mut self, slot: usize, now: Instant, last_heard: Stamp) {
        match self.connections.get_mut(slot) {
            Some(Some(outage)) => outage.on_down(now),
            Some(connection) => *connection = Some(Outage::lost(now, last_heard)),
            None => {}
        }
    }

    /// Records that the manager has ended its run, and with it all connections.
    /// [`Losses::set_placement`] must follow.
    pub(crate) fn on_stopped(&mut self, now: Instant, at: Stamp) {
        (0..self.connections.len()).for_each(|slot| self.on_down(slot, now, at));
        self.outages_mut().for_each(Outage::on_stopped);
    }

    /// Records when a connection whose socket is open has last received anything, if only a
    /// heartbeat. [`Losses::set_placement`] must follow a change.
    pub(crate) fn on_silence(
        &mut self,
        slot: usize,
        heard: Stamp,
        at: Stamp,
        now: Instant,
    ) -> Option<SilenceChange> {
        let is_silent = at.since(heard) >= DARK_AFTER;
        let connection = self.connections.get_mut(slot)?;
        match connection {
            None if is_silent => {
                *connection = Some(Outage::silent(now, heard));
                Some(SilenceChange::Began)
            }
            Some(outage) if outage.is_silent() && !is_silent => {
                let outage = connection.take()?;
                self.ends.add(Some(slot), outage.from, heard, now, outage.owed);
                Some(SilenceChange::Ended(heard.since(outage.from)))
            }
            _ => None,
        }
    }

    /// Sets why a connection is down; [`Losses::poll`] should follow. Does nothing if it is up.
    pub(crate) fn set_reason(&mut self, slot: usize, reason: Reason, now: Instant) {
        if let Some(Some(outage)) = self.connections.get_mut(slot)
            && !outage.is_silent()
        {
            outage.set_reason(reason, now);
        }
    }

    /// Returns whether a connection is down.
    #[must_use]
    pub(crate) fn is_any_down(&self) -> bool {
        self.outages().any(|outage| !outage.is_silent())
    }

    /// Returns whether a connection is down or silent, so that [`Losses::set_placement`] must be
    /// called when instruments are subscribed, unsubscribed or moved.
    #[must_use]
    pub(crate) fn needs_placement(&self) -> bool {
        self.outages().next().is_some()
    }

    /// Sets which instruments each connection has, by slot. Only those of connections that are down
    /// or silent matter.
    pub(crate) fn set_placement(
        &mut self,
        placement: &[BTreeMap<u32, Mode>],
        now: Instant,
        at: Stamp,
    ) {
        for (connection, instruments) in self.connections.iter_mut().zip(placement) {
            if let Some(outage) = connection {
                // What has moved to another connection is in a gap of that one, if in any.
                let left = outage.set_tokens(instruments, now);
                self.ends.add(None, outage.from, at, now + ends::GAP_WITHIN, left);
            }
        }
    }

    /// Records that a client's book has changed; [`Losses::poll`] should follow.
    pub(crate) fn on_changes(&mut self, changes: &Changes, now: Instant) {
        let asked = changes.iter().filter(|change| change.to.is_some());
        let asked: Vec<u32> = asked.map(|change| change.token).collect();
        for outage in self.outages_mut() {
            let new = asked.iter().copied().filter(|token| outage.tokens.contains(token));
            let new: Vec<u32> = new.collect();
            outage.report(new, now);
        }
    }

    /// Records a gap that a connection has reported, which the clients of its instruments are sent.
    pub(crate) fn on_gap(&mut self, slot: usize, gap: &Gap, now: Instant) {
        let tokens: BTreeSet<u32> = gap.instruments.iter().map(|missed| missed.token).collect();
        for outage in self.outages_mut() {
            ends::settle(&mut outage.owed, &tokens);
        }
        // The gap of a reconnect names all that the lost socket had.
        self.ends.on_gap(gap.moved_from.is_none().then_some(slot), &tokens, now);
    }

    /// Forgets a client.
    pub(crate) fn leave(&mut self, client: ClientId) {
        for outage in self.outages_mut() {
            outage.informed.retain(|(informed, _)| *informed != client);
            outage.owed.remove(&client);
        }
        self.ends.leave(client);
    }

    /// Returns the texts that are due: the ends of outages, and then for each client one error for
    /// each reason, no matter how many connections are out.
    pub(crate) fn poll(&mut self, groups: &Groups, now: Instant) -> Vec<Notice> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let mut notices = self.ends.poll(&mut self.connections, groups, now);
        if self.outages().filter_map(Outage::error_due).any(|due| due <= now) {
            self.poll_errors(groups, now, &mut notices);
        }
        notices
    }

    fn poll_errors(&mut self, groups: &Groups, now: Instant, notices: &mut Vec<Notice>) {
        let due_by = now + SETTLE;
        let mut errors: BTreeMap<(Reason, ClientId), Vec<u32>> = BTreeMap::new();
        let outages = self.connections.iter_mut().flatten();
        for outage in outages.filter(|outage| outage.error_at <= due_by) {
            let tokens = outage.take_to_report();
            for (group, tokens) in instruments_by_group(tokens, groups, |token| *token) {
                for &client in groups.members(group) {
                    if outage.informed.insert((client, outage.reason)) {
                        errors.entry((outage.reason, client)).or_default().extend(&tokens);
                        outage.owed.entry(client).or_default().extend(&tokens);
                        self.ends.on_error(client, &tokens);
                    }
                }
            }
        }
        let mut by_text: BTreeMap<(Reason, Vec<u32>), Vec<ClientId>> = BTreeMap::new();
        for ((reason, client), mut tokens) in errors {
            tokens.sort_unstable();
            by_text.entry((reason, tokens)).or_default().push(client);
        }
        let notice = |((reason, tokens), clients): ((Reason, Vec<u32>), _)| Notice {
            clients,
            text: error(&reason.error(&tokens)).into(),
        };
        notices.extend(by_text.into_iter().map(notice));
    }

    /// Returns when to poll next; `None` if not before the next input.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let errors = self.outages().filter_map(Outage::error_due);
        errors.chain(self.ends.next_deadline()).min()
    }

    /// Returns whether a client gets heartbeats now.
    #[must_use]
    pub(crate) fn sends_heartbeats(&self, client: ClientId, groups: &Groups, now: Instant) -> bool {
        let dark: Vec<_> = self.outages().filter(|outage| outage.dark_at <= now).collect();
        if dark.is_empty() || self.heartbeats == Heartbeats::Always {
            return true;
        }
        let is_live = |token| !dark.iter().any(|outage| outage.tokens.contains(&token));
        groups.book_len(client) == 0 || groups.book(client).any(|(token, _)| is_live(token))
    }

    fn outages(&self) -> impl Iterator<Item = &Outage> {
        self.connections.iter().flatten()
    }

    fn outages_mut(&mut self) -> impl Iterator<Item = &mut Outage> {
        self.connections.iter_mut().flatten()
    }
}
