//! Takes the records of a block apart.

use alloc::vec::Vec;
use core::convert::Infallible;

use super::field::Field;
use super::mask;
use super::packet::{Coder, Context, Kind, LAST, SIDES, TOKEN, WORDS, Words, walk};
use super::shape::{Shape, packet_at};
use super::unit::unit_of;
use super::value::{BitWriter, split, zigzag, zigzag_64};
use super::{CHECKSUM_KEPT_FROM, KEPT, MAX_COLUMNS_BODY_LEN, MAX_INSTRUMENTS, MAX_SOURCES, column};
use crate::tape::checksum::crc32c;
use crate::tape::error::TapeWriteError;
use crate::tape::layout::{RECORD_HEADER_LEN, RecordHead};
use crate::tape::record::RecordKind;
use crate::token_map::TokenMap;

/// Turns the records of blocks into columns. It keeps its buffers for the next block.
#[derive(Debug)]
pub struct ColumnsEncoder {
    columns: [Vec<u8>; column::COUNT],
    bits: BitWriter,
    sources: Vec<Source>,
    source_numbers: TokenMap<u32>,
    /// Number of instruments of all sources.
    instruments: usize,
    recv_unix_ns: u64,
    clock: u32,
}

/// A group of records with the same kind and source, and its instruments.
#[derive(Debug, Default)]
struct Source {
    /// In the order of their first packets.
    instruments: Vec<Instrument>,
    numbers: TokenMap<u32>,
    /// The instrument that is expected next.
    next: usize,
    /// The token of the last new instrument.
    token: u32,
}

#[derive(Debug, Clone, Copy)]
struct Instrument {
    /// Where its last packet is in the body.
    at: u32,
    kind: Kind,
    unit: u32,
}

impl ColumnsEncoder {
    /// Creates an encoder. It allocates when it is used.
    #[must_use]
    pub fn new() -> Self {
        Self {
            columns: [const { Vec::new() }; column::COUNT],
            bits: BitWriter::default(),
            sources: Vec::new(),
            source_numbers: TokenMap::new(),
            instruments: 0,
            recv_unix_ns: 0,
            clock: 0,
        }
    }

    /// Replaces the contents of `columns` by the columns of the records in `body`.
    ///
    /// # Errors
    /// Returns [`TapeWriteError::BlockFull`] if the body is longer than [`MAX_COLUMNS_BODY_LEN`].
    pub fn encode(&mut self, body: &[u8], columns: &mut Vec<u8>) -> Result<(), TapeWriteError> {
        columns.clear();
        if body.len() > MAX_COLUMNS_BODY_LEN {
            return Err(TapeWriteError::BlockFull { needed: body.len(), used: 0 });
        }
        self.clear();
        let (mut at, mut records) = (0, 0_u32);
        while let Some((head, payload)) = body.get(at..).and_then(RecordHead::read)
            && let Some(payload) = payload.get(..head.payload_len())
            && let Some(source) = self.source(head)
        {
            self.record(body, at + RECORD_HEADER_LEN, head, payload, source);
            at += RECORD_HEADER_LEN + payload.len();
            records += 1;
        }
        self.columns[column::RAW].extend_from_slice(body.get(at..).unwrap_or_default());
        columns.extend_from_slice(&records.to_le_bytes());
        let (last, before) = (self.bits.finish(), &self.columns[..column::BITS]);
        let parts = before.iter().map(Vec::as_slice).chain([last]);
        // No column is longer than 32 bits can say: the body is far shorter.
        parts.clone().for_each(|it| columns.extend_from_slice(&(it.len() as u32).to_le_bytes()));
        parts.for_each(|it| columns.extend_from_slice(it));
        Ok(())
    }

    fn clear(&mut self) {
        self.columns.iter_mut().for_each(Vec::clear);
        self.bits.clear();
        self.sources.clear();
        self.source_numbers = TokenMap::new();
        (self.instruments, self.recv_unix_ns, self.clock) = (0, 0, 0);
    }

    #[inline]
    fn value(&mut self, column: usize, value: u64) {
        let (symbol, open, len) = split(value);
        self.columns[column].push(symbol);
        self.bits.push(open, len);
    }

    fn record(&mut self, body: &[u8], at: usize, head: &RecordHead, payload: &[u8], source: usize) {
        let recv_unix_ns = head.recv_unix_ns.get();
        let elapsed = recv_unix_ns.wrapping_sub(self.recv_unix_ns) as i64;
        self.recv_unix_ns = recv_unix_ns;
        self.value(column::RECEIVED, zigzag_64(elapsed));
        match Shape::of(payload).filter(|_| head.kind == RecordKind::Binary as u8) {
            Some(shape) => self.frame(body, at, payload, shape, source),
            None => {
                self.value(column::FORM, 0);
                self.raw(payload);
            }
        }
        let stored = head.payload_crc.get();
        let is_kept = payload.len() >= CHECKSUM_KEPT_FROM || stored != crc32c(payload);
        if payload.len() < CHECKSUM_KEPT_FROM {
            self.columns[column::IS_KEPT].push(is_kept.into());
        }
        if is_kept {
            self.columns[column::CHECKSUM].extend_from_slice(&stored.to_le_bytes());
        }
    }

    /// Writes and returns the number of a record's source; `None` if there are too many.
    fn source(&mut self, head: &RecordHead) -> Option<usize> {
        let bytes = head.source_bytes();
        let key = u32::from_le_bytes(bytes);
        if let Some(&number) = self.source_numbers.get(key) {
            self.value(column::SOURCE, 1 + u64::from(number));
            return Some(number as usize);
        }
        let number = self.sources.len();
        if number == MAX_SOURCES {
            return None;
        }
        self.source_numbers.insert(key, number as u32);
        self.sources.push(Source::default());
        self.value(column::SOURCE, 0);
        self.columns[column::RAW].extend_from_slice(&bytes);
        Some(number)
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.value(column::LENGTH, bytes.len() as u64);
        self.columns[column::RAW].extend_from_slice(bytes);
    }

    fn frame(&mut self, body: &[u8], at: usize, payload: &[u8], shape: Shape, source: usize) {
        let Shape { declared, packets, len } = shape;
        let is_whole = packets == declared && len == payload.len();
        self.value(column::FORM, 1 + 2 * u64::from(declared) + u64::from(!is_whole));
        if !is_whole {
            self.value(column::LENGTH, packets.into());
            self.raw(&payload[len..]);
        }
        let mut from = 2;
        for _ in 0..packets {
            let Some(packet) = packet_at(payload, from) else { return };
            from += 2 + packet.len();
            self.packet(body, at + from - packet.len(), packet, source);
        }
    }

    fn packet(&mut self, body: &[u8], at: usize, packet: &[u8], source: usize) {
        let Some(kind) = Kind::of_len(packet.len()) else { return self.kept_packet(packet) };
        let (mut words, mut before) = ([0; WORDS], [0; WORDS]);
        kind.load(packet, &mut words);
        let known = self.sources[source].find(body, kind, words[TOKEN]);
        let (number, unit) = match known {
            Some((number, distance)) => {
                self.value(column::INSTRUMENT, 1 + distance);
                let instrument = &mut self.sources[source].instruments[number];
                let from = instrument.at as usize;
                instrument.at = at as u32;
                kind.load(&body[from..from + kind.len()], &mut before);
                (number, instrument.unit)
            }
            None if self.instruments == MAX_INSTRUMENTS => return self.kept_packet(packet),
            None => {
                self.instruments += 1;
                let unit = unit_of(kind, &words);
                self.value(column::INSTRUMENT, 0);
                self.columns[column::KIND].push(kind as u8);
                let from = &mut self.sources[source];
                let distance = words[TOKEN].wrapping_sub(from.token);
                let number = from.add(Instrument { at: at as u32, kind, unit }, words[TOKEN]);
                self.value(column::TOKEN, zigzag(distance as i32).into());
                self.value(column::UNIT, unit.into());
                (number, unit)
            }
        };
        if self.differences(kind, &words, &before, unit, known.is_none()) == Unit::Lost {
            self.sources[source].instruments[number].unit = 1;
        }
    }

    fn kept_packet(&mut self, packet: &[u8]) {
        self.value(column::INSTRUMENT, 0);
        self.columns[column::KIND].push(KEPT);
        self.raw(packet);
    }

    /// Writes in what a packet differs from the expectation.
    fn differences(
        &mut self,
        kind: Kind,
        words: &Words,
        before: &Words,
        unit: u32,
        is_first: bool,
    ) -> Unit {
        let moved = kind == Kind::Full && !is_first && has_moved(words, before);
        let mut apart = Apart { words, differences: [0; WORDS] };
        let context = Context { kind, is_first, clock: self.clock, moved };
        self.clock = walk(&mut apart, before, context);
        let differences = &apart.differences;
        let fields = Field::all(is_first);
        let mut masks = mask::of(kind, differences);
        let is_multiple = |place: usize| match fields[place].is_multiple(differences[place], unit) {
            true => Ok(()),
            false => Err(()),
        };
        let is_lost = unit != 1 && mask::places(masks, is_multiple).is_err();
        let unit = if is_lost { 1 } else { unit };
        if moved {
            masks[0] |= mask::MOVED;
        }
        if is_lost {
            masks[0] |= mask::UNIT_LOST;
        }
        for (column, mask) in masks.iter().take(mask::len(kind)).enumerate() {
            self.columns[column::MASKS + column].push(*mask);
        }
        let Ok(()) = mask::places(masks, |place| {
            let field = fields[place];
            self.value(field.column, field.value(differences[place], unit).into());
            Ok::<(), Infallible>(())
        });
        if is_lost { Unit::Lost } else { Unit::Kept }
    }
}

impl Default for ColumnsEncoder {
    fn default() -> Self {
        Self::new()
    }
}

/// Whether the unit of an instrument's quantities still holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Kept,
    Lost,
}

impl Source {
    /// Returns the number of an instrument, and how far it is from the expected one.
    #[inline]
    fn find(&mut self, body: &[u8], kind: Kind, token: u32) -> Option<(usize, u64)> {
        let is_it = |instrument: &Instrument| {
            let at = instrument.at as usize;
            instrument.kind == kind && body.get(at..at + 4) == Some(&token.to_be_bytes())
        };
        let expected = if self.next < self.instruments.len() { self.next } else { 0 };
        let number = match self.instruments.get(expected) {
            Some(instrument) if is_it(instrument) => expected,
            _ => {
                let number = *self.numbers.get(key(kind, token))? as usize;
                self.instruments.get(number).filter(|it| is_it(it))?;
                number
            }
        };
        self.next = number + 1;
        let distance = match number.checked_sub(expected) {
            Some(distance) => distance,
            None => number + self.instruments.len() - expected,
        };
        Some((number, distance as u64))
    }

    /// Adds an instrument and returns its number.
    fn add(&mut self, instrument: Instrument, token: u32) -> usize {
        let number = self.instruments.len();
        self.numbers.insert(key(instrument.kind, token), number as u32);
        self.instruments.push(instrument);
        self.token = token;
        self.next = number + 1;
        number
    }
}

/// Returns the key of an instrument's packets of one kind. Two may share one, and then take turns.
#[inline]
fn key(kind: Kind, token: u32) -> u32 {
    token ^ (kind as u32) << 29
}

/// Takes the numbers of a packet apart.
struct Apart<'w> {
    words: &'w Words,
    differences: Words,
}

impl Coder for Apart<'_> {
    #[inline]
    fn word(&mut self, place: usize, expected: u32) -> u32 {
        self.differences[place] = self.words[place].wrapping_sub(expected);
        self.words[place]
    }
}

/// Returns whether the best prices moved with the last price rather than not at all.
#[inline]
fn has_moved(words: &Words, before: &Words) -> bool {
    let step = words[LAST].wrapping_sub(before[LAST]);
    if step == 0 {
        return false;
    }
    let count = |step: u32| {
        SIDES.iter().filter(|&&side| words[side + 1] == before[side + 1].wrapping_add(step)).count()
    };
    count(step) > count(0)
}
