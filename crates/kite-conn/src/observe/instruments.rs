//! Statistics of each instrument of a connection: written with every packet by one task, read by
//! any task at any time.
//!
//! A table of atomics with a single writer, so that the hot path costs a comparison or a lookup and
//! some plain stores, and readers never block it.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

use kite_wire::{FullPacket, Mode, Packet, TickBatch, TokenMap};
use parking_lot::{Mutex, MutexGuard};

use super::count::Count;
use crate::clock::Stamp;

/// Statistics of one instrument on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InstrumentStats {
    /// The instrument token.
    pub token: u32,
    /// Its ticks on this connection, across all sockets while it stayed subscribed. An unsubscribed
    /// instrument is forgotten when the socket is lost.
    pub ticks: u64,
    /// When the last of them was read from the socket.
    pub last_seen: Stamp,
    /// The day's volume at that tick, if its packet carries one.
    pub volume: Option<u32>,
}

/// The part of an instrument's last tick that a gap needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastTick {
    pub(crate) volume: Option<u32>,
    /// The exchange timestamp, 0 if the packet has none.
    pub(crate) exchange_unix_s: u32,
    /// The day it was received, by the local wall clock.
    pub(crate) day: u32,
    /// Whether the volume was seen to change on that day. Without a change it may be the last tick
    /// of the day before, which the server sends for subscriptions made before the market opens.
    pub(crate) moved: bool,
}

/// One instrument, half a cache line. A token of 0 means that the slot is free: Kite has no such
/// instrument, and if a server sends one, it is not recorded.
#[derive(Debug, Default)]
#[repr(align(32))]
struct TrackedInstrument {
    /// The token in the high half and the volume in the low one, so that one load reads both.
    token_and_volume: AtomicU64,
    /// The exchange timestamp in the high half. The low half is four times the day, plus two if the
    /// volume changed on it, plus one if there is a volume.
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
        // Loaded before the volume, so that if `times` has a volume, that volume is already stored.
        let times = self.times.load(Acquire);
        Words { volume: low(self.token_and_volume.load(Relaxed)), times }
    }

    fn last_tick(&self) -> (Stamp, LastTick) {
        (Stamp::from_nanos(self.last_seen.get()), self.words().tick())
    }

    fn set(&self, token: u32, tick: Words, ticks: u64, last_seen: u64) {
        self.ticks.set(ticks);
        self.last_seen.set(last_seen);
        // Stored last, so that a reader that sees the token also sees its ticks.
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
    /// Returns a packet's token and the part of it that a slot keeps.
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

    /// Marks whether the volume has moved today, given the tick before.
    #[inline(always)]
    fn after(self, before: Self) -> Self {
        let moved = Self { times: self.times | MOVED, ..self };
        // In the common case it had moved before.
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

/// In the order of first ticks, which is nearly the order of later ones, so that the slot needed
/// next is beside the one needed last, and already in the cache.
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

/// The current table, as readers find it.
#[derive(Debug)]
pub(crate) struct Instruments {
    /// Locked to replace the table, which is rare, and to read all of it; not by the hot path.
    table: Mutex<Arc<Table>>,
    /// Ticks of instruments that were not subscribed.
    unsubscribed: Count,
}

impl Default for Instruments {
    fn default() -> Self {
        // Empty, because a connection that tracks no instruments needs no more.
        Self { table: Mutex::new(Arc::new(Table::new(0))), unsubscribed: Count::default() }
    }
}

impl Instruments {
    fn lock(&self) -> MutexGuard<'_, Arc<Table>> {
        self.table.lock()
    }

    /// Returns all instruments that ticked, by ascending token.
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

    /// Returns the number of ticks of instruments that were not subscribed.
    pub(crate) fn unsubscribed_ticks(&self) -> u64 {
        self.unsubscribed.get()
    }

    /// Returns the last tick of each of `tokens` that has ticked, and when it was received.
    pub(crate) fn last_ticks(&self, tokens: &[u32]) -> BTreeMap<u32, (Stamp, LastTick)> {
        let table = Arc::clone(&self.lock());
        let wanted: BTreeSet<u32> = tokens.iter().copied().collect();
        let found = table.taken().filter(|(token, _)| wanted.contains(token));
        found.map(|(token, slot)| (token, slot.last_tick())).collect()
    }
}

/// The only writer.
#[derive(Debug)]
pub(crate) struct InstrumentWriter {
    shared: Arc<Instruments>,
    table: Arc<Table>,
    len: usize,
    /// Where in the table each instrument is.
    places: TokenMap<u32>,
    /// The place after the instrument that ticked last: likely that of the next.
    next: usize,
    /// The instruments that were subscribed on the current socket.
    subscribed: TokenMap<()>,
    unsubscribed: Unsubscribed,
}

/// Whether an instrument has ticked on the current socket that was not subscribed on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unsubscribed {
    None,
    /// The first one, which is to be reported.
    First(u32),
    Reported,
}

/// Twenty times what a connection can subscribe, in 3 MiB.
const MOST_INSTRUMENTS: usize = 65_536;
/// 16 KiB, plus half as much for their places.
const FEWEST_SLOTS: usize = 512;

impl InstrumentWriter {
    pub(crate) fn new(shared: Arc<Instruments>) -> Self {
        let table = Arc::clone(&shared.lock());
        Self {
            shared,
            table,
            len: 0,
            places: TokenMap::new(),
            next: 0,
            subscribed: TokenMap::new(),
            unsubscribed: Unsubscribed::None,
        }
    }

    /// Records that instruments are subscribed; before that, none of them is tracked.
    pub(crate) fn on_subscribed(&mut self, tokens: &[u32]) {
        for &token in tokens {
            self.subscribed.insert(token, ());
        }
    }

    /// Returns the first instrument that ticked on this socket and was not subscribed, once.
    #[inline]
    pub(crate) fn poll_unsubscribed(&mut self) -> Option<u32> {
        let Unsubscribed::First(token) = self.unsubscribed else { return None };
        self.unsubscribed = Unsubscribed::Reported;
        Some(token)
    }

    /// Records a frame's packets, and passes each to `noted` as recorded.
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
        // No packet is longer than a full one. At this total length every packet is full, and its
        // offset is known without the length of the one before.
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
        // Kept in locals, so that they are not loaded again for every packet.
        let mut table = Arc::clone(&self.table);
        let mut slots = &*table.slots;
        let mut next = self.next;
        let received = received.as_nanos();
        for (token, tick) in packets {
            let expected = slots.get(next).filter(|slot| slot.token() == token && token != 0);
            let slot = if let Some(slot) = expected {
                slot
            } else if let Some((place, slot)) =
                self.place(token).and_then(|place| Some((place, slots.get(place)?)))
            {
                next = place;
                slot
            } else {
                self.next = next;
                self.on_newcomer(token, tick, received);
                noted(token, tick.tick());
                table = Arc::clone(&self.table);
                slots = &table.slots;
                next = self.next;
                continue;
            };
            next += 1;
            let tick = tick.after(slot.words());
            slot.set(token, tick, slot.ticks.get() + 1, received);
            noted(token, tick.tick());
        }
        self.next = next;
    }

    /// Records the first packet of an instrument.
    #[cold]
    fn on_newcomer(&mut self, token: u32, tick: Words, received: u64) {
        // A faulty server may send any number of other tokens.
        if !self.subscribed.contains(token) {
            self.shared.unsubscribed.add(1);
            if self.unsubscribed == Unsubscribed::None {
                self.unsubscribed = Unsubscribed::First(token);
            }
            return;
        }
        // An application may subscribe any number of instruments one after the other.
        if token == 0 || self.len >= MOST_INSTRUMENTS {
            return;
        }
        if self.len == self.table.slots.len() {
            self.rebuild((self.len * 2).max(FEWEST_SLOTS), |_| true);
        }
        self.table.slots[self.len].set(token, tick, 1, received);
        // The limit is below 2^32.
        self.places.insert(token, self.len as u32);
        self.len += 1;
        self.next = self.len;
    }

    #[inline(always)]
    fn place(&self, token: u32) -> Option<usize> {
        self.places.get(token).map(|&place| place as usize)
    }

    /// Returns the last tick of an instrument, and when it was received.
    pub(crate) fn last_tick(&self, token: u32) -> Option<(Stamp, LastTick)> {
        Some(self.table.slots.get(self.place(token)?)?.last_tick())
    }

    /// Handles the loss of a socket, and forgets all instruments that are not in `subscribed`.
    pub(crate) fn on_lost(&mut self, subscribed: &BTreeMap<u32, Mode>) {
        (self.subscribed, self.unsubscribed) = (TokenMap::new(), Unsubscribed::None);
        if self.table.taken().any(|(token, _)| !subscribed.contains_key(&token)) {
            self.rebuild(self.table.slots.len(), |token| subscribed.contains_key(&token));
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
