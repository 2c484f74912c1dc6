//! The newest packet of each instrument of one connection: one writer, readers without locks.
//!
//! Packets are stored in rows; each row is a seqlock made only of atomics. An index maps tokens to
//! rows; when it is full, one of twice the size is published next to it. Rows never move, so that a
//! result from an old index stays valid. Memory is freed only with the whole table.

use std::array;
use std::hint;
use std::sync::OnceLock;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU64, AtomicUsize, fence};
use std::thread;

use kite_wire::{Packet, TokenMap, token_hash};

/// Bytes of the longest packet.
pub(super) const MAX_PACKET: usize = 184;

const WORD: usize = size_of::<u64>();
const WORDS: usize = MAX_PACKET / WORD;

/// Rows of the first level: 64 KiB. Each further level doubles the total.
const FIRST_ROWS: usize = 256;

/// Maximum number of levels: 65,536 rows, twenty times what a connection can have subscribed. An
/// application that subscribes one instrument after the other must not exhaust the memory.
const LEVELS: usize = 9;

/// Number of times a reader retries before it yields; a write takes tens of nanoseconds.
const SPINS: u32 = 64;

/// A copy of a row.
#[derive(Clone, Copy)]
pub(super) struct Copied {
    pub(super) bytes: [u8; MAX_PACKET],
    pub(super) len: usize,
    pub(super) received_ns: u64,
    pub(super) epoch: u32,
}

/// A seqlock. Four cache lines, of which all but full packets need two.
///
/// The writer makes `turn` odd, then writes, then makes it even again. A reader takes the turn
/// before and after, and accepts what it read only if both are the same even number. This is enough
/// although all words are relaxed:
/// - Nothing older is read: the turn is read with acquire and was written with release, so that all
///   words of that write, and of those before it, are seen or have been replaced.
/// - Nothing newer is read: if any word is of a later write, then the reader's fence, which follows
///   the word's load, synchronizes with the writer's fence, which precedes the word's store; the
///   odd turn, stored before that fence, is then seen by the second load of the turn, or a later
///   one. Turns only rise, and 64 bits do not wrap, so it differs from the first.
#[derive(Debug)]
#[repr(align(64))]
struct Row {
    turn: AtomicU64,
    received_ns: AtomicU64,
    /// The epoch in the upper half, the packet's length in bytes in the lower.
    epoch_and_len: AtomicU64,
    words: [AtomicU64; WORDS],
}

impl Row {
    fn new() -> Self {
        Self {
            turn: AtomicU64::new(0),
            received_ns: AtomicU64::new(0),
            epoch_and_len: AtomicU64::new(0),
            words: array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    /// Replaces the packet; only the single writer may call this.
    #[inline]
    fn write(&self, packet: &[u8], received_ns: u64, epoch: u32) {
        let turn = self.turn.load(Relaxed);
        self.turn.store(turn.wrapping_add(1), Relaxed);
        fence(Release);
        let len = packet.len().min(MAX_PACKET);
        self.received_ns.store(received_ns, Relaxed);
        self.epoch_and_len.store(u64::from(epoch) << 32 | len as u64, Relaxed);
        let (whole, rest) = packet.as_chunks::<WORD>();
        for (word, bytes) in self.words.iter().zip(whole) {
            word.store(u64::from_le_bytes(*bytes), Relaxed);
        }
        if let Some(word) = self.words.get(whole.len())
            && !rest.is_empty()
        {
            let mut bytes = [0; WORD];
            bytes[..rest.len()].copy_from_slice(rest);
            word.store(u64::from_le_bytes(bytes), Relaxed);
        }
        self.turn.store(turn.wrapping_add(2), Release);
    }

    /// Copies the packet, unless it is being written.
    #[inline]
    fn try_read(&self) -> Option<Copied> {
        let turn = self.turn.load(Acquire);
        if turn % 2 == 1 {
            return None;
        }
        let received_ns = self.received_ns.load(Relaxed);
        let epoch_and_len = self.epoch_and_len.load(Relaxed);
        let len = (epoch_and_len & 0xffff_ffff) as usize;
        let mut bytes = [0; MAX_PACKET];
        let words = bytes.as_chunks_mut::<WORD>().0.iter_mut().zip(&self.words);
        for (bytes, word) in words.take(len.div_ceil(WORD)) {
            *bytes = word.load(Relaxed).to_le_bytes();
        }
        fence(Acquire);
        let epoch = (epoch_and_len >> 32) as u32;
        (self.turn.load(Relaxed) == turn).then_some(Copied { bytes, len, received_ns, epoch })
    }

    /// Copies the packet. If the writer was preempted in the middle of a write, yields until it is
    /// done.
    fn read(&self) -> Copied {
        loop {
            for _ in 0..SPINS {
                if let Some(copied) = self.try_read() {
                    return copied;
                }
                hint::spin_loop();
            }
            thread::yield_now();
        }
    }
}

/// Maps tokens to rows by open addressing: the token is in the upper half, the row in the lower. 0
/// marks a free place, and at least one is always free.
#[derive(Debug)]
struct Index {
    places: Box<[AtomicU64]>,
}

impl Index {
    fn new(places: usize) -> Self {
        Self { places: (0..places).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Returns the place of a token and its row; if the token is unknown, the free place for it and
    /// `None`.
    #[inline]
    fn find(&self, token: u32) -> (&AtomicU64, Option<usize>) {
        let mask = self.places.len() - 1;
        let mut at = token_hash(token) & mask;
        loop {
            let place = &self.places[at];
            let found = place.load(Acquire);
            if found == 0 {
                return (place, None);
            }
            if (found >> 32) as u32 == token {
                return (place, Some((found & 0xffff_ffff) as usize));
            }
            at = (at + 1) & mask;
        }
    }

    /// Adds a token that is not in the index.
    fn insert(&self, token: u32, row: usize) {
        // Release makes a reader that finds the token also see its row.
        self.find(token).0.store(u64::from(token) << 32 | row as u64, Release);
    }
}

/// Published as a unit: the rows that the level adds, and an index of all rows so far.
#[derive(Debug)]
struct Level {
    index: Index,
    rows: Box<[Row]>,
}

/// The rows of one connection.
#[derive(Debug)]
pub(super) struct Table {
    levels: [OnceLock<Level>; LEVELS],
    /// Number of published levels.
    published: AtomicUsize,
    refused: AtomicU64,
}

impl Table {
    pub(super) fn new() -> Self {
        Self {
            levels: array::from_fn(|_| OnceLock::new()),
            published: AtomicUsize::new(0),
            refused: AtomicU64::new(0),
        }
    }

    /// Copies the newest packet of an instrument.
    pub(super) fn get(&self, token: u32) -> Option<Copied> {
        // Kite has no such instrument; 0 marks free places.
        if token == 0 {
            return None;
        }
        let row = self.newest()?.index.find(token).1?;
        Some(self.row(row)?.read())
    }

    /// Returns the number of packets that were not stored.
    pub(super) fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn newest(&self) -> Option<&Level> {
        self.levels.get(self.published.load(Acquire).checked_sub(1)?)?.get()
    }

    /// Returns a row by its number across all levels.
    #[inline]
    fn row(&self, row: usize) -> Option<&Row> {
        // Levels 0 and 1 have 256 rows each, every further level twice as many as the one before.
        let level = (row / FIRST_ROWS).checked_ilog2().map_or(0, |doubled| doubled as usize + 1);
        let first = if level == 0 { 0 } else { FIRST_ROWS << (level - 1) };
        self.levels.get(level)?.get()?.rows.get(row - first)
    }
}

/// The writing side; a table has only one.
#[derive(Debug)]
pub(super) struct Writer<'a> {
    pub(super) table: &'a Table,
    /// Number of instruments stored.
    pub(super) len: &'a mut usize,
    /// Only these are stored.
    pub(super) subscribed: &'a TokenMap<()>,
}

impl Writer<'_> {
    /// Stores a packet.
    #[inline]
    pub(super) fn put(&mut self, packet: Packet<'_>, received_ns: u64, epoch: u32) {
        let token = packet.instrument_token();
        let known = self.table.newest().and_then(|level| level.index.find(token).1);
        match known.and_then(|row| self.table.row(row)) {
            Some(row) => row.write(packet.as_bytes(), received_ns, epoch),
            None => self.add(packet, received_ns, epoch),
        }
    }

    #[cold]
    fn add(&mut self, packet: Packet<'_>, received_ns: u64, epoch: u32) {
        let token = packet.instrument_token();
        if !self.subscribed.contains(token) {
            return self.refuse();
        }
        if token == 0 {
            return;
        }
        if self.table.row(*self.len).is_none() {
            self.grow();
        }
        let (Some(row), Some(level)) = (self.table.row(*self.len), self.table.newest()) else {
            return self.refuse();
        };
        row.write(packet.as_bytes(), received_ns, epoch);
        level.index.insert(token, *self.len);
        *self.len += 1;
    }

    fn refuse(&self) {
        let refused = self.table.refused.load(Relaxed);
        self.table.refused.store(refused.wrapping_add(1), Relaxed);
    }

    /// Publishes the next level, unless all are in use.
    fn grow(&mut self) {
        let published = self.table.published.load(Relaxed);
        let Some(level) = self.table.levels.get(published) else { return };
        let rows = if published == 0 { FIRST_ROWS } else { FIRST_ROWS << (published - 1) };
        // At most half full, so that look-ups stay short and terminate.
        let index = Index::new((FIRST_ROWS << published) * 2);
        let older = self.table.newest().map_or(&[][..], |level| &level.index.places);
        for place in older.iter().map(|place| place.load(Relaxed)).filter(|&place| place != 0) {
            index.insert((place >> 32) as u32, (place & 0xffff_ffff) as usize);
        }
        let rows = (0..rows).map(|_| Row::new()).collect();
        if level.set(Level { index, rows }).is_ok() {
            self.table.published.store(published + 1, Release);
        }
    }
}
