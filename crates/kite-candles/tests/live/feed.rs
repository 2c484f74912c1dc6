//! Items of a merged stream by hand, and the bars that follow from them.

use std::sync::{Arc, LazyLock};

use kite_candles::{Bar, Config, Counts, Item, LiveCandles, Scope, Session, Sessions};
use kite_manager::{
    Batch, Fields, Gap, LossCause, Missed, Mode, QuoteFields, Stamp, StreamItem, TaggedBatch, Tick,
    TickBatch, VolumeMissed,
};
use kite_wire::FrameEncoder;
use kite_wire::ist::Day;

pub(crate) const INFY: u32 = 408_065;
pub(crate) const SBIN: u32 = 779_521;

/// One second, in nanoseconds.
pub(crate) const S: u64 = 1_000_000_000;

/// Bars of a minute, at all hours, because stamps are of the present.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    let always = Session::new((0, 0), (24, 0)).unwrap();
    config.sessions = Sessions::default().with(Scope::All, None, Some(always));
    config
}

/// A time this many nanoseconds after noon in India tomorrow.
pub(crate) fn at(ns: u64) -> Stamp {
    later(since_midnight(12 * 3600 * S), ns)
}

/// A time this many nanoseconds after a midnight in India that is to come.
pub(crate) fn since_midnight(ns: u64) -> Stamp {
    // Read once, so that all times of a test are of the same day.
    static MIDNIGHT: LazyLock<Stamp> = LazyLock::new(|| {
        let now = Stamp::now();
        let today = Day::at_unix_ns(now.to_unix_ns()).start_unix_s() as u64;
        later(now, (today + 86_400) * S - now.to_unix_ns())
    });
    later(*MIDNIGHT, ns)
}

pub(crate) fn later(stamp: Stamp, ns: u64) -> Stamp {
    Stamp::from_nanos(stamp.as_nanos() + ns)
}

pub(crate) fn quote(instrument_token: u32, price: i32, volume: u32) -> Tick {
    let fields = Fields::Quote(QuoteFields { volume, ..QuoteFields::default() });
    Tick { instrument_token, last_price: price, fields }
}

fn batch(connection: usize, epoch: u32, ticks: &[Tick], received: Stamp) -> TaggedBatch {
    let mut buffer = vec![0; 2 + ticks.len() * 186];
    let mut frame = FrameEncoder::new(&mut buffer).unwrap();
    ticks.iter().for_each(|tick| frame.push(tick).unwrap());
    let ticks = TickBatch::new(frame.finish().to_vec().into()).unwrap();
    TaggedBatch::new("mine".into(), connection, Batch::new(ticks, received, epoch, 1))
}

pub(crate) fn ticks(connection: usize, epoch: u32, ticks: &[Tick], at: Stamp) -> StreamItem {
    StreamItem::Ticks(batch(connection, epoch, ticks, at))
}

pub(crate) fn conflated(
    connection: usize,
    epoch: u32,
    ticks: &[Tick],
    replaced: u64,
    at: Stamp,
) -> StreamItem {
    StreamItem::Conflated { ticks: batch(connection, epoch, ticks, at), replaced }
}

pub(crate) fn dropped(connection: usize) -> StreamItem {
    StreamItem::Dropped { account: "mine".into(), connection, frames: 3, ticks: 4, notices: 0 }
}

pub(crate) fn up(connection: usize, epoch: u32) -> StreamItem {
    StreamItem::Up { account: "mine".into(), connection, epoch, instruments: 2 }
}

pub(crate) fn down(connection: usize, epoch: u32, last_heard: Stamp) -> StreamItem {
    let cause = LossCause::Eof;
    StreamItem::Down { account: "mine".into(), connection, epoch, cause, last_heard }
}

/// The report of a gap of instruments that moved from another connection.
pub(crate) fn gap(
    connection: usize,
    moved_from: Option<usize>,
    tokens: &[u32],
    last_heard: Stamp,
    resumed: Stamp,
) -> StreamItem {
    let mut gap = Gap::new(last_heard, last_heard, resumed);
    (gap.moved_from, gap.resumed) = (moved_from, Some(resumed));
    let missed = |token: &u32| Missed::new(*token, Mode::Quote, VolumeMissed::NotTracked);
    gap.instruments = tokens.iter().map(missed).collect();
    StreamItem::Gap { account: "mine".into(), connection, gap: Arc::new(gap) }
}

/// Candles and what they passed on.
pub(crate) struct Feed {
    pub(crate) candles: LiveCandles,
    pub(crate) items: Vec<Item>,
}

impl Feed {
    pub(crate) fn new(config: Config) -> Self {
        Self { candles: LiveCandles::new(config).unwrap(), items: Vec::new() }
    }

    pub(crate) fn item(&mut self, item: StreamItem) {
        self.candles.on_item(&item, &mut |item| self.items.push(item));
    }

    pub(crate) fn advance(&mut self, at: Stamp) {
        self.candles.advance(at.to_unix_ns(), &mut |item| self.items.push(item));
    }

    pub(crate) fn finish(mut self) -> (Vec<Bar>, Counts) {
        let counts = self.candles.finish(&mut |item| self.items.push(item));
        (last_states(self.items), counts)
    }
}

/// Returns the last state of each bar, by token and start.
pub(crate) fn last_states(items: impl IntoIterator<Item = Item>) -> Vec<Bar> {
    let mut bars = std::collections::BTreeMap::new();
    for item in items {
        let bar = *item.bar();
        let before = bars.insert((bar.instrument_token, bar.start), bar);
        assert_eq!(before.is_some(), matches!(item, Item::Correction(_)), "{item:?}");
    }
    bars.into_values().collect()
}
