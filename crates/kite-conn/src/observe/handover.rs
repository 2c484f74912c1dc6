//! What a connection knows about instruments that move to another one.
//!
//! While a connection has no socket, its open gaps are behind a lock, so that the part of
//! instruments that move can be taken out of them. While it has one, they belong to its task, and
//! no frame takes the lock.

use std::collections::BTreeMap;

use kite_wire::Mode;
use parking_lot::{Mutex, MutexGuard};

use super::instruments::{Instruments, LastTick};
use super::open_gap::OpenGap;
use crate::clock::Stamp;

/// What one connection passes to another with the instruments that move to it, so that the other
/// can report what they missed; created by [`Connection::hand_over`].
///
/// [`Connection::hand_over`]: crate::Connection::hand_over
#[derive(Debug, Default)]
#[must_use = "the instruments' gap is not reported unless another connection takes them over"]
pub struct Handover {
    /// The parts of the gaps of the former connection.
    pub(super) gaps: Vec<OpenGap>,
    /// Their last ticks, and when each was received.
    pub(super) last: BTreeMap<u32, (Stamp, LastTick)>,
}

impl Handover {
    /// Takes over `tokens` from the connection with the number `from`.
    pub(crate) fn take(
        tokens: &[u32],
        from: usize,
        instruments: &Instruments,
        unsettled: &Unsettled,
    ) -> Self {
        let mut state = unsettled.lock();
        let gaps = state.gaps.iter_mut().filter_map(|gap| gap.split_off(tokens, from)).collect();
        let mut last = instruments.last_ticks(tokens);
        for token in tokens {
            let seed = state.elsewhere.get(token).copied();
            if let Some(newest) = newest(last.get(token).copied(), seed) {
                last.insert(*token, newest);
            }
        }
        Self { gaps, last }
    }
}

/// What a connection has to report and its task does not need while frames are read.
#[derive(Debug, Default)]
pub(crate) struct Unsettled(Mutex<State>);

#[derive(Debug, Default)]
pub(super) struct State {
    /// The gaps that wait for the next socket.
    pub(super) gaps: Vec<OpenGap>,
    /// The last ticks of instruments on the connection they came from.
    elsewhere: BTreeMap<u32, (Stamp, LastTick)>,
}

impl Unsettled {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock()
    }
}

impl State {
    /// Records ticks received by other connections.
    pub(super) fn add_elsewhere(&mut self, last: BTreeMap<u32, (Stamp, LastTick)>) {
        for (token, tick) in last {
            let known = self.elsewhere.get(&token).copied();
            self.elsewhere.extend(newest(Some(tick), known).map(|newest| (token, newest)));
        }
    }

    /// Forgets instruments that are not in `subscribed`.
    pub(super) fn retain(&mut self, subscribed: &BTreeMap<u32, Mode>) {
        self.elsewhere.retain(|token, _| subscribed.contains_key(token));
    }

    /// Forgets an instrument.
    pub(super) fn forget(&mut self, token: u32) {
        self.elsewhere.remove(&token);
    }

    /// Returns the last tick of an instrument on any connection; `here` is the last on this one.
    pub(super) fn last_tick(
        &self,
        token: u32,
        here: Option<(Stamp, LastTick)>,
    ) -> Option<LastTick> {
        newest(here, self.elsewhere.get(&token).copied()).map(|(_, tick)| tick)
    }
}

/// Returns the newer of two ticks of an instrument.
fn newest(
    one: Option<(Stamp, LastTick)>,
    other: Option<(Stamp, LastTick)>,
) -> Option<(Stamp, LastTick)> {
    let (Some(one), Some(other)) = (one, other) else { return one.or(other) };
    let (older, newer) = if one.0 < other.0 { (one, other) } else { (other, one) };
    let (before, tick) = (older.1, newer.1);
    // Each connection notices only the changes between its own ticks.
    let moved = before.day == tick.day && (before.moved || before.volume != tick.volume);
    Some((newer.0, LastTick { moved: tick.moved || moved, ..tick }))
}
