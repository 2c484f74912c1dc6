//! What a packet that shows a trade changes in its bar.

use kite_wire::{Price, Segment};

use crate::bar::Bar;
use crate::flags::Flags;
use crate::kept::{Kept, Rules};
use crate::snapshot::{Change, Traded};

/// A packet that showed a trade, compared with the packet before.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trade {
    pub(crate) change: Change,
    pub(crate) price: i32,
    pub(crate) open_interest: Option<u32>,
    pub(crate) recv_unix_ns: u64,
    /// The time of the state before it.
    pub(crate) before_unix_ns: u64,
    pub(crate) by_arrival: bool,
    /// Whether it is the first packet after a gap.
    pub(crate) is_snapshot: bool,
}

impl Trade {
    /// Returns the volume traded since the packet before.
    #[inline]
    pub(crate) fn volume(&self) -> u64 {
        match self.change.traded {
            Traded::Volume(volume) | Traded::NewDay(volume) => volume.into(),
            Traded::NotCarried | Traded::Nothing | Traded::Fell => 0,
        }
    }

    /// Adds the trade to a bar, with its price in the instrument's unit.
    #[inline]
    pub(crate) fn add_to(&self, kept: &mut Kept, price: Price, rules: &Rules) {
        let due_ns = rules.due_ns(kept.bar.end);
        kept.touched = true;
        let bar = &mut kept.bar;
        if bar.packets == 0 {
            (bar.open, bar.high, bar.low) = (price, price, price);
            bar.first_recv_unix_ns = self.recv_unix_ns;
            bar.flags.clear(Flags::CACHED_OPEN);
            bar.flags.set_if(Flags::CACHED_OPEN, self.is_snapshot);
        }
        bar.close = price;
        bar.packets = bar.packets.saturating_add(1);
        bar.last_recv_unix_ns = self.recv_unix_ns;
        bar.open_interest = self.open_interest.or(bar.open_interest);
        self.add_extremes(bar, price);
        if self.change.traded != Traded::NotCarried {
            let live = if self.is_snapshot { 0 } else { self.volume() };
            bar.volume = Some(bar.volume.unwrap_or(0).saturating_add(live));
            bar.missed_volume = bar.missed_volume.saturating_add(self.volume() - live);
        }
        bar.flags.set_if(Flags::GAP, self.is_snapshot);
        bar.flags.set_if(Flags::VOLUME_FELL, self.change.traded == Traded::Fell);
        bar.flags.set_if(Flags::BY_ARRIVAL, self.by_arrival);
        bar.flags.set_if(Flags::LATE, self.recv_unix_ns >= due_ns);
    }

    #[inline]
    fn add_extremes(&self, bar: &mut Bar, price: Price) {
        let mut is_seen_here = true;
        let mut of_day = |raw: Option<i32>| match raw {
            Some(raw) if raw != self.price => {
                is_seen_here = false;
                Price::new(raw, Segment::of_token(bar.instrument_token))
            }
            _ => price,
        };
        let (high, low) = (of_day(self.change.new_high), of_day(self.change.new_low));
        bar.high = bar.high.max(high).max(price);
        bar.low = bar.low.min(low).min(price);
        let is_late = !is_seen_here && self.before_unix_ns < bar.start.unix_ns();
        bar.flags.set_if(Flags::EXTREME_LATE, is_late);
    }
}
