//! The ends of outages that an error has named and no gap does.
//!
//! A gap names what the lost socket had. Instruments that were subscribed during the outage are in
//! none, nor are those of a socket that was silent and never lost.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use kite_manager::Stamp;

use super::texts::{self, Notice};
use crate::changes::ClientId;
use crate::groups::Groups;
use crate::outage::{Outage, Owed};

/// How long a gap may take to be reported: until a frame is received `silence_threshold`, by default
/// 10 s, after the handshake, and some more.
pub(super) const GAP_WITHIN: Duration = Duration::from_secs(15);

/// The ends that clients have not been sent.
#[derive(Debug, Default)]
pub(super) struct Ends(Vec<End>);

#[derive(Debug)]
struct End {
    /// The connection that was out and is up again; `None` if the instruments have left it.
    slot: Option<usize>,
    from: Stamp,
    to: Stamp,
    /// When it is sent for what no gap has named until then.
    due: Instant,
    owed: Owed,
}

impl Ends {
    /// Adds the end of an outage, if any client is owed one.
    pub(super) fn add(
        &mut self,
        slot: Option<usize>,
        from: Stamp,
        to: Stamp,
        due: Instant,
        owed: Owed,
    ) {
        if !owed.is_empty() {
            self.0.push(End { slot, from, to, due, owed });
        }
    }

    /// Leaves out the instruments of a gap. What is left of the connection whose reconnect it is, if
    /// it is one, is in no gap.
    pub(super) fn on_gap(
        &mut self,
        reconnected: Option<usize>,
        tokens: &BTreeSet<u32>,
        now: Instant,
    ) {
        for end in &mut self.0 {
            settle(&mut end.owed, tokens);
            if reconnected.is_some() && end.slot == reconnected {
                end.due = now;
            }
        }
        self.0.retain(|end| !end.owed.is_empty());
    }

    /// Leaves out instruments, by ascending token, of which a client is sent another error, which
    /// ends later.
    pub(super) fn on_error(&mut self, client: ClientId, tokens: &[u32]) {
        for owed in self.0.iter_mut().filter_map(|end| end.owed.get_mut(&client)) {
            owed.retain(|token| tokens.binary_search(token).is_err());
        }
        self.0.retain(|end| end.owed.values().any(|owed| !owed.is_empty()));
    }

    pub(super) fn leave(&mut self, client: ClientId) {
        self.0.iter_mut().for_each(|end| drop(end.owed.remove(&client)));
        self.0.retain(|end| !end.owed.is_empty());
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.0.iter().map(|end| end.due).min()
    }

    /// Returns the messages that are due. What is on a connection that is out again has not ended,
    /// and is owed by that outage.
    pub(super) fn poll(
        &mut self,
        connections: &mut [Option<Outage>],
        groups: &Groups,
        now: Instant,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        for End { from, to, owed, .. } in self.0.extract_if(.., |end| end.due <= now) {
            let mut by_instruments: BTreeMap<_, Vec<ClientId>> = BTreeMap::new();
            for (client, mut tokens) in owed {
                tokens.retain(|token| groups.mode(client, *token).is_some());
                for outage in connections.iter_mut().flatten() {
                    let again: Vec<u32> = tokens.intersection(&outage.tokens).copied().collect();
                    if !again.is_empty() {
                        tokens.retain(|token| !outage.tokens.contains(token));
                        outage.owed.entry(client).or_default().extend(again);
                    }
                }
                if !tokens.is_empty() {
                    by_instruments.entry(tokens).or_default().push(client);
                }
            }
            notices.extend(by_instruments.into_iter().map(|(instruments, clients)| {
                let text = texts::resumed(from, to, &instruments);
                Notice { clients, text }
            }));
        }
        notices
    }
}

/// Leaves out instruments whose end clients are sent otherwise.
pub(super) fn settle(owed: &mut Owed, tokens: &BTreeSet<u32>) {
    owed.retain(|_, owed| {
        owed.retain(|token| !tokens.contains(token));
        !owed.is_empty()
    });
}
