//! The texts about what was missed, each for the clients of its instruments.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use kite_manager::{Gap, Stamp, VolumeMissed};
use kite_server::texts;
use kite_wire::readable;
use serde_json::{Value, json};

use crate::changes::ClientId;
use crate::groups::{GroupId, Groups};
use crate::outage::named;

/// A text for some clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    /// The clients.
    pub(crate) clients: Vec<ClientId>,
    /// The text frame.
    pub(crate) text: Arc<str>,
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

/// Returns the message that an outage of instruments has ended, of which no gap states what was
/// missed.
#[must_use]
pub(crate) fn resumed(from: Stamp, to: Stamp, instruments: &BTreeSet<u32>) -> Arc<str> {
    let (from, to) = (unix_ms_in_ns(from), unix_ms_in_ns(to));
    texts::message(&json!({ "resumed": ResumedData { from, to, instruments } })).into()
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
pub(super) fn instruments_by_group<T: Copy>(
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

/// The payload of the message that an outage has ended.
#[derive(serde::Serialize)]
struct ResumedData<'a> {
    /// When anything was last received before.
    #[serde(with = "readable::unix_ns")]
    from: u64,
    /// When the end was noticed.
    #[serde(with = "readable::unix_ns")]
    to: u64,
    /// The client's instruments by token.
    instruments: &'a BTreeSet<u32>,
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
