//! Detects what was missed between a loss and the ticks after it.
//!
//! The feed has no sequence numbers, so missed trades show only in the volume, which grows over the
//! day. It is recorded per instrument and compared with the snapshot after the reconnect. This
//! module uses neither sockets nor timers; the caller passes in the wall clock.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_wire::ist::Day;
use kite_wire::{Mode, TickBatch};

use super::gap::{Gap, Missed, VolumeMissed};
use super::instruments::{InstrumentWriter, LastTick};
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
    open: Option<OpenGap>,
}

/// The local wall clock, read once a minute and advanced with the monotonic clock.
#[derive(Debug, Default)]
struct Today {
    /// When the clock was read, and its time in nanoseconds since the Unix epoch.
    looked: Option<(Stamp, u64)>,
}

/// A gap that has not been reported yet.
#[derive(Debug)]
struct OpenGap {
    lost_epoch: u32,
    last_heard: Stamp,
    lost: Stamp,
    up: Option<(u32, Stamp)>,
    resumed: Option<Stamp>,
    instruments: BTreeMap<u32, Instrument>,
    /// Number of instruments that ticked before the loss and have not ticked since.
    awaited: usize,
}

#[derive(Debug)]
struct Instrument {
    mode: Mode,
    before: Option<LastTick>,
    /// Its first tick after the gap, as long as it has no exchange timestamp, because a
    /// subscription begins in quote mode.
    first: Option<LastTick>,
    volume: Option<VolumeMissed>,
}

const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Older ticks do not measure lag: after a subscription the server sends each instrument's last
/// tick, no matter how old.
const LONGEST_LAG_S: u64 = 60;

impl GapTracker {
    pub(crate) fn new(
        instruments: Option<InstrumentWriter>,
        settle_after: Duration,
        wall_clock: fn() -> SystemTime,
    ) -> Self {
        Self {
            instruments,
            settle_after,
            wall_clock,
            today: Today::default(),
            exchange_lag_s: None,
            open: None,
        }
    }

    /// Records the loss of a socket that carried `subscribed`. If the previous gap is still open,
    /// closes it with what is known and returns it.
    pub(crate) fn on_lost(
        &mut self,
        lost_epoch: u32,
        last_heard: Stamp,
        lost: Stamp,
        subscribed: BTreeMap<u32, Mode>,
    ) -> Option<Gap> {
        let before = self.settle();
        if let Some(instruments) = &mut self.instruments {
            instruments.retain(&subscribed);
        }
        let tracked = self.instruments.as_ref();
        let instrument = |(token, mode)| {
            let before = tracked.and_then(|tracked| tracked.last_tick(token));
            (token, Instrument { mode, before, first: None, volume: None })
        };
        let instruments: BTreeMap<_, _> = subscribed.into_iter().map(instrument).collect();
        let awaited = match tracked {
            Some(_) => instruments.values().filter(|it| it.before.is_some()).count(),
            None => instruments.len(),
        };
        let (up, resumed) = (None, None);
        self.open =
            Some(OpenGap { lost_epoch, last_heard, lost, up, resumed, instruments, awaited });
        before
    }

    /// Handles the handshake of the next socket; `desired` is the set being subscribed on it.
    /// Returns the gap if there is nothing to wait for.
    pub(crate) fn on_up(
        &mut self,
        epoch: u32,
        up: Stamp,
        desired: &BTreeMap<u32, Mode>,
    ) -> Option<Gap> {
        let is_tracked = self.instruments.is_some();
        // The machine may have slept past midnight, so read the clock again.
        self.today.looked = None;
        let open = self.open.as_mut()?;
        open.up = Some((epoch, up));
        let gone = open.instruments.iter_mut().filter(|(token, _)| !desired.contains_key(token));
        for (_, instrument) in gone {
            instrument.volume = Some(VolumeMissed::Unsubscribed);
            open.awaited -= usize::from(!is_tracked || instrument.before.is_some());
        }
        let all_gone = open.instruments.values().all(|instrument| instrument.volume.is_some());
        if all_gone { self.settle() } else { None }
    }

    /// Handles a frame, with or without ticks. Returns the gap if this frame completes it.
    pub(crate) fn on_frame(&mut self, ticks: &TickBatch, received: Stamp) -> Option<Gap> {
        self.exchange_lag_s = None;
        if let Some(instruments) = &mut self.instruments
            && !ticks.is_empty()
        {
            let unix_s = self.today.unix_s(received, self.wall_clock);
            let day = Day::at_unix_s(unix_s).unix_days().unsigned_abs();
            let mut newest_unix_s = 0;
            let mut newest =
                |tick: LastTick| newest_unix_s = tick.exchange_unix_s.max(newest_unix_s);
            match &mut self.open {
                None => {
                    instruments.on_frame(ticks, received, day, |_, tick| newest(tick));
                }
                Some(open) => {
                    instruments.on_frame(ticks, received, day, |token, tick| {
                        newest(tick);
                        open.on_tick(token, Some(tick));
                    });
                }
            }
            let lag_s = unix_s.saturating_sub(u64::from(newest_unix_s));
            self.exchange_lag_s = Some(lag_s).filter(|lag_s| *lag_s <= LONGEST_LAG_S);
        } else if let Some(open) = &mut self.open {
            for packet in ticks.packets() {
                open.on_tick(packet.instrument_token(), None);
            }
        }
        self.settle_in_time(ticks, received)
    }

    /// Returns how many seconds after its newest exchange timestamp the last frame was received.
    pub(crate) fn exchange_lag_s(&self) -> Option<u64> {
        self.exchange_lag_s
    }

    fn settle_in_time(&mut self, ticks: &TickBatch, received: Stamp) -> Option<Gap> {
        let open = self.open.as_mut()?;
        let (_, up) = open.up?;
        if !ticks.is_empty() {
            open.resumed.get_or_insert(received);
        }
        let all_are_back = open.resumed.is_some() && open.awaited == 0;
        let has_settled = all_are_back || received.since(up) >= self.settle_after;
        if has_settled { self.settle() } else { None }
    }

    /// Closes the gap with what is known. Returns `None` if no gap is open or no socket has come up
    /// since.
    pub(crate) fn settle(&mut self) -> Option<Gap> {
        let open = self.open.take()?;
        let (epoch, up) = open.up?;
        let is_tracked = self.instruments.is_some();
        let instruments = open.instruments.into_iter().map(|(token, it)| {
            let volume = match (it.volume, it.before, it.first) {
                (Some(volume), ..) => volume,
                _ if !is_tracked => VolumeMissed::NotTracked,
                (None, Some(before), Some(first)) => missed(before, first),
                (None, Some(_), None) => VolumeMissed::NotBack,
                (None, None, _) => VolumeMissed::NeverSeen,
            };
            Missed { token, mode: it.mode, volume }
        });
        Some(Gap {
            lost_epoch: open.lost_epoch,
            epoch,
            last_heard: open.last_heard,
            lost: open.lost,
            up,
            resumed: open.resumed,
            instruments: instruments.collect(),
        })
    }
}

impl OpenGap {
    fn on_tick(&mut self, token: u32, after: Option<LastTick>) {
        let Some(instrument) = self.instruments.get_mut(&token) else { return };
        if instrument.volume.is_some() {
            return;
        }
        let Some(after) = after else {
            instrument.volume = Some(VolumeMissed::NotTracked);
            self.awaited -= 1;
            return;
        };
        // The volume is that of the first tick; the time may be from a later one.
        let first = *instrument.first.get_or_insert(after);
        let time_is_pending = instrument.mode == Mode::Full
            && instrument.before.is_some_and(|before| before.exchange_unix_s != 0)
            && after.exchange_unix_s == 0;
        if time_is_pending {
            return;
        }
        let after = LastTick { volume: first.volume, ..after };
        instrument.volume = Some(match instrument.before {
            Some(before) => missed(before, after),
            None => VolumeMissed::NeverSeen,
        });
        self.awaited -= usize::from(instrument.before.is_some());
    }
}

/// Compares an instrument's last tick before a gap with the first after it.
fn missed(before: LastTick, after: LastTick) -> VolumeMissed {
    let (Some(volume_before), Some(volume_after)) = (before.volume, after.volume) else {
        return VolumeMissed::NotCarried;
    };
    // The exchange timestamp if both have one, because outside market hours the server answers
    // every subscription with the previous trading day's last tick.
    let (same_day, certain) = match (before.exchange_unix_s, after.exchange_unix_s) {
        (0, _) | (_, 0) => (before.day == after.day, before.moved),
        (before, after) => (Day::at_unix_s(before.into()) == Day::at_unix_s(after.into()), true),
    };
    match volume_after.checked_sub(volume_before) {
        _ if !same_day => VolumeMissed::OtherDay,
        Some(0) => VolumeMissed::Known(0),
        Some(volume) if certain => VolumeMissed::Known(volume),
        Some(_) => VolumeMissed::UnknownDay,
        None => VolumeMissed::Fell,
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
