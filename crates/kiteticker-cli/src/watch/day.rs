//! The bars of the day, of all instruments in the table.
//!
//! Performs no I/O and reads no clock: the caller passes in packets and times. In a replay, these are
//! the times of the tape.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};
use std::num::NonZeroU32;

use kite_candles::{
    Affected, Bar, Candles, Config, ConfigError, Every, Flags, Item, Scope, Session, Sessions,
};
use kite_wire::Packet;
use kite_wire::ist::Day;

use crate::chart::{Candle, candle};
use crate::format::times::SECOND_NS;

/// Length of the bars in seconds: 75 for a session of NSE.
const EVERY_S: u32 = 300;
/// Room for bars is made in steps of this many: an hour and twenty minutes.
const STEP: usize = 16;
/// Most outages that are kept; of more, the oldest are dropped.
const MOST_OUTAGES: usize = 100;

/// The bars of one day. A packet of another day replaces them.
#[derive(Debug, Default)]
pub(crate) struct Today {
    of_day: Option<OfDay>,
    /// What is shown while the display is paused.
    paused: Option<HashMap<u32, Bars>>,
}

#[derive(Debug)]
struct OfDay {
    day: Day,
    candles: Candles,
    bars: HashMap<u32, Bars>,
    outages: VecDeque<Outage>,
    /// The connections that are lost.
    lost: HashSet<usize>,
    /// The connections of which packets were replaced by newer ones.
    lagging: HashSet<usize>,
    /// When the last packet of each connection was received.
    last_unix_ns: HashMap<usize, u64>,
}

/// The bars of an instrument that can no longer change, by start; while the display is paused, all.
#[derive(Debug, Clone, Default)]
struct Bars {
    kept: Vec<Kept>,
    /// The connection of the last packet.
    connection: usize,
}

/// A time in which a connection was lost.
#[derive(Debug, Clone, Copy)]
struct Outage {
    connection: usize,
    from_unix_ns: u64,
    /// `None` until the next packet.
    to_unix_ns: Option<u64>,
}

/// A bar in few bytes: there are 9,000 instruments.
#[derive(Debug, Clone, Copy)]
struct Kept {
    start: u32,
    open: i32,
    high: i32,
    low: i32,
    close: i32,
    /// A day's volume has 32 bits. Those of an index are `None`.
    volume: Option<NonZeroU32>,
    is_missed: bool,
}

impl From<&Bar> for Kept {
    fn from(bar: &Bar) -> Self {
        let volume = bar.volume.map(|volume| u32::try_from(volume).unwrap_or(u32::MAX));
        Self {
            start: bar.start.get(),
            open: bar.open.raw(),
            high: bar.high.raw(),
            low: bar.low.raw(),
            close: bar.close.raw(),
            volume: volume.and_then(NonZeroU32::new),
            is_missed: candle::is_missed(bar),
        }
    }
}

impl From<&Kept> for Candle {
    fn from(kept: &Kept) -> Self {
        let &Kept { start, open, high, low, close, volume, is_missed } = kept;
        let volume = volume.map(|volume| volume.get().into());
        // Marks need a legend, for which there is no room.
        let flags = Flags::default();
        Self { start, open, high, low, close, volume, flags, is_traded: true, is_missed }
    }
}

impl Today {
    /// Takes a packet of a connection.
    pub(crate) fn on_packet(&mut self, connection: usize, packet: Packet<'_>, at_unix_ns: u64) {
        let day = Day::at_unix_ns(at_unix_ns);
        if self.of_day.as_ref().is_none_or(|of_day| of_day.day != day) {
            // The settings are in range.
            self.of_day = OfDay::new(day).ok();
            self.paused = None;
        }
        if let Some(of_day) = &mut self.of_day {
            of_day.on_packet(connection, packet, at_unix_ns);
        }
    }

    /// Takes the loss of a connection.
    pub(crate) fn on_lost(&mut self, connection: usize, from_unix_ns: u64) {
        if let Some(of_day) = &mut self.of_day {
            of_day.on_lost(connection, from_unix_ns);
        }
    }

    /// Takes that packets of a connection were replaced by newer ones. If there is a bar or more
    /// between its next packet and the one before, as in a fast replay, that time was missed.
    pub(crate) fn on_replaced(&mut self, connection: usize) {
        if let Some(of_day) = &mut self.of_day {
            of_day.lagging.insert(connection);
        }
    }

    /// Forgets what is not before this time: a replay was moved there.
    pub(crate) fn restart_at(&mut self, unix_ns: u64) {
        if let Some(of_day) = &mut self.of_day {
            of_day.restart_at(unix_ns);
        }
    }

    /// Keeps what is shown as it is, or shows all again.
    pub(crate) fn pause(&mut self, is_paused: bool) {
        let of_day = self.of_day.as_ref().filter(|_| is_paused);
        self.paused = of_day.map(|of_day| {
            let tokens = of_day.bars.keys();
            tokens.map(|&token| (token, of_day.bars_of(token))).collect()
        });
    }

    /// Returns the candles of an instrument, by start.
    pub(crate) fn candles(&self, token: u32) -> Vec<Candle> {
        let Some(of_day) = &self.of_day else { return Vec::new() };
        let bars = match &self.paused {
            Some(paused) => paused.get(&token).cloned().unwrap_or_default(),
            None => of_day.bars_of(token),
        };
        of_day.with_outages(&bars)
    }

    /// Returns the length of the bars.
    pub(crate) fn every() -> Every {
        // Five minutes are a length.
        Every::from_secs(EVERY_S).unwrap_or(Every::MINUTE)
    }
}

/// All trades of a day: bars of five minutes from midnight start when those of a session do.
fn sessions(day: Day) -> Sessions {
    let whole = Session::new((0, 0), (24, 0)).ok();
    Sessions::default().with(Scope::All, Some(day), whole)
}

impl OfDay {
    fn new(day: Day) -> Result<Self, ConfigError> {
        Ok(Self {
            day,
            candles: candles(day)?,
            bars: HashMap::new(),
            outages: VecDeque::new(),
            lost: HashSet::new(),
            lagging: HashSet::new(),
            last_unix_ns: HashMap::new(),
        })
    }

    fn on_packet(&mut self, connection: usize, packet: Packet<'_>, at_unix_ns: u64) {
        let before = self.last_unix_ns.insert(connection, at_unix_ns).unwrap_or(at_unix_ns);
        let is_bar = at_unix_ns.saturating_sub(before) >= u64::from(EVERY_S) * SECOND_NS;
        if self.lagging.remove(&connection) && is_bar {
            self.on_lost(connection, before);
        }
        if self.lost.remove(&connection) {
            let of_it = self.outages.iter_mut().filter(|it| it.connection == connection);
            of_it.for_each(|outage| _ = outage.to_unix_ns.get_or_insert(at_unix_ns));
        }
        let Self { candles, bars, .. } = self;
        bars.entry(packet.instrument_token()).or_default().connection = connection;
        // There are few connections.
        let source = connection as u32;
        candles.on_packet_from(source, packet, at_unix_ns, &mut |item| keep(bars, item));
    }

    fn on_lost(&mut self, connection: usize, from_unix_ns: u64) {
        if self.outages.len() == MOST_OUTAGES {
            self.outages.pop_front();
        }
        self.lost.insert(connection);
        self.outages.push_back(Outage { connection, from_unix_ns, to_unix_ns: None });
        let Self { candles, bars, .. } = self;
        let affected = Affected::Source(connection as u32);
        candles.on_lost(affected, from_unix_ns, &mut |item| keep(bars, item));
    }

    fn restart_at(&mut self, unix_ns: u64) {
        let Ok(fresh) = candles(self.day) else { return };
        let before = std::mem::replace(&mut self.candles, fresh);
        before.finish(&mut |item| keep(&mut self.bars, item));
        // The bar at that time is made again.
        let start = u32::try_from(unix_ns / SECOND_NS).unwrap_or(u32::MAX) / EVERY_S * EVERY_S;
        self.bars.values_mut().for_each(|bars| bars.kept.retain(|kept| kept.start < start));
        self.outages.retain(|outage| outage.to_unix_ns.is_some_and(|to| to < unix_ns));
    }

    /// Returns all bars of an instrument as they are so far.
    fn bars_of(&self, token: u32) -> Bars {
        let mut bars = self.bars.get(&token).cloned().unwrap_or_default();
        let newest = self.candles.newest(token);
        newest.for_each(|bar| bars.add(Kept::from(&bar)));
        bars
    }

    /// Returns bars as candles, and others without a trade where there was no feed.
    fn with_outages(&self, bars: &Bars) -> Vec<Candle> {
        let mut candles: Vec<Candle> = bars.kept.iter().map(Candle::from).collect();
        let (Some(first), Some(last)) = (candles.first().copied(), candles.last()) else {
            return candles;
        };
        let (first, last) = (first, last.start);
        for outage in self.outages.iter().filter(|it| it.connection == bars.connection) {
            let slot = |unix_ns: u64| {
                u32::try_from(unix_ns / SECOND_NS).unwrap_or(u32::MAX) / EVERY_S * EVERY_S
            };
            let from = slot(outage.from_unix_ns).max(first.start);
            let to = outage.to_unix_ns.map_or(last, slot).min(last);
            let lacking = (from..=to).step_by(EVERY_S as usize).map(|start| Candle {
                start,
                is_traded: false,
                is_missed: true,
                ..first
            });
            candles.extend(lacking);
        }
        candles
    }
}

fn candles(day: Day) -> Result<Candles, ConfigError> {
    let mut config = Config::default();
    (config.every, config.sessions) = (Today::every(), sessions(day));
    Candles::live(config)
}

/// Keeps a bar that has ended, or its correction.
fn keep(bars: &mut HashMap<u32, Bars>, item: Item) {
    let bar = item.bar();
    bars.entry(bar.instrument_token).or_default().add(Kept::from(bar));
}

impl Bars {
    /// Adds a bar, or replaces the one with the same start.
    fn add(&mut self, bar: Kept) {
        match self.kept.binary_search_by_key(&bar.start, |kept| kept.start) {
            Ok(at) => self.kept[at] = bar,
            Err(at) => {
                if self.kept.len() == self.kept.capacity() {
                    self.kept.reserve_exact(STEP);
                }
                self.kept.insert(at, bar);
            }
        }
    }
}
