//! A feed of packets by hand, and what follows from it.

use kite_candles::{Affected, Bar, Candles, Config, Flags, Item};
use kite_wire::ist::Day;
use kite_wire::{Fields, Frame, FrameEncoder, FullFields, IndexFields, Packet, QuoteFields, Tick};

pub(crate) const INFY: u32 = 408_065;
pub(crate) const NIFTY: u32 = 256_265;

/// Monday, 2026-11-23.
pub(crate) fn monday() -> Day {
    Day::from_date(2026, 11, 23).unwrap()
}

/// Unix seconds of a time such as `10:00:05` on Monday, or `+1 10:00:05` a day later.
pub(crate) fn s(time: &str) -> u32 {
    let (days, time) = match time.strip_prefix('+') {
        Some(rest) => rest.split_once(' ').unwrap(),
        None => ("0", time),
    };
    let mut unix_s = monday().start_unix_s() + days.parse::<i64>().unwrap() * 86_400;
    for (part, unit) in time.split(':').zip([3600, 60, 1]) {
        unix_s += part.parse::<i64>().unwrap() * unit;
    }
    unix_s.try_into().unwrap()
}

/// Unix nanoseconds of a time as in [`s`].
pub(crate) fn ns(time: &str) -> u64 {
    u64::from(s(time)) * 1_000_000_000
}

/// The state of an instrument in full mode.
#[derive(Clone, Copy, Default)]
pub(crate) struct State {
    pub(crate) price: i32,
    pub(crate) volume: u32,
    pub(crate) high: i32,
    pub(crate) low: i32,
    pub(crate) traded_s: u32,
    pub(crate) exchange_s: u32,
    pub(crate) open_interest: u32,
}

impl State {
    pub(crate) fn quote(self) -> Fields {
        let Self { volume, high, low, .. } = self;
        Fields::Quote(QuoteFields { volume, high, low, ..QuoteFields::default() })
    }

    pub(crate) fn full(self) -> Fields {
        let Fields::Quote(quote) = self.quote() else { unreachable!() };
        let full = FullFields {
            last_trade_timestamp: self.traded_s,
            exchange_timestamp: self.exchange_s,
            open_interest: self.open_interest,
            ..FullFields::default()
        };
        Fields::Full { quote, full }
    }

    pub(crate) fn index(self) -> Fields {
        let quote = IndexFields { high: self.high, low: self.low, ..IndexFields::default() };
        Fields::IndexFull { quote, exchange_timestamp: self.exchange_s }
    }
}

/// The frame of some ticks.
pub(crate) fn frame(ticks: &[Tick]) -> Vec<u8> {
    let mut buffer = vec![0; 2 + ticks.len() * 186];
    let mut frame = FrameEncoder::new(&mut buffer).unwrap();
    ticks.iter().for_each(|tick| frame.push(tick).unwrap());
    frame.finish().to_vec()
}

/// A live feed with the default settings.
pub(crate) fn live() -> Feed {
    Feed::live(Config::default())
}

/// Candles and what they passed on.
pub(crate) struct Feed {
    pub(crate) candles: Candles,
    pub(crate) items: Vec<Item>,
}

impl Feed {
    pub(crate) fn live(config: Config) -> Self {
        Self { candles: Candles::live(config).unwrap(), items: Vec::new() }
    }

    pub(crate) fn batch(config: Config) -> Self {
        Self { candles: Candles::batch(config).unwrap(), items: Vec::new() }
    }

    pub(crate) fn packet(&mut self, packet: Packet<'_>, at: u64) {
        self.candles.on_packet(packet, at, &mut |item| self.items.push(item));
    }

    pub(crate) fn tick(&mut self, instrument_token: u32, price: i32, fields: Fields, at: u64) {
        self.tick_from(0, Tick { instrument_token, last_price: price, fields }, at);
    }

    pub(crate) fn tick_from(&mut self, source: u32, tick: Tick, at: u64) {
        let bytes = frame(&[tick]);
        let packet = Frame::walk(&bytes).packets().next().unwrap();
        self.candles.on_packet_from(source, packet, at, &mut |item| self.items.push(item));
    }

    /// A quote packet of Infosys: price, volume, and the time of arrival.
    pub(crate) fn quote(&mut self, price: i32, volume: u32, at: &str) {
        let state = State { price, volume, ..State::default() };
        self.tick(INFY, price, state.quote(), ns(at));
    }

    /// A full packet of Infosys, with the time of the last trade and the time of arrival.
    pub(crate) fn full(&mut self, price: i32, volume: u32, traded: &str, at: &str) {
        let traded_s = s(traded);
        self.state(State { price, volume, traded_s, ..State::default() }, at);
    }

    /// A full packet of Infosys.
    pub(crate) fn state(&mut self, state: State, at: &str) {
        self.tick(INFY, state.price, state.full(), ns(at));
    }

    pub(crate) fn advance(&mut self, at: &str) {
        self.advance_ns(ns(at));
    }

    pub(crate) fn advance_ns(&mut self, at: u64) {
        self.candles.advance(at, &mut |item| self.items.push(item));
    }

    pub(crate) fn lost(&mut self, from: u64) {
        self.candles.on_lost(Affected::All, from, &mut |item| self.items.push(item));
    }

    pub(crate) fn gap(&mut self, from: u64, to: u64) {
        self.candles.on_gap(Affected::All, from, to, &mut |item| self.items.push(item));
    }

    /// Ends the feed and returns the last state of each bar, by token and start, with the counts.
    pub(crate) fn finish(mut self) -> (Vec<Bar>, kite_candles::Counts) {
        let counts = self.candles.finish(&mut |item| self.items.push(item));
        let mut bars: Vec<Bar> = Vec::new();
        for item in self.items {
            let bar = *item.bar();
            let key = (bar.instrument_token, bar.start);
            let before = bars.iter_mut().find(|bar| (bar.instrument_token, bar.start) == key);
            match (item, before) {
                (Item::Bar(_), None) => bars.push(bar),
                (Item::Correction(_), Some(before)) if *before != bar => *before = bar,
                (item, before) => panic!("{item:?} after {before:?}"),
            }
        }
        bars.sort_by_key(|bar| (bar.instrument_token, bar.start));
        (bars, counts)
    }

    pub(crate) fn bars(self) -> Vec<Bar> {
        self.finish().0
    }
}

/// Open, high, low and close as the wire's integers.
pub(crate) fn ohlc(bar: &Bar) -> [i32; 4] {
    [bar.open.raw(), bar.high.raw(), bar.low.raw(), bar.close.raw()]
}

/// The start of a bar as `09:15:00`.
pub(crate) fn start(bar: &Bar) -> String {
    kite_wire::ist::IstDateTime::from(bar.start).to_string()[11..].to_owned()
}

/// Asserts the flags of a bar, except that quote packets are placed by arrival.
pub(crate) fn assert_flags(bar: &Bar, flags: Flags) {
    assert_eq!(bar.flags, flags, "{} instead of {flags}", bar.flags);
}
