//! What clients are sent when a connection upstream is lost, and when its ticks return.
//!
//! - Once a connection has been down for a second, each client with instruments on it is sent one
//!   `error` text, and so is each client that asks for such an instrument later, also one that has
//!   just reconnected. Connections that are down for the same reason share a text. Another reason
//!   is another text, once.
//! - Each gap is a `message` text to the clients of its instruments, with what was missed.
//! - A client all of whose instruments are on connections that have been down or silent for five
//!   seconds gets no heartbeats, so that it notices by its own means.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use kite_manager::{Gap, Stamp, VolumeMissed};
use kite_server::texts;
use kite_wire::{Mode, readable};
use serde_json::{Value, json};

use crate::changes::{Changes, ClientId};
use crate::groups::{GroupId, Groups};
use crate::outage::{Outage, Reason, named};

/// How much sooner than due an error is sent together with one that is due, so that connections
/// lost within this time of each other are one text.
const SETTLE: Duration = Duration::from_millis(200);

/// How long a connection is down or silent before clients that depend on it alone get no
/// heartbeats.
const DARK_AFTER: Duration = Duration::from_secs(5);

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

/// A text for some clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The clients.
    pub(crate) clients: Vec<ClientId>,
    /// The text frame.
    pub(crate) text: Arc<str>,
}

/// The connections upstream, and which clients know that one is down.
#[derive(Debug)]
pub(crate) struct Losses {
    heartbeats: Heartbeats,
    /// By slot: the number of the connection across all accounts, as in
    /// [`Manager::distribution`](kite_manager::Manager::distribution).
    connections: Vec<Connection>,
}

#[derive(Debug)]
enum Connection {
    Up,
    /// Up, but nothing has been received for [`DARK_AFTER`]. With its instruments.
    Silent(BTreeSet<u32>),
    Down(Outage),
}

impl Losses {
    /// Creates the state of connections that have not opened their first socket, which counts as
    /// down.
    #[must_use]
    pub(crate) fn new(connections: usize, heartbeats: Heartbeats, now: Instant) -> Self {
        let down = || Connection::Down(Outage::new(now, now + DARK_AFTER));
        let connections = std::iter::repeat_with(down).take(connections).collect();
        Self { heartbeats, connections }
    }

    /// Records that a connection has opened a socket.
    pub(crate) fn on_up(&mut self, slot: usize) {
        if let Some(connection) = self.connections.get_mut(slot) {
            *connection = Connection::Up;
        }
    }

    /// Records that a connection has lost its socket. [`Losses::set_placement`] must follow.
    pub(crate) fn on_down(&mut self, slot: usize, now: Instant) {
        let Some(connection) = self.connections.get_mut(slot) else { return };
        let dark_at = match connection {
            Connection::Up => now + DARK_AFTER,
            // Heartbeats that are withheld do not resume.
            Connection::Silent(_) => now,
            Connection::Down(_) => return,
        };
        *connection = Connection::Down(Outage::new(now, dark_at));
    }

    /// Records for how long a connection whose socket is open has received nothing, not even a
    /// heartbeat. [`Losses::set_placement`] must follow.
    pub(crate) fn on_silence(&mut self, slot: usize, silence: Duration) {
        match self.connections.get_mut(slot) {
            Some(connection @ Connection::Up) if silence >= DARK_AFTER => {
                *connection = Connection::Silent(BTreeSet::new());
            }
            Some(connection @ Connection::Silent(_)) if silence < DARK_AFTER => {
                *connection = Connection::Up;
            }
            _ => {}
        }
    }

    /// Sets why a connection is down; [`Losses::poll`] should follow. Does nothing if it is up.
    pub(crate) fn set_reason(&mut self, slot: usize, reason: Reason) {
        if let Some(Connection::Down(outage)) = self.connections.get_mut(slot) {
            outage.set_reason(reason);
        }
    }

    /// Returns whether a connection is down.
    #[must_use]
    pub(crate) fn is_any_down(&self) -> bool {
        self.outages().next().is_some()
    }

    /// Returns whether a connection is down or silent, so that [`Losses::set_placement`] must be
    /// called when instruments are subscribed, unsubscribed or moved.
    #[must_use]
    pub(crate) fn needs_placement(&self) -> bool {
        self.connections.iter().any(|connection| !matches!(connection, Connection::Up))
    }

    /// Sets which instruments each connection has, by slot. Only those of connections that are down
    /// or silent matter.
    pub(crate) fn set_placement(&mut self, placement: &[BTreeMap<u32, Mode>]) {
        for (connection, instruments) in self.connections.iter_mut().zip(placement) {
            match connection {
                Connection::Up => {}
                Connection::Silent(tokens) => *tokens = instruments.keys().copied().collect(),
                Connection::Down(outage) => outage.set_tokens(instruments),
            }
        }
    }

    /// Records that a client's book has changed; [`Losses::poll`] should follow.
    pub(crate) fn on_changes(&mut self, changes: &Changes) {
        for outage in self.outages_mut() {
            let asked = changes.iter().filter(|change| change.to.is_some());
            let asked = asked.map(|change| change.token);
            outage.to_report.extend(asked.filter(|token| outage.tokens.contains(token)));
        }
    }

    /// Forgets a client.
    pub(crate) fn leave(&mut self, client: ClientId) {
        for outage in self.outages_mut() {
            outage.informed.retain(|(informed, _)| *informed != client);
        }
    }

    /// Returns the errors that are due: for each client one for each reason, no matter how many
    /// connections are down.
    pub(crate) fn poll(&mut self, groups: &Groups, now: Instant) -> Vec<Notice> {
        if self.next_deadline().is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let due_by = now + SETTLE;
        let mut errors: BTreeMap<(Reason, ClientId), Vec<u32>> = BTreeMap::new();
        for outage in self.outages_mut().filter(|outage| outage.error_at() <= due_by) {
            let tokens = std::mem::take(&mut outage.to_report);
            for (group, tokens) in instruments_by_group(tokens, groups, |token| *token) {
                for &client in groups.members(group) {
                    if outage.informed.insert((client, outage.reason)) {
                        errors.entry((outage.reason, client)).or_default().extend(&tokens);
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
            text: texts::error(&reason.error(&tokens)).into(),
        };
        by_text.into_iter().map(notice).collect()
    }

    /// Returns when to poll next; `None` if not before the next input.
    #[must_use]
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        let unreported = self.outages().filter(|outage| !outage.to_report.is_empty());
        unreported.map(Outage::error_at).min()
    }

    /// Returns a message for each group of clients that has instruments of a gap, with its own
    /// instruments only.
    #[must_use]
    pub(crate) fn gap(gap: &Gap, groups: &Groups) -> Vec<Notice> {
        let missed = gap.instruments.iter().map(|missed| (missed.token, missed.volume));
        let by_group = instruments_by_group(missed, groups, |(token, _)| *token);
        let notice = |(group, missed): (GroupId, Vec<_>)| {
            let clients = groups.members(group).to_vec();
            Notice { clients, text: gap_message(gap, &missed).into() }
        };
        by_group.into_iter().map(notice).collect()
    }

    /// Returns a message for the clients of instruments of which frames were dropped before the
    /// relay received them.
    #[must_use]
    pub(crate) fn dropped(
        frames: u64,
        ticks: u64,
        instruments: impl IntoIterator<Item = u32>,
        groups: &Groups,
    ) -> Vec<Notice> {
        let data = json!({ "dropped": { "frames": frames, "ticks": ticks } });
        messages(&data, instruments, groups)
    }

    /// Returns a message for the clients of instruments on a connection that has received damaged
    /// frames. Which instruments the unreadable parts were of is not known.
    #[must_use]
    pub(crate) fn damaged(
        frames: u64,
        instruments: impl IntoIterator<Item = u32>,
        groups: &Groups,
    ) -> Vec<Notice> {
        messages(&json!({ "damaged": { "frames": frames } }), instruments, groups)
    }

    /// Returns an error for the clients of instruments that no account has room for.
    #[must_use]
    pub(crate) fn not_subscribed(instruments: &[u32], groups: &Groups) -> Vec<Notice> {
        let by_group = instruments_by_group(instruments.iter().copied(), groups, |token| *token);
        let notice = |(group, instruments): (GroupId, Vec<u32>)| {
            let of = named(&instruments);
            let text = texts::error(&format!("No ticks from {of}: the accounts are full."));
            Notice { clients: groups.members(group).to_vec(), text: text.into() }
        };
        by_group.into_iter().map(notice).collect()
    }

    /// Returns whether a client gets heartbeats now.
    #[must_use]
    pub(crate) fn sends_heartbeats(&self, client: ClientId, groups: &Groups, now: Instant) -> bool {
        let dark = self.connections.iter().filter_map(|connection| match connection {
            Connection::Silent(tokens) => Some(tokens),
            Connection::Down(outage) if outage.dark_at <= now => Some(&outage.tokens),
            Connection::Up | Connection::Down(_) => None,
        });
        let dark: Vec<_> = dark.collect();
        if dark.is_empty() || self.heartbeats == Heartbeats::Always {
            return true;
        }
        let is_live = |token| !dark.iter().any(|tokens| tokens.contains(&token));
        groups.book_len(client) == 0 || groups.book(client).any(|(token, _)| is_live(token))
    }

    fn outages(&self) -> impl Iterator<Item = &Outage> {
        self.connections.iter().filter_map(|connection| match connection {
            Connection::Up | Connection::Silent(_) => None,
            Connection::Down(outage) => Some(outage),
        })
    }

    fn outages_mut(&mut self) -> impl Iterator<Item = &mut Outage> {
        self.connections.iter_mut().filter_map(|connection| match connection {
            Connection::Up | Connection::Silent(_) => None,
            Connection::Down(outage) => Some(outage),
        })
    }
}

/// Returns a message for the clients of these instruments.
fn messages(
    data: &Value,
    instruments: impl IntoIterator<Item = u32>,
    groups: &Groups,
) -> Vec<Notice> {
    let text: Arc<str> = texts::message(data).into();
    let by_group = instruments_by_group(instruments, groups, |token| *token);
    let notice = |group| Notice { clients: groups.members(group).to_vec(), text: text.clone() };
    by_group.into_keys().map(notice).collect()
}

/// Returns which of the instruments each group wants.
fn instruments_by_group<T: Copy>(
    instruments: impl IntoIterator<Item = T>,
    groups: &Groups,
    token: impl Fn(&T) -> u32,
) -> BTreeMap<GroupId, Vec<T>> {
    let mut by_group: BTreeMap<GroupId, Vec<T>> = BTreeMap::new();
    for instrument in instruments {
        for group in groups.wanting(token(&instrument)) {
            by_group.entry(group).or_default().push(instrument);
        }
    }
    by_group
}

/// The payload of the message for a gap.
#[derive(serde::Serialize)]
struct GapData {
    /// When anything was last received before the gap.
    #[serde(with = "readable::unix_ns")]
    from: u64,
    /// When ticks resumed or, if none had when the gap was reported, when the instruments were
    /// subscribed again.
    #[serde(with = "readable::unix_ns")]
    to: u64,
    /// The volume missed of each instrument by token; null if it is not known.
    instruments: BTreeMap<u32, Option<u32>>,
    /// The sum of the volumes; null unless all of them are known.
    volume: Option<u64>,
}

fn gap_message(gap: &Gap, missed: &[(u32, VolumeMissed)]) -> String {
    let known = |volume| match volume {
        VolumeMissed::Known(volume) => Some(volume),
        _ => None,
    };
    let (from, to) = (unix_ms_in_ns(gap.last_heard), unix_ms_in_ns(gap.resumed.unwrap_or(gap.up)));
    let instruments: BTreeMap<_, _> =
        missed.iter().map(|&(token, volume)| (token, known(volume))).collect();
    let volume = instruments.values().map(|volume| volume.map(u64::from)).sum();
    texts::message(&json!({ "gap": GapData { from, to, instruments, volume } }))
}

/// Returns the time of day in nanoseconds, without the fraction of a millisecond.
fn unix_ms_in_ns(stamp: Stamp) -> u64 {
    stamp.to_unix_ns() / 1_000_000 * 1_000_000
}
