//! Bars of any sequence of items: what was traded is in a bar or missed, and nothing else is.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use kite_candles::{Bar, Counts};
use kite_manager::{Stamp, StreamItem, Tick};
use proptest::prelude::*;
use proptest::sample::Index;

use super::feed::{Feed, S, at, config, conflated, down, dropped, gap, later, quote, ticks, up};

const TOKENS: [u32; 3] = [408_065, 779_521, 738_561];
const MS: u64 = S / 1000;

/// What happens on the exchange, between it and us, or in the queue of the stream.
#[derive(Debug, Clone)]
enum Op {
    Wait {
        ms: u64,
    },
    Trade {
        instrument: usize,
        quantity: u32,
    },
    /// A connection receives a frame with some of its instruments.
    Send {
        connection: usize,
        of: [bool; 3],
    },
    /// Its socket is lost, unless it is already.
    Lose {
        connection: usize,
    },
    /// It is replaced, and sends a snapshot of each of its instruments.
    Reconnect {
        connection: usize,
    },
    /// An instrument moves to the other connection.
    Move {
        instrument: usize,
    },
    /// The queue drops frames.
    Drop {
        connection: usize,
        frames: usize,
    },
    /// The queue conflates frames.
    Conflate {
        connection: usize,
        frames: usize,
    },
    /// The stream is read up to the table of a connection.
    Take {
        connection: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    let (connection, instrument) = (|| 0..2_usize, || 0..TOKENS.len());
    prop_oneof![
        4 => prop_oneof![1..900_u64, 900..40_000_u64].prop_map(|ms| Op::Wait { ms }),
        6 => (instrument(), 1..50_u32)
            .prop_map(|(instrument, quantity)| Op::Trade { instrument, quantity }),
        8 => (connection(), any::<[bool; 3]>())
            .prop_map(|(connection, of)| Op::Send { connection, of }),
        1 => connection().prop_map(|connection| Op::Lose { connection }),
        2 => connection().prop_map(|connection| Op::Reconnect { connection }),
        1 => instrument().prop_map(|instrument| Op::Move { instrument }),
        1 => (connection(), 1..4_usize)
            .prop_map(|(connection, frames)| Op::Drop { connection, frames }),
        1 => (connection(), 1..4_usize)
            .prop_map(|(connection, frames)| Op::Conflate { connection, frames }),
        1 => connection().prop_map(|connection| Op::Take { connection }),
    ]
}

/// One of two connections, and the queue between it and the stream.
#[derive(Debug, Default)]
struct Connection {
    epoch: u32,
    is_up: bool,
    last_heard: Option<Stamp>,
    /// Number of frames that the queue has yet to drop, and whether it has dropped any.
    to_drop: usize,
    has_dropped: bool,
    /// Number of frames that it has yet to conflate.
    to_conflate: usize,
    table: BTreeMap<u32, Tick>,
    replaced: u64,
    /// The socket of the newest frame of the table, and when that was received.
    folded: Option<(u32, Stamp)>,
}

/// The exchange and the connections.
struct World {
    now: Stamp,
    volumes: [u32; 3],
    owners: [usize; 3],
    connections: [Connection; 2],
    items: Vec<(Stamp, StreamItem)>,
}

impl World {
    fn new() -> Self {
        Self {
            now: at(0),
            volumes: [1_000; 3],
            owners: [0, 0, 1],
            connections: Default::default(),
            items: Vec::new(),
        }
    }

    fn apply(&mut self, op: &Op) {
        match *op {
            Op::Wait { ms } => self.now = later(self.now, ms * MS),
            Op::Trade { instrument, quantity } => self.volumes[instrument] += quantity,
            Op::Send { connection, of } => {
                let instruments = (0..3).filter(|&it| of[it] && self.owners[it] == connection);
                self.send(connection, &instruments.collect::<Vec<_>>());
            }
            Op::Lose { connection } => self.lose(connection),
            Op::Reconnect { connection } => {
                self.lose(connection);
                let it = &mut self.connections[connection];
                (it.epoch, it.is_up) = (it.epoch + 1, true);
                let epoch = it.epoch;
                self.push(up(connection, epoch));
                let owned = (0..3).filter(|&it| self.owners[it] == connection).collect::<Vec<_>>();
                self.send(connection, &owned);
            }
            Op::Move { instrument } => {
                let from = self.owners[instrument];
                self.owners[instrument] = 1 - from;
                self.send(1 - from, &[instrument]);
                if let Some(last_heard) = self.connections[from].last_heard
                    && !self.connections[from].is_up
                {
                    let tokens = [TOKENS[instrument]];
                    self.push(gap(1 - from, Some(from), &tokens, last_heard, self.now));
                }
            }
            Op::Drop { connection, frames } => self.connections[connection].to_drop = frames,
            Op::Conflate { connection, frames } => {
                self.connections[connection].to_conflate = frames;
            }
            Op::Take { connection } => self.take_table(connection),
        }
    }

    fn push(&mut self, item: StreamItem) {
        self.items.push((self.now, item));
    }

    fn lose(&mut self, connection: usize) {
        let it = &mut self.connections[connection];
        if std::mem::take(&mut it.is_up) {
            let (epoch, last_heard) = (it.epoch, it.last_heard.unwrap_or(self.now));
            self.push(down(connection, epoch, last_heard));
        }
    }

    fn send(&mut self, connection: usize, instruments: &[usize]) {
        self.now = later(self.now, MS);
        let it = &mut self.connections[connection];
        if !it.is_up || instruments.is_empty() {
            return;
        }
        it.last_heard = Some(self.now);
        let tick = |&it: &usize| quote(TOKENS[it], 100, self.volumes[it]);
        let frame: Vec<Tick> = instruments.iter().map(tick).collect();
        if it.to_drop > 0 {
            (it.to_drop, it.has_dropped) = (it.to_drop - 1, true);
            return;
        }
        let epoch = it.epoch;
        let is_folding = it.to_conflate > 0;
        if is_folding || !it.table.is_empty() {
            for tick in frame {
                it.replaced += u64::from(it.table.insert(tick.instrument_token, tick).is_some());
            }
            it.folded = Some((epoch, self.now));
            it.to_conflate = it.to_conflate.saturating_sub(1);
            if !is_folding || it.to_conflate == 0 {
                self.take_table(connection);
            }
            return;
        }
        if std::mem::take(&mut it.has_dropped) {
            self.push(dropped(connection));
        }
        self.push(ticks(connection, epoch, &frame, self.now));
    }

    fn take_table(&mut self, connection: usize) {
        let it = &mut self.connections[connection];
        let frame: Vec<Tick> = std::mem::take(&mut it.table).into_values().collect();
        let replaced = std::mem::take(&mut it.replaced);
        let Some((epoch, at)) = it.folded.take() else { return };
        let has_dropped = std::mem::take(&mut it.has_dropped);
        if has_dropped {
            self.push(dropped(connection));
        }
        self.push(conflated(connection, epoch, &frame, replaced, at));
    }
}

/// What is to be in the bars of an instrument.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Expected {
    volume: u64,
    missed: u64,
}

/// What is known of an instrument whose packets were read.
#[derive(Debug)]
struct Seen {
    volume: u32,
    connection: usize,
    at: Stamp,
    /// Whether packets may be missing before its next one.
    is_torn: bool,
}

impl Seen {
    /// Whether a packet is older, which only one that has been waiting in the queue of the connection
    /// that the instrument has left can be. A table is as old as its newest frame, so that this is
    /// not known after the grace: then the volume falls.
    fn is_newer_than(&self, connection: usize, volume: u32, at: Stamp) -> bool {
        let is_near = at.since(self.at) <= config().grace;
        self.connection != connection
            && match volume.cmp(&self.volume) {
                Ordering::Less => at < self.at || (is_near && !self.is_torn),
                Ordering::Equal => at < self.at,
                Ordering::Greater => false,
            }
    }
}

/// The same by another way: by what was reported between two packets of an instrument.
#[derive(Debug, Default)]
struct Model {
    seen: BTreeMap<u32, Seen>,
    expected: BTreeMap<u32, Expected>,
    lost: [Option<u32>; 2],
    older: u64,
}

impl Model {
    fn tear(&mut self, connection: usize) {
        let of = self.seen.values_mut().filter(|seen| seen.connection == connection);
        of.for_each(|seen| seen.is_torn = true);
    }

    fn on_item(&mut self, item: &StreamItem) {
        match item {
            StreamItem::Dropped { connection, .. } => self.tear(*connection),
            StreamItem::Down { connection, epoch, .. } => {
                self.lost[*connection] = Some(*epoch);
                self.tear(*connection);
            }
            StreamItem::Conflated { ticks, replaced } => {
                for packet in ticks.packets().filter(|_| *replaced > 0) {
                    // Unless it has moved, and ticked on the other connection since.
                    if let Some(seen) = self.seen.get_mut(&packet.instrument_token()) {
                        seen.is_torn |= seen.at < ticks.batch.received;
                    }
                }
            }
            StreamItem::Gap { gap, .. } => {
                for missed in &gap.instruments {
                    if let Some(seen) = self.seen.get_mut(&missed.token) {
                        seen.is_torn |= gap.resumed.is_some_and(|resumed| seen.at < resumed);
                    }
                }
            }
            _ => {}
        }
        let Some(ticks) = item.ticks() else { return };
        for packet in ticks.packets() {
            let (token, volume) = (packet.instrument_token(), packet.volume().unwrap());
            let (connection, at) = (ticks.connection, ticks.batch.received);
            if self.seen.get(&token).is_some_and(|it| it.is_newer_than(connection, volume, at)) {
                self.older += 1;
                continue;
            }
            let now = Seen { volume, connection, at, is_torn: false };
            let Some(before) = self.seen.insert(token, now) else { continue };
            let rise = u64::from(volume.saturating_sub(before.volume));
            let expected = self.expected.entry(token).or_default();
            let part = if before.is_torn { &mut expected.missed } else { &mut expected.volume };
            *part += rise;
        }
        // Packets of a conflated frame may be older than the loss.
        let lost = &mut self.lost[ticks.connection];
        if let Some(epoch) = *lost {
            let is_of_next = ticks.batch.epoch > epoch;
            *lost = lost.filter(|_| !is_of_next);
            if matches!(item, StreamItem::Conflated { .. }) {
                self.tear(ticks.connection);
            }
        }
    }
}

fn run(items: &[(Stamp, StreamItem)], timer: &[Index]) -> (Vec<Bar>, Counts) {
    let mut feed = Feed::new(config());
    let mut timer = timer.iter().cycle();
    for pair in items.windows(2).chain(items.last().map(std::slice::from_ref)) {
        let (now, item) = &pair[0];
        feed.item(item.clone());
        if let (Some(next), [_, (then, _)]) = (timer.next(), pair) {
            let until = then.as_nanos() - now.as_nanos();
            feed.advance(later(*now, next.index(until as usize + 1) as u64));
        }
    }
    // The last bar is missed from here on, and not from when a timer fired last.
    if let Some((last, _)) = items.last() {
        feed.advance(later(*last, S));
    }
    feed.finish()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn what_was_traded_is_volume_of_the_bars_if_nothing_was_missed_and_else_missed_volume(
        ops in prop::collection::vec(op(), 1..150),
        timer in prop::collection::vec(any::<Index>(), 1..20),
    ) {
        let mut world = World::new();
        for connection in [0, 1] {
            world.apply(&Op::Reconnect { connection });
        }
        ops.iter().for_each(|op| world.apply(op));
        let mut model = Model::default();
        world.items.iter().for_each(|(_, item)| model.on_item(item));

        let (bars, counts) = run(&world.items, &timer);
        let mut sums = BTreeMap::<u32, Expected>::new();
        for bar in &bars {
            let sum = sums.entry(bar.instrument_token).or_default();
            sum.volume += bar.volume.unwrap_or(0);
            sum.missed += bar.missed_volume;
        }
        model.expected.retain(|_, sum| *sum != Expected::default());
        sums.retain(|_, sum| *sum != Expected::default());
        prop_assert_eq!(&sums, &model.expected);
        let seen: u64 = model.expected.values().map(|sum| sum.volume + sum.missed).sum();
        prop_assert_eq!((counts.volume, counts.out_of_order, counts.outside_volume), (seen, model.older, 0));
        // The timer changes when bars are passed on, and nothing else.
        prop_assert_eq!(run(&world.items, &[]), (bars, counts));
    }
}
