//! Detects what was missed between a loss and the ticks after it.
//!
//! The feed has no sequence numbers, so missed trades show only in the volume, which grows over the
//! day. It is recorded per instrument and compared with the snapshot after the reconnect. This
//! module uses neither sockets nor timers; the caller passes in the wall clock.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_wire::ist::Day;
use kite_wire::{Mode, TickBatch};

use super::gap::Gap;
use super::handover::{Handover, Unsettled};
use super::instruments::{InstrumentWriter, LastTick};
use super::open_gap::{Loss, OpenGap};
use crate::clock::Stamp;

/// Records the tick data needed to report gaps on one connection, and turns losses into gaps.
#[derive(Debug)]
pub(crate) struct GapTracker {
    /// Statistics of each instrument; `None` if they are not tracked.
    instruments: Option<InstrumentWriter>,
    /// Time to wait for instruments after the handshake.
    settle_after: Duration,
    wall_clock: fn() -> SystemTime,
    today: Today,
    /// Exchange lag of the last frame, in seconds.
    exchange_lag_s: Option<u64>,
    /// The gaps that wait for ticks on the current socket.
    open: Vec<OpenGap>,
    /// The gaps to report.
    settled: VecDeque<Gap>,
    /// The gaps that wait for a socket.
    unsettled: Arc<Unsettled>,
}

/// The local wall clock, read once a minute and advanced with the monotonic clock.
#[derive(Debug, Default)]
struct Today {
    /// When the clock was read, and its time in nanoseconds since the Unix epoch.
    looked: Option<(Stamp, u64)>,
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Older ticks do not measure lag: after a subscription the server sends each instrument's last
/// tick, no matter how old.
const LONGEST_LAG_S: u64 = 60;

impl GapTracker {
    pub(crate) fn new(
        instruments: Option<InstrumentWriter>,
        unsettled: Arc<Unsettled>,
        settle_after: Duration,
        wall_clock: fn() -> SystemTime,
    ) -> Self {
        Self {
            instruments,
            settle_after,
            wall_clock,
            today: Today::default(),
            exchange_lag_s: None,
            open: Vec::new(),
            settled: VecDeque::new(),
            unsettled,
        }
    }

    /// Records the loss of a socket that carried `subscribed`. Gaps that are still open are closed
    /// with what is known; the next gap covers their instruments too.
    pub(crate) fn on_lost(
        &mut self,
        epoch: u32,
        last_heard: Stamp,
        lost: Stamp,
        mut subscribed: BTreeMap<u32, Mode>,
    ) {
        for (token, mode) in self.open.iter().flat_map(OpenGap::unresolved) {
            subscribed.entry(token).or_insert(mode);
        }
        self.settle();
        let mut unsettled = self.unsettled.lock();
        unsettled.retain(&subscribed);
        if let Some(instruments) = &mut self.instruments {
            instruments.on_lost(&subscribed);
        }
        let tracked = self.instruments.as_ref();
        let instruments = subscribed.into_iter().map(|(token, mode)| {
            let here = tracked.and_then(|tracked| tracked.last_tick(token));
            (token, mode, unsettled.last_tick(token, here))
        });
        let loss = Loss { epoch, last_heard, at: lost, moved_from: None };
        let gap = OpenGap::new(loss, tracked.is_some(), instruments);
        unsettled.gaps.push(gap);
    }

    /// Handles the handshake of the next socket; `desired` is the set being subscribed on it.
    pub(crate) fn on_up(&mut self, epoch: u32, up: Stamp, desired: &BTreeMap<u32, Mode>) {
        // The machine may have slept past midnight, so read the clock again.
        self.today.looked = None;
        let gaps = std::mem::take(&mut self.unsettled.lock().gaps);
        gaps.into_iter().for_each(|gap| self.open(gap, epoch, up, desired));
    }

    /// Handles instruments that are subscribed here.
    pub(crate) fn on_subscribed(&mut self, tokens: &[u32]) {
        if let Some(instruments) = &mut self.instruments {
            instruments.on_subscribed(tokens);
        }
    }

    /// Returns the first instrument that ticked on this socket and was not subscribed, once.
    #[inline]
    pub(crate) fn poll_unsubscribed(&mut self) -> Option<u32> {
        self.instruments.as_mut()?.poll_unsubscribed()
    }

    /// Receives what another connection passes on with instruments that it handed over. `epoch` is
    /// the number of the socket if one is open, and `desired` the set of this connection.
    pub(crate) fn on_taken_over(
        &mut self,
        handover: Handover,
        now: Stamp,
        epoch: Option<u32>,
        desired: &BTreeMap<u32, Mode>,
    ) {
        let Handover { gaps, mut last } = handover;
        last.retain(|token, _| desired.contains_key(token));
        let mut unsettled = self.unsettled.lock();
        unsettled.add_elsewhere(last);
        let Some(epoch) = epoch else {
            unsettled.gaps.extend(gaps);
            return;
        };
        drop(unsettled);
        gaps.into_iter().for_each(|gap| self.open(gap, epoch, now, desired));
    }

    /// Handles instruments that are no longer subscribed here.
    pub(crate) fn on_unsubscribed(&mut self, tokens: &[u32]) {
        let mut unsettled = self.unsettled.lock();
        tokens.iter().for_each(|&token| unsettled.forget(token));
        drop(unsettled);
        for gap in &mut self.open {
            tokens.iter().for_each(|&token| gap.on_unsubscribed(token));
        }
        let resolved = self.open.extract_if(.., |gap| gap.is_resolved());
        self.settled.extend(resolved.filter_map(OpenGap::report));
    }

    fn open(&mut self, mut gap: OpenGap, epoch: u32, up: Stamp, desired: &BTreeMap<u32, Mode>) {
        gap.on_up(epoch, up, desired);
        if gap.is_resolved() {
            self.settled.extend(gap.report());
        } else {
            self.open.push(gap);
        }
    }

    /// Handles a frame, with or without ticks.
    pub(crate) fn on_frame(&mut self, ticks: &TickBatch, received: Stamp) {
        self.exchange_lag_s = None;
        if let Some(instruments) = &mut self.instruments
            && !ticks.is_empty()
        {
            let unix_s = self.today.unix_s(received, self.wall_clock);
            let day = Day::at_unix_s(unix_s).unix_days().unsigned_abs();
            let mut newest_unix_s = 0;
            let mut newest =
                |tick: LastTick| newest_unix_s = tick.exchange_unix_s.max(newest_unix_s);
            if self.open.is_empty() {
                instruments.on_frame(ticks, received, day, |_, tick| newest(tick));
            } else {
                let open = &mut self.open;
                instruments.on_frame(ticks, received, day, |token, tick| {
                    newest(tick);
                    open.iter_mut().for_each(|gap| gap.on_tick(token, Some(tick), received));
                });
            }
            let lag_s = unix_s.saturating_sub(u64::from(newest_unix_s));
            self.exchange_lag_s = Some(lag_s).filter(|lag_s| *lag_s <= LONGEST_LAG_S);
        } else if !self.open.is_empty() {
            for packet in ticks.packets() {
                let token = packet.instrument_token();
                self.open.iter_mut().for_each(|gap| gap.on_tick(token, None, received));
            }
        }
        if !self.open.is_empty() {
            self.settle_in_time(received);
        }
    }

    /// Returns how many seconds after its newest exchange timestamp the last frame was received.
    pub(crate) fn exchange_lag_s(&self) -> Option<u64> {
        self.exchange_lag_s
    }

    #[cold]
    fn settle_in_time(&mut self, now: Stamp) {
        let after = self.settle_after;
        let settled = self.open.extract_if(.., |gap| gap.is_settled(now, after));
        self.settled.extend(settled.filter_map(OpenGap::report));
    }

    /// Closes the open gaps with what is known.
    pub(crate) fn settle(&mut self) {
        self.settled.extend(self.open.drain(..).filter_map(OpenGap::report));
    }

    /// Returns whether there is a gap to report.
    #[inline]
    pub(crate) fn has_settled(&self) -> bool {
        !self.settled.is_empty()
    }

    /// Returns the next gap to report.
    pub(crate) fn poll_settled(&mut self) -> Option<Gap> {
        self.settled.pop_front()
    }
}

impl Today {
    /// Returns the Unix seconds at which something was received.
    fn unix_s(&mut self, received: Stamp, wall_clock: fn() -> SystemTime) -> u64 {
        let looked = self.looked.filter(|(looked, _)| received.since(*looked) < LOOK_EVERY);
        let (looked, unix_ns) = looked.unwrap_or_else(|| {
            let unix = wall_clock().duration_since(UNIX_EPOCH).unwrap_or_default();
            (received, u64::try_from(unix.as_nanos()).unwrap_or(u64::MAX))
        });
        self.looked = Some((looked, unix_ns));
        let since = u64::try_from(received.since(looked).as_nanos()).unwrap_or(u64::MAX);
        unix_ns.saturating_add(since) / 1_000_000_000
    }
}

#[cfg(test)]
mod tests;
