//! What is known of each instrument of a connection: written with every packet by one task, read
//! by anyone at any time.
//!
//! A table of atomics with a single writer, so that the hot path costs a comparison or a look-up and
//! some plain stores, and readers neither lock it nor hold it up.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use kite_wire::{FullPacket, Mode, Packet, TickBatch, TokenMap};
use parking_lot::{Mutex, MutexGuard};

use super::count::Count;
use crate::clock::Stamp;

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

/// One instrument, half a cache line. A token of 0 means that the slot is free: Kite has no such
/// instrument, and one that a server made up is merely not remembered.
#[derive(Debug, Default)]
#[repr(align(32))]
struct TrackedInstrument {
    /// The token in the high half, the volume in the low one: one load finds both.
    token_and_volume: AtomicU64,
    /// The exchange's time in the high half. In the low one the day, times four, plus two where
    /// the volume changed on it, plus one where there is a volume.
    times: AtomicU64,
    ticks: Count,
    last_seen: Count,
}

const HAS_VOLUME: u64 = 1;
const MOVED: u64 = 2;

fn high(word: u64) -> u32 {
    (word >> 32) as u32
}

fn low(word: u64) -> u32 {
    word as u32
}

impl TrackedInstrument {
    fn token(&self) -> u32 {
        high(self.token_and_volume.load(Acquire))
    }

    fn words(&self) -> Words {
        // First: who is told that there is a volume finds it.
        let times = self.times.load(Acquire);
        Words { volume: low(self.token_and_volume.load(Relaxed)), times }
    }

    fn set(&self, token: u32, tick: Words, ticks: u64, last_seen: u64) {
        self.ticks.set(ticks);
        self.last_seen.set(last_seen);
        // Behind these: who finds the token finds its ticks.
        self.token_and_volume.store(u64::from(token) << 32 | u64::from(tick.volume), Release);
        self.times.store(tick.times, Release);
    }
}

/// A tick as a slot keeps it.
#[derive(Debug, Clone, Copy)]
struct Words {
    volume: u32,
    times: u64,
}

impl Words {
    /// Gives what a slot keeps of a packet, and its token.
    #[inline(always)]
    fn of(packet: Packet<'_>, day: u32) -> (u32, Self) {
        let unix_s = packet.exchange_timestamp().map_or(0, |it| it.get());
        (packet.instrument_token(), Self::new(packet.volume(), unix_s, day))
    }

    #[inline(always)]
    fn of_full(packet: &FullPacket, day: u32) -> (u32, Self) {
        let unix_s = packet.exchange_timestamp().map_or(0, |it| it.get());
        (packet.instrument_token(), Self::new(Some(packet.volume()), unix_s, day))
    }

    #[inline(always)]
    fn new(volume: Option<u32>, unix_s: u32, day: u32) -> Self {
        let has_volume = u64::from(volume.is_some()) * HAS_VOLUME;
        let times = u64::from(unix_s) << 32 | u64::from(day << 2) | has_volume;
        Self { volume: volume.unwrap_or_default(), times }
    }

    /// Notes whether the volume has moved today, knowing the tick before.
    #[inline(always)]
    fn after(self, before: Self) -> Self {
        let moved = Self { times: self.times | MOVED, ..self };
        // It had moved before, as nearly always.
        if low(before.times) == low(moved.times) {
            return moved;
        }
        let changed = (self.times ^ before.times) & HAS_VOLUME != 0 || self.volume != before.volume;
        let same_day = low(self.times ^ before.times) >> 2 == 0;
        if same_day && (changed || before.times & MOVED != 0) { moved } else { self }
    }

    fn tick(self) -> LastTick {
        LastTick {
            volume: (self.times & HAS_VOLUME != 0).then_some(self.volume),
            exchange_unix_s: high(self.times),
            day: low(self.times) >> 2,
            moved: self.times & MOVED != 0,
        }
    }
}

/// In the order in which they ticked first, which is nearly the order in which they tick again: so
/// what is needed next lies beside what was needed last, and is in the caches when it is.
#[derive(Debug)]
struct Table {
    slots: Box<[TrackedInstrument]>,
}

impl Table {
    fn new(slots: usize) -> Self {
        Self { slots: std::iter::repeat_with(TrackedInstrument::default).take(slots).collect() }
    }

    fn taken(&self) -> impl Iterator<Item = (u32, &TrackedInstrument)> {
        let slots = self.slots.iter().map(|slot| (slot.token(), slot));
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
        // Nothing: a connection that remembers nothing has no more.
        Self { table: Mutex::new(Arc::new(Table::new(0))) }
    }
}

impl Instruments {
    fn lock(&self) -> MutexGuard<'_, Arc<Table>> {
        self.table.lock()
    }

    /// Gives all instruments that ticked, by rising token.
    pub(crate) fn read(&self) -> Vec<InstrumentStats> {
        let table = Arc::clone(&self.lock());
        let stats = table.taken().map(|(token, slot)| InstrumentStats {
            token,
            ticks: slot.ticks.get(),
            last_seen: Stamp::from_nanos(slot.last_seen.get()),
            volume: slot.words().tick().volume,
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
    /// Where in the table each instrument is.
    places: TokenMap<u32>,
    /// Behind the instrument that ticked last: the likely place of the next.
    next: usize,
}

/// Twenty times what a connection can subscribe, and 3 MiB.
const MOST_INSTRUMENTS: usize = 65_536;
/// 16 KiB, and half as much for their places.
const FEWEST_SLOTS: usize = 512;

impl InstrumentWriter {
    pub(crate) fn new(shared: Arc<Instruments>) -> Self {
        let table = Arc::clone(&shared.lock());
        Self { shared, table, len: 0, places: TokenMap::new(), next: 0 }
    }

    /// Takes note of a frame's packets, and gives each on as it was noted.
    #[inline(always)]
    pub(crate) fn on_frame(
        &mut self,
        ticks: &TickBatch,
        received: Stamp,
        day: u32,
        noted: impl FnMut(u32, LastTick),
    ) {
        let bytes = ticks.as_bytes();
        let full = size_of::<FullPacket>();
        // No packet is longer: as long as this on the whole, each is one of these, and where it
        // stands is known without the length of the one before.
        if ticks.skipped() == 0 && bytes.len() == 2 + ticks.len() * (2 + full) {
            let packets = bytes[2..].chunks_exact(2 + full);
            let packets = packets.filter_map(|packet| FullPacket::from_bytes(&packet[2..]));
            self.note(packets.map(|packet| Words::of_full(packet, day)), received, noted);
        } else {
            let packets = ticks.packets();
            self.note(packets.map(|packet| Words::of(packet, day)), received, noted);
        }
    }

    #[inline(always)]
    fn note(
        &mut self,
        packets: impl Iterator<Item = (u32, Words)>,
        received: Stamp,
        mut noted: impl FnMut(u32, LastTick),
    ) {
        // In hand, so that its place is not looked up for every packet.
        let mut table = Arc::clone(&self.table);
        let mut slots = &*table.slots;
        let received = received.as_nanos();
        for (token, tick) in packets {
            let is_next = |slot: &TrackedInstrument| slot.token() == token && token != 0;
            let place = match slots.get(self.next) {
                Some(slot) if is_next(slot) => Some(self.next),
                _ => self.place(token),
            };
            let Some((place, slot)) = place.and_then(|place| Some((place, slots.get(place)?)))
            else {
                self.on_newcomer(token, tick, received);
                noted(token, tick.tick());
                table = Arc::clone(&self.table);
                slots = &table.slots;
                continue;
            };
            self.next = place + 1;
            let tick = tick.after(slot.words());
            slot.set(token, tick, slot.ticks.get() + 1, received);
            noted(token, tick.tick());
        }
    }

    /// Takes note of the first packet of an instrument.
    #[cold]
    fn on_newcomer(&mut self, token: u32, tick: Words, received: u64) {
        // What nobody subscribed a server gone mad may send without end.
        if token == 0 || self.len >= MOST_INSTRUMENTS {
            return;
        }
        if self.len == self.table.slots.len() {
            self.rebuild((self.len * 2).max(FEWEST_SLOTS), |_| true);
        }
        self.table.slots[self.len].set(token, tick, 1, received);
        // There are fewer than 2^32.
        self.places.insert(token, self.len as u32);
        self.len += 1;
        self.next = self.len;
    }

    #[inline(always)]
    fn place(&self, token: u32) -> Option<usize> {
        self.places.get(token).map(|&place| place as usize)
    }

    /// Gives the last tick of an instrument.
    pub(crate) fn last_tick(&self, token: u32) -> Option<LastTick> {
        let slot = self.table.slots.get(self.place(token)?)?;
        Some(slot.words().tick())
    }

    /// Forgets all instruments but these.
    pub(crate) fn retain(&mut self, told: &BTreeMap<u32, Mode>) {
        if self.table.taken().any(|(token, _)| !told.contains_key(&token)) {
            self.rebuild(self.table.slots.len(), |token| told.contains_key(&token));
        }
    }

    fn rebuild(&mut self, slots: usize, keep: impl Fn(u32) -> bool) {
        let table = Table::new(slots);
        (self.len, self.next, self.places) = (0, 0, TokenMap::with_capacity(slots));
        for (token, old) in self.table.taken().filter(|&(token, _)| keep(token)) {
            let (ticks, last_seen) = (old.ticks.get(), old.last_seen.get());
            table.slots[self.len].set(token, old.words(), ticks, last_seen);
            self.places.insert(token, self.len as u32);
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
        let ticks = TickBatch::new(frame.to_vec().into()).unwrap();
        writer.on_frame(&ticks, received, 7, |_, _| {});
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
