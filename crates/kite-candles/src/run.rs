//! The many packets that no rule but those of volume and price concerns, summed up until another
//! input follows.
//!
//! They show trades of the newest bar without a new extreme of the day, from the same source and in
//! order. What they change is kept in one cache line per instrument. A property test compares bars
//! with and without runs.

use kite_wire::{FullPacket, Price, Segment};

use crate::bar::Bar;
use crate::counts::Counts;
use crate::moment::Moment;
use crate::snapshot::{Extremes, Seen, Snapshot};

const NS_PER_S: u64 = 1_000_000_000;

/// The number of packets of a bar that can have no more trades in a run.
const NO_TRADES: u32 = u32::MAX;

/// A run of such packets. The default takes none.
#[derive(Debug, Clone, Copy, Default)]
#[repr(align(64))]
pub(crate) struct Run {
    source: u32,
    day: Extremes,
    /// The end of the bar, in Unix seconds; 0 if there is no run.
    end_s: u32,
    /// Packets of the bar that showed a trade, or [`NO_TRADES`].
    packets: u32,
    high: i32,
    low: i32,
    open_interest: u32,
    // The state of the last packet.
    price: i32,
    volume: u32,
    traded_s: u32,
    exchange_s: u32,
    recv_unix_ns: u64,
    last_trade_recv_unix_ns: u64,
}

impl Run {
    /// Starts a run after a packet of this source, which was handled by itself. `takes_trades` is
    /// whether trades of the bar concern the bar alone. Returns a run that takes no packets if the
    /// next one may be an exception anyway.
    pub(crate) fn after(
        now: &Snapshot,
        source: u32,
        seen: &Seen,
        bar: &Bar,
        takes_trades: bool,
        at: &Moment,
    ) -> Self {
        let (Some(volume), Some(day), Some(traded_s), Some(exchange_s), Some(open_interest)) =
            (now.volume, now.extremes, now.traded_s, now.exchange_s, bar.open_interest)
        else {
            return Self::default();
        };
        let is_of_bar = (bar.start.get()..bar.end.get()).contains(&traded_s);
        let is_plain = is_of_bar
            && at.are_plain(traded_s, exchange_s)
            && seen.volume_day == Some(at.day)
            && bar.packets > 0;
        if !is_plain {
            return Self::default();
        }
        Self {
            source,
            day,
            end_s: bar.end.get(),
            packets: if takes_trades { bar.packets } else { NO_TRADES },
            high: bar.high.raw(),
            low: bar.low.raw(),
            open_interest,
            price: now.last_price,
            volume,
            traded_s,
            exchange_s,
            recv_unix_ns: at.unix_ns,
            last_trade_recv_unix_ns: bar.last_recv_unix_ns,
        }
    }

    /// Adds a packet. Returns `false`, and changes nothing, if it is an exception.
    #[inline]
    pub(crate) fn add(
        &mut self,
        packet: &FullPacket,
        source: u32,
        at: &Moment,
        counts: &mut Counts,
    ) -> bool {
        let ohlc = packet.ohlc();
        let day = Extremes { high: ohlc.high.raw(), low: ohlc.low.raw() };
        let traded_s = packet.last_trade_timestamp().map_or(0, |at| at.get());
        let exchange_s = packet.exchange_timestamp().map_or(0, |at| at.get());
        // The run's bar is of one day, so that the trade is of that day and of the day of arrival.
        let is_next = (self.traded_s..self.end_s).contains(&traded_s)
            && self.exchange_s <= exchange_s
            && at.are_plain(traded_s, exchange_s)
            && self.source == source
            && self.day == day;
        let (price, volume) = (packet.last_price().raw(), packet.volume());
        let Some(rise) = volume.checked_sub(self.volume).filter(|_| is_next) else { return false };
        if rise > 0 {
            if self.packets >= NO_TRADES - 1 || at.is_late(self.end_s) {
                return false;
            }
            counts.trades += 1;
            counts.volume = counts.volume.saturating_add(rise.into());
            self.packets += 1;
            self.high = self.high.max(price);
            self.low = self.low.min(price);
            self.open_interest = packet.open_interest();
            (self.price, self.volume) = (price, volume);
            self.last_trade_recv_unix_ns = at.unix_ns;
        } else {
            if price != self.price || at.unix_s < traded_s.into() {
                return false;
            }
            // Open interest belongs to the bar in which the packet arrived.
            if at.unix_s < self.end_s.into() {
                if self.packets == NO_TRADES {
                    return false;
                }
                self.open_interest = packet.open_interest();
            }
        }
        (self.traded_s, self.exchange_s) = (traded_s, exchange_s);
        self.recv_unix_ns = at.unix_ns;
        true
    }

    /// Returns when the last packet was received; `None` if there is no run.
    pub(crate) fn recv_unix_ns(&self) -> Option<u64> {
        (self.end_s > 0).then_some(self.recv_unix_ns)
    }

    /// Adds the trades to their bar; `seen` is the state before the run.
    pub(crate) fn add_to_bar(&self, bar: &mut Bar, seen: &Seen) {
        if self.end_s == 0 || self.packets == NO_TRADES {
            return;
        }
        bar.open_interest = Some(self.open_interest);
        if self.packets == bar.packets {
            return;
        }
        let price = |raw| Price::new(raw, Segment::of_token(bar.instrument_token));
        (bar.close, bar.high, bar.low) = (price(self.price), price(self.high), price(self.low));
        let rise = self.volume.saturating_sub(seen.volume.unwrap_or(self.volume));
        bar.volume = Some(bar.volume.unwrap_or(0).saturating_add(rise.into()));
        bar.packets = self.packets;
        bar.last_recv_unix_ns = self.last_trade_recv_unix_ns;
    }

    /// Changes what was seen to the state of the last packet.
    pub(crate) fn add_to_seen(&self, seen: &mut Seen) {
        seen.last_price = self.price;
        seen.volume = Some(self.volume);
        (seen.traded_s, seen.exchange_s) = (Some(self.traded_s), Some(self.exchange_s));
        seen.at_unix_ns = (u64::from(self.exchange_s) * NS_PER_S).min(self.recv_unix_ns);
    }
}
