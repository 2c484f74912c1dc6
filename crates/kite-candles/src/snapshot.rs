//! The fields of a packet that bars are made from, and what changed from one packet to the next.
//!
//! Kite sends states, not trades: only the difference of two states shows that something traded.

use kite_wire::ist::Day;
use kite_wire::{Packet, PacketView};

/// The state of an instrument in one packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot {
    pub(crate) last_price: i32,
    /// Volume of the day; `None` for an index and in LTP mode.
    pub(crate) volume: Option<u32>,
    /// High and low of the day, if anything has traded.
    pub(crate) extremes: Option<Extremes>,
    pub(crate) open_interest: Option<u32>,
    /// Time of the last trade, or of an index's value, in Unix seconds.
    pub(crate) traded_s: Option<u32>,
    /// Exchange timestamp, in Unix seconds.
    pub(crate) exchange_s: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Extremes {
    pub(crate) high: i32,
    pub(crate) low: i32,
}

impl Snapshot {
    #[inline]
    pub(crate) fn of(packet: Packet<'_>) -> Self {
        let last_price = packet.last_price().raw();
        let volume = packet.volume();
        let ohlc = packet
            .ohlc()
            .filter(|ohlc| volume != Some(0) && (ohlc.high.raw(), ohlc.low.raw()) != (0, 0));
        let extremes = ohlc.map(|ohlc| Extremes { high: ohlc.high.raw(), low: ohlc.low.raw() });
        let (traded, exchange, open_interest) = match packet.view() {
            PacketView::Full(full) => {
                let interest = Some(full.open_interest());
                (full.last_trade_timestamp(), full.exchange_timestamp(), interest)
            }
            PacketView::IndexFull(index) => {
                let at = index.exchange_timestamp();
                (at, at, None)
            }
            _ => (None, None, None),
        };
        let (traded_s, exchange_s) = (traded.map(|at| at.get()), exchange.map(|at| at.get()));
        Self { last_price, volume, extremes, open_interest, traded_s, exchange_s }
    }
}

/// What is known of an instrument from its packets so far.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) last_price: i32,
    pub(crate) volume: Option<u32>,
    /// The day that `volume` belongs to, if it is known.
    pub(crate) volume_day: Option<Day>,
    pub(crate) extremes: Option<Extremes>,
    pub(crate) traded_s: Option<u32>,
    pub(crate) exchange_s: Option<u32>,
    /// The time of the state: the exchange's, else the time of arrival, in Unix nanoseconds.
    pub(crate) at_unix_ns: u64,
}

/// When a packet arrived, as far as its day matters.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    pub(crate) day: Day,
    /// The day of the packet's last trade.
    pub(crate) traded_day: Option<Day>,
    /// Whether the day's trading or pre-open had started, so that volumes are those of the day.
    pub(crate) has_started: bool,
}

/// The volume between two packets of an instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Traded {
    /// The packets carry no volume.
    NotCarried,
    /// The volume is the same, or it is the first one.
    Nothing,
    /// This volume was traded.
    Volume(u32),
    /// This is the volume since a new day has begun.
    NewDay(u32),
    /// It fell within a day.
    Fell,
}

/// The difference of two states.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Change {
    pub(crate) traded: Traded,
    pub(crate) new_high: Option<i32>,
    pub(crate) new_low: Option<i32>,
    /// Whether the price or the time of the last trade changed.
    pub(crate) moved: bool,
}

impl Change {
    /// Returns whether something was traded (of an index: whether there is a new value). A change
    /// of depth or of open interest alone is none.
    #[inline]
    pub(crate) fn is_trade(&self) -> bool {
        match self.traded {
            Traded::Volume(_) | Traded::Fell => true,
            Traded::NewDay(volume) => volume > 0,
            Traded::NotCarried => self.moved || self.has_extreme(),
            Traded::Nothing => self.has_extreme(),
        }
    }

    #[inline]
    pub(crate) fn has_extreme(&self) -> bool {
        self.new_high.is_some() || self.new_low.is_some()
    }
}

impl Seen {
    /// Starts with an instrument's first packet.
    pub(crate) fn first(now: &Snapshot, arrival: Arrival, at_unix_ns: u64) -> Self {
        let mut seen = Self {
            last_price: now.last_price,
            volume: now.volume,
            volume_day: arrival.traded_day,
            extremes: now.extremes,
            traded_s: now.traded_s,
            exchange_s: now.exchange_s,
            at_unix_ns,
        };
        seen.on_day(now.volume.is_some_and(|volume| volume == 0), arrival);
        seen
    }

    /// Compares with the next packet, and remembers it.
    #[inline]
    pub(crate) fn update(&mut self, now: &Snapshot, arrival: Arrival, at_unix_ns: u64) -> Change {
        let traded = self.traded(now, arrival);
        let before = match traded {
            Traded::NewDay(_) => None,
            _ => self.extremes,
        };
        // The first extremes of a day are all new; an instrument's first ones are a baseline.
        let is_new_day = matches!(traded, Traded::NewDay(_));
        let new = |is_new: fn(Extremes, Extremes) -> bool| match (before, now.extremes) {
            (Some(before), Some(now)) => is_new(before, now),
            (None, Some(_)) => is_new_day || self.volume == Some(0),
            (_, None) => false,
        };
        let new_high = now.extremes.filter(|_| new(|before, now| now.high > before.high));
        let new_low = now.extremes.filter(|_| new(|before, now| now.low < before.low));
        let moved = now.last_price != self.last_price
            || now.traded_s.is_some_and(|at| self.traded_s.is_some_and(|before| at > before));
        self.remember(now, before, arrival, at_unix_ns);
        self.on_day(matches!(traded, Traded::NewDay(_) | Traded::Volume(_)), arrival);
        Change {
            traded,
            new_high: new_high.map(|extremes| extremes.high),
            new_low: new_low.map(|extremes| extremes.low),
            moved,
        }
    }

    #[inline]
    fn remember(
        &mut self,
        now: &Snapshot,
        extremes: Option<Extremes>,
        arrival: Arrival,
        at_unix_ns: u64,
    ) {
        self.last_price = now.last_price;
        self.volume = now.volume.or(self.volume);
        if now.volume.is_some() {
            // Never an earlier day: a state from an old cache must not make the next one a new day.
            self.volume_day = self.volume_day.max(arrival.traded_day);
        }
        // Before the first trade of a day, high and low are those of the day before.
        self.extremes = now.extremes.or(extremes).filter(|_| now.volume != Some(0));
        self.traded_s = now.traded_s.or(self.traded_s);
        self.exchange_s = now.exchange_s.or(self.exchange_s);
        self.at_unix_ns = at_unix_ns;
    }

    /// A volume that was seen to change belongs to the day of arrival, once that day has started.
    #[inline]
    fn on_day(&mut self, changed: bool, arrival: Arrival) {
        if changed && arrival.has_started {
            self.volume_day = Some(arrival.day);
        }
    }

    #[inline]
    fn traded(&self, now: &Snapshot, arrival: Arrival) -> Traded {
        let Some(volume) = now.volume else { return Traded::NotCarried };
        let Some(before) = self.volume else { return Traded::Nothing };
        let is_earlier_day = self.volume_day.is_some_and(|day| day < arrival.day);
        let is_of_today = match arrival.traded_day {
            Some(traded) => traded == arrival.day,
            None => arrival.has_started,
        };
        if is_earlier_day && is_of_today && volume != before {
            return Traded::NewDay(volume);
        }
        if is_earlier_day && volume < before {
            // An older state of an earlier day, or the reset before trading starts.
            return Traded::Nothing;
        }
        match volume.checked_sub(before) {
            Some(0) => Traded::Nothing,
            Some(volume) => Traded::Volume(volume),
            None => Traded::Fell,
        }
    }
}
