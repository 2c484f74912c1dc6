//! A gap that has not been reported yet, because its instruments have not all ticked again.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_wire::Mode;
use kite_wire::ist::Day;

use super::gap::{Gap, Missed, VolumeMissed};
use super::instruments::LastTick;
use crate::clock::Stamp;

/// The loss of a socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loss {
    pub(crate) epoch: u32,
    pub(crate) last_heard: Stamp,
    pub(crate) at: Stamp,
    /// The connection that lost it, if its instruments have moved.
    pub(crate) moved_from: Option<usize>,
}

/// A gap from a loss to the first ticks after it.
#[derive(Debug, Clone)]
pub(crate) struct OpenGap {
    loss: Loss,
    up: Option<(u32, Stamp)>,
    resumed: Option<Stamp>,
    instruments: BTreeMap<u32, Instrument>,
    /// Whether ticks are tracked, so that an instrument that has not ticked before is known.
    tracked: bool,
    /// Number of instruments that ticked before the loss and have not ticked since; of all that
    /// have not ticked since, without tracking.
    awaited: usize,
}

#[derive(Debug, Clone, Copy)]
struct Instrument {
    mode: Mode,
    before: Option<LastTick>,
    /// Its first tick after the gap, as long as it has no exchange timestamp, because a
    /// subscription begins in quote mode.
    first: Option<LastTick>,
    volume: Option<VolumeMissed>,
}

impl Instrument {
    fn is_awaited(&self, tracked: bool) -> bool {
        self.volume.is_none() && (self.before.is_some() || !tracked)
    }
}

impl OpenGap {
    /// Opens the gap of a loss. `instruments` have their mode and their last tick before it.
    pub(crate) fn new(
        loss: Loss,
        tracked: bool,
        instruments: impl Iterator<Item = (u32, Mode, Option<LastTick>)>,
    ) -> Self {
        let instrument =
            |(token, mode, before)| (token, Instrument { mode, before, first: None, volume: None });
        let (up, resumed) = (None, None);
        let instruments = instruments.map(instrument).collect();
        let mut gap = Self { loss, up, resumed, instruments, tracked, awaited: 0 };
        gap.count_awaited();
        gap
    }

    /// Records that a socket can receive the instruments from now on; those that are no longer
    /// `desired` are not awaited.
    pub(crate) fn on_up(&mut self, epoch: u32, up: Stamp, desired: &BTreeMap<u32, Mode>) {
        self.up = Some((epoch, up));
        let gone = self.instruments.keys().copied().filter(|token| !desired.contains_key(token));
        for token in gone.collect::<Vec<_>>() {
            self.on_unsubscribed(token);
        }
    }

    /// Records that an instrument is no longer subscribed.
    pub(crate) fn on_unsubscribed(&mut self, token: u32) {
        self.resolve(token, VolumeMissed::Unsubscribed);
    }

    fn resolve(&mut self, token: u32, volume: VolumeMissed) {
        let Some(instrument) = self.instruments.get_mut(&token) else { return };
        if instrument.volume.is_none() {
            self.awaited -= usize::from(instrument.is_awaited(self.tracked));
            instrument.volume = Some(volume);
        }
    }

    /// Records a tick; it has no content if ticks are not tracked.
    pub(crate) fn on_tick(&mut self, token: u32, after: Option<LastTick>, received: Stamp) {
        let Some(instrument) = self.instruments.get_mut(&token) else { return };
        self.resumed.get_or_insert(received);
        if instrument.volume.is_some() {
            return;
        }
        let Some(after) = after else {
            self.resolve(token, VolumeMissed::NotTracked);
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
        let volume = match instrument.before {
            Some(before) => missed(before, after),
            None => VolumeMissed::NeverSeen,
        };
        self.resolve(token, volume);
    }

    /// Returns whether the gap can be reported: nothing is awaited, or the wait since the socket
    /// came up has been long enough.
    pub(crate) fn is_settled(&self, now: Stamp, settle_after: Duration) -> bool {
        let Some((_, up)) = self.up else { return false };
        self.is_resolved()
            || (self.resumed.is_some() && self.awaited == 0)
            || now.since(up) >= settle_after
    }

    /// Returns whether the volume of every instrument has been decided.
    pub(crate) fn is_resolved(&self) -> bool {
        self.instruments.values().all(|instrument| instrument.volume.is_some())
    }

    /// Returns the instruments whose volume has not been decided, with their modes.
    pub(crate) fn unresolved(&self) -> impl Iterator<Item = (u32, Mode)> {
        let open = self.instruments.iter().filter(|(_, instrument)| instrument.volume.is_none());
        open.map(|(&token, instrument)| (token, instrument.mode))
    }

    /// Removes the part with `tokens` that the connection `from` hands over; `None` if the gap has
    /// none of them.
    pub(crate) fn split_off(&mut self, tokens: &[u32], from: usize) -> Option<Self> {
        let remove = |&token| Some((token, self.instruments.remove(&token)?));
        let instruments: BTreeMap<_, _> = tokens.iter().filter_map(remove).collect();
        if instruments.is_empty() {
            return None;
        }
        self.count_awaited();
        let moved_from = self.loss.moved_from.or(Some(from));
        let mut part = Self { loss: Loss { moved_from, ..self.loss }, instruments, ..*self };
        part.count_awaited();
        Some(part)
    }

    fn count_awaited(&mut self) {
        let tracked = self.tracked;
        self.awaited = self.instruments.values().filter(|it| it.is_awaited(tracked)).count();
    }

    /// Closes the gap with what is known. Returns `None` if no socket has come up since the loss.
    pub(crate) fn report(self) -> Option<Gap> {
        let (epoch, up) = self.up?;
        let tracked = self.tracked;
        let instruments = self.instruments.into_iter().map(|(token, it)| {
            let volume = match (it.volume, it.before, it.first) {
                (Some(volume), ..) => volume,
                _ if !tracked => VolumeMissed::NotTracked,
                (None, Some(before), Some(first)) => missed(before, first),
                (None, Some(_), None) => VolumeMissed::NotBack,
                (None, None, _) => VolumeMissed::NeverSeen,
            };
            Missed { token, mode: it.mode, volume }
        });
        Some(Gap {
            lost_epoch: self.loss.epoch,
            epoch,
            moved_from: self.loss.moved_from,
            last_heard: self.loss.last_heard,
            lost: self.loss.at,
            up,
            resumed: self.resumed,
            instruments: instruments.collect(),
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_change_at_midnight_in_india() {
        // 18:30 UTC on 4 August 2025.
        let midnight = 1_754_332_200;
        let tick =
            |exchange_unix_s| LastTick { volume: Some(5), exchange_unix_s, day: 0, moved: true };
        assert_eq!(missed(tick(midnight - 1), tick(midnight)), VolumeMissed::OtherDay);
        assert_eq!(missed(tick(midnight), tick(midnight + 86_399)), VolumeMissed::Known(0));
    }
}
