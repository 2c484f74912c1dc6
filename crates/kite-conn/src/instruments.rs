//! What is known of each instrument of a connection: written with every packet by one task, read
//! by anyone at any time.
//!
//! An open table of atomics with a single writer, so that the hot path costs one look-up and some
//! plain stores, and readers neither lock it nor hold it up.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kite_wire::{Mode, Packet};

use crate::clock::Stamp;
use crate::counters::Count;

/// What a connection knows of one instrument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstrumentStats {
    /// The instrument token.
    pub token: u32,
    /// Its ticks on this connection, over all sockets while it stayed subscribed. One that was
    /// unsubscribed is forgotten with the socket.
    pub ticks: u64,
    /// When the last of them was read from the socket.
    pub last_seen: Stamp,
    /// The day's volume at that tick, where its packet carries one.
    pub volume: Option<u32>,
}

/// The last tick of an instrument, as far as a gap needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastTick {
    pub(crate) volume: Option<u32>,
    /// The exchange's time, 0 where the packet has none.
    pub(crate) exchange_unix_s: u32,
    /// The day on which it came, by our wall clock.
    pub(crate) day: u32,
    /// Whether the volume was seen to change on that day: then it is of that day, and no last tick
    /// of the day before, which a server sends to whoever subscribes before the market opens.
    pub(crate) moved: bool,
}

/// One instrument. A token of 0 means that the slot is free: Kite has no such instrument, and one
/// that a server made up is merely not remembered.
#[derive(Debug, Default)]
struct Slot {
    token: AtomicU32,
    volume: AtomicU32,
    exchange_unix_s: AtomicU32,
    /// The day, times four, plus two where the volume changed on it, plus one where there is a volume.
    day_and_flags: AtomicU32,
    ticks: Count,
    last_seen: Count,
}

impl Slot {
    fn last_tick(&self) -> LastTick {
        let day_and_flags = self.day_and_flags.load(Relaxed);
        LastTick {
            volume: (day_and_flags & 1 != 0).then(|| self.volume.load(Relaxed)),
            exchange_unix_s: self.exchange_unix_s.load(Relaxed),
            day: day_and_flags >> 2,
            moved: day_and_flags & 2 != 0,
        }
    }

    fn set(&self, tick: LastTick) {
        self.volume.store(tick.volume.unwrap_or_default(), Relaxed);
        self.exchange_unix_s.store(tick.exchange_unix_s, Relaxed);
        let flags = u32::from(tick.moved) << 1 | u32::from(tick.volume.is_some());
        self.day_and_flags.store(tick.day << 2 | flags, Relaxed);
    }
}

#[derive(Debug)]
struct Table {
    slots: Box<[Slot]>,
}

impl Table {
    /// Makes a table of so many slots, a power of two.
    fn new(slots: usize) -> Self {
        Self { slots: std::iter::repeat_with(Slot::default).take(slots).collect() }
    }

    /// Gives the slot of a token, or the free one where it belongs. One is always free.
    fn slot(&self, token: u32) -> &Slot {
        let mask = self.slots.len() - 1;
        // Fibonacci hashing, whose high bits are the good ones.
        let hash = u64::from(token).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut index = (hash >> 40) as usize & mask;
        loop {
            let slot = &self.slots[index];
            let found = slot.token.load(Relaxed);
            if found == token || found == 0 {
                return slot;
            }
            index = (index + 1) & mask;
        }
    }

    fn taken(&self) -> impl Iterator<Item = (u32, &Slot)> {
        let slots = self.slots.iter().map(|slot| (slot.token.load(Acquire), slot));
        slots.filter(|&(token, _)| token != 0)
    }
}

/// Where readers find the table of the present.
#[derive(Debug)]
pub(crate) struct Instruments {
    /// Locked to replace the table, seldom, and to read all of it; not by the hot path.
    table: Mutex<Arc<Table>>,
}

impl Default for Instruments {
    fn default() -> Self {
        // The least there can be: a connection that remembers nothing has no more.
        Self { table: Mutex::new(Arc::new(Table::new(1))) }
    }
}

impl Instruments {
    fn lock(&self) -> MutexGuard<'_, Arc<Table>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives all instruments that ticked, by rising token.
    pub(crate) fn read(&self) -> Vec<InstrumentStats> {
        let table = Arc::clone(&self.lock());
        let stats = table.taken().map(|(token, slot)| InstrumentStats {
            token,
            ticks: slot.ticks.get(),
            last_seen: Stamp::from_nanos(slot.last_seen.get()),
            volume: slot.last_tick().volume,
        });
        let mut stats: Vec<_> = stats.collect();
        stats.sort_unstable_by_key(|it| it.token);
        stats
    }
}

/// The writing side; there is one.
#[derive(Debug)]
pub(crate) struct InstrumentWriter {
    shared: Arc<Instruments>,
    table: Arc<Table>,
    len: usize,
}

/// Twenty times what a connection can subscribe, and 4 MiB.
const MOST_INSTRUMENTS: usize = 65_536;
/// Room for 512 instruments: 32 KiB.
const FEWEST_SLOTS: usize = 1_024;

impl InstrumentWriter {
    pub(crate) fn new(shared: Arc<Instruments>) -> Self {
        let table = Arc::clone(&shared.lock());
        Self { shared, table, len: 0 }
    }

    /// Takes note of a packet.
    #[inline]
    pub(crate) fn on_packet(&mut self, packet: Packet<'_>, received: Stamp, day: u32) -> LastTick {
        let mut tick = LastTick {
            volume: packet.volume(),
            exchange_unix_s: packet.exchange_timestamp().map_or(0, |it| it.get()),
            day,
            moved: false,
        };
        let token = packet.instrument_token();
        if token == 0 {
            return tick;
        }
        let mut slot = self.table.slot(token);
        if slot.token.load(Relaxed) != token {
            // What nobody subscribed a server gone mad may send without end.
            if self.len >= MOST_INSTRUMENTS {
                return tick;
            }
            // At most half full, so that look-ups stay short and end.
            if (self.len + 1) * 2 > self.table.slots.len() {
                let slots = (self.table.slots.len() * 2).max(FEWEST_SLOTS);
                self.rebuild(slots, |_| true);
                slot = self.table.slot(token);
            }
            self.len += 1;
        } else {
            let before = slot.last_tick();
            tick.moved = before.day == day && (before.moved || tick.volume != before.volume);
        }
        slot.set(tick);
        slot.ticks.add(1);
        slot.last_seen.set(received.as_nanos());
        // Last: who finds the token finds the rest.
        slot.token.store(token, Release);
        tick
    }

    /// Gives the last tick of an instrument.
    pub(crate) fn last_tick(&self, token: u32) -> Option<LastTick> {
        let slot = self.table.slot(token);
        (token != 0 && slot.token.load(Relaxed) == token).then(|| slot.last_tick())
    }

    /// Forgets all instruments but these.
    pub(crate) fn retain(&mut self, told: &BTreeMap<u32, Mode>) {
        if self.table.taken().any(|(token, _)| !told.contains_key(&token)) {
            self.rebuild(self.table.slots.len(), |token| told.contains_key(&token));
        }
    }

    fn rebuild(&mut self, slots: usize, keep: impl Fn(u32) -> bool) {
        let table = Table::new(slots);
        self.len = 0;
        for (token, old) in self.table.taken().filter(|&(token, _)| keep(token)) {
            let new = table.slot(token);
            new.set(old.last_tick());
            new.ticks.set(old.ticks.get());
            new.last_seen.set(old.last_seen.get());
            new.token.store(token, Release);
            self.len += 1;
        }
        self.table = Arc::new(table);
        *self.shared.lock() = Arc::clone(&self.table);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kite_wire::{Fields, FrameEncoder, QuoteFields, Tick};
    use proptest::prelude::*;

    use super::*;

    fn on_tick(writer: &mut InstrumentWriter, token: u32, volume: u32, received: Stamp) {
        let fields = Fields::Quote(QuoteFields { volume, ..QuoteFields::default() });
        let tick = Tick { instrument_token: token, last_price: 5, fields };
        let mut buffer = [0; 64];
        let mut frame = FrameEncoder::new(&mut buffer).unwrap();
        frame.push(&tick).unwrap();
        let frame = frame.finish();
        writer.on_packet(Packet::from_bytes(&frame[4..]).unwrap(), received, 7);
    }

    #[test]
    fn readers_see_what_was_written_and_not_what_was_forgotten() {
        let shared = Arc::new(Instruments::default());
        let mut writer = InstrumentWriter::new(Arc::clone(&shared));
        let (first, last) = (Stamp::from_nanos(5), Stamp::from_nanos(9));
        on_tick(&mut writer, 300, 10, first);
        on_tick(&mut writer, 256, 20, first);
        on_tick(&mut writer, 300, 30, last);
        let seen = |token, ticks, last_seen, volume| InstrumentStats {
            token,
            ticks,
            last_seen,
            volume: Some(volume),
        };
        assert_eq!(shared.read(), [seen(256, 1, first, 20), seen(300, 2, last, 30)]);
        writer.retain(&BTreeMap::from([(300, Mode::Full)]));
        assert_eq!(shared.read(), [seen(300, 2, last, 30)]);
        assert_eq!(writer.last_tick(256), None);
    }

    #[test]
    fn a_server_gone_mad_fills_a_bounded_table() {
        let shared = Arc::new(Instruments::default());
        let mut writer = InstrumentWriter::new(Arc::clone(&shared));
        on_tick(&mut writer, u32::MAX, 1, Stamp::from_nanos(1));
        for token in 1..MOST_INSTRUMENTS as u32 + 1_000 {
            on_tick(&mut writer, token, 1, Stamp::from_nanos(1));
        }
        on_tick(&mut writer, u32::MAX, 2, Stamp::from_nanos(2));
        let stats = shared.read();
        assert_eq!(stats.len(), MOST_INSTRUMENTS);
        assert_eq!(stats.last().unwrap().volume, Some(2), "who is known stays known");
    }

    #[test]
    fn a_token_of_zero_is_not_remembered_and_does_no_harm() {
        let shared = Arc::new(Instruments::default());
        let mut writer = InstrumentWriter::new(Arc::clone(&shared));
        for _ in 0..3_000 {
            on_tick(&mut writer, 0, 1, Stamp::from_nanos(1));
        }
        on_tick(&mut writer, 256, 1, Stamp::from_nanos(1));
        assert_eq!(shared.read().len(), 1);
        assert_eq!((writer.last_tick(0), writer.last_tick(256).is_some()), (None, true));
    }

    proptest! {
        #[test]
        fn any_ticks_are_remembered_as_a_map_would(
            ticks in prop::collection::vec((1_u32..5_000, any::<u32>()), 0..3_000),
            kept in 0_u32..5_000,
        ) {
            let shared = Arc::new(Instruments::default());
            let mut writer = InstrumentWriter::new(Arc::clone(&shared));
            let mut model: BTreeMap<u32, (u64, u32)> = BTreeMap::new();
            let read = |shared: &Instruments| -> BTreeMap<u32, (u64, u32)> {
                let stats = shared.read().into_iter();
                stats.map(|it| (it.token, (it.ticks, it.volume.unwrap()))).collect()
            };
            for (token, volume) in ticks {
                on_tick(&mut writer, token << 8 | 1, volume, Stamp::from_nanos(1));
                let known = model.entry(token << 8 | 1).or_default();
                *known = (known.0 + 1, volume);
            }
            prop_assert_eq!(read(&shared), model.clone());
            let told: BTreeMap<u32, Mode> =
                (0..kept).map(|token| (token << 8 | 1, Mode::Full)).collect();
            writer.retain(&told);
            model.retain(|token, _| told.contains_key(token));
            prop_assert_eq!(read(&shared), model);
        }
    }
}
