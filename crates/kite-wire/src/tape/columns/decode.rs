//! Puts the records of a block together.

use alloc::vec::Vec;

use super::error::ColumnsError;
use super::field::Field;
use super::mask;
use super::packet::{Coder, Context, Kind, TOKEN, WORDS, Words, walk};
use super::value::{BitReader, unzigzag, unzigzag_64};
use super::{CHECKSUM_KEPT_FROM, KEPT, MAX_INSTRUMENTS, MAX_SOURCES, column};
use crate::tape::checksum::crc32c;
use crate::tape::layout::{RECORD_HEADER_LEN, RecordHead};

/// Fills `body` with the records that [`ColumnsEncoder::encode`](super::ColumnsEncoder::encode)
/// turned into columns. The length of `body` must be the one that they had.
///
/// No length in the columns is trusted. Allocates at most a few MiB, for the instruments.
///
/// # Errors
/// Returns an error if the columns do not describe exactly these bytes; the contents of `body` are
/// then meaningless.
pub fn decode_columns(columns: &[u8], body: &mut [u8]) -> Result<(), ColumnsError> {
    let (records, columns) = split_columns(columns)?;
    let decoder = Decoder {
        columns: columns.map(Column::new),
        bits: BitReader::new(columns[column::BITS]),
        sources: Vec::new(),
        instruments: 0,
        recv_unix_ns: 0,
        clock: 0,
        body,
        at: 0,
    };
    decoder.decode(records)
}

/// Returns the number of records and the bytes of each column.
fn split_columns(bytes: &[u8]) -> Result<(u32, [&[u8]; column::COUNT]), ColumnsError> {
    let (records, bytes) = bytes.split_first_chunk().ok_or(ColumnsError::Short)?;
    let (lens, mut bytes) = bytes.split_at_checked(4 * column::COUNT).ok_or(ColumnsError::Short)?;
    let mut columns = [&[][..]; column::COUNT];
    for (column, len) in columns.iter_mut().zip(lens.as_chunks().0) {
        let len = usize::try_from(u32::from_le_bytes(*len)).map_err(|_| ColumnsError::Short)?;
        (*column, bytes) = bytes.split_at_checked(len).ok_or(ColumnsError::Short)?;
    }
    if bytes.is_empty() {
        Ok((u32::from_le_bytes(*records), columns))
    } else {
        Err(ColumnsError::Surplus)
    }
}

/// A column that is read from its start to its end.
#[derive(Debug, Clone, Copy)]
struct Column<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Column<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    #[inline]
    fn byte(&mut self) -> Result<u8, ColumnsError> {
        let byte = *self.bytes.get(self.at).ok_or(ColumnsError::Short)?;
        self.at += 1;
        Ok(byte)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], ColumnsError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let bytes = rest.get(..len).ok_or(ColumnsError::Short)?;
        self.at += len;
        Ok(bytes)
    }

    fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }
}

struct Decoder<'c, 'b> {
    columns: [Column<'c>; column::COUNT],
    bits: BitReader<'c>,
    sources: Vec<Source>,
    /// Number of instruments of all sources.
    instruments: usize,
    recv_unix_ns: u64,
    clock: u32,
    body: &'b mut [u8],
    /// How much of the body is complete.
    at: usize,
}

/// A group of records with the same kind and source, and its instruments.
#[derive(Debug, Default)]
struct Source {
    head: [u8; 4],
    instruments: Vec<Instrument>,
    /// The instrument that is expected next.
    next: usize,
    /// The token of the last new instrument.
    token: u32,
}

#[derive(Debug, Clone, Copy)]
struct Instrument {
    /// Where its last packet is in the body.
    at: usize,
    kind: Kind,
    unit: u32,
}

impl Decoder<'_, '_> {
    fn decode(mut self, records: u32) -> Result<(), ColumnsError> {
        for _ in 0..records {
            self.record()?;
        }
        let rest = self.body.len() - self.at;
        let tail = self.columns[column::RAW].take(rest)?;
        self.push(tail)?;
        // The last column is read as bits.
        let (columns, is_read) = (&self.columns[..column::BITS], self.bits.is_at_end());
        if is_read && columns.iter().all(Column::is_at_end) {
            Ok(())
        } else {
            Err(ColumnsError::Surplus)
        }
    }

    #[inline]
    fn value(&mut self, column: usize) -> Result<u64, ColumnsError> {
        let symbol = self.columns[column].byte()?;
        self.bits.join(symbol)
    }

    /// Reads a length or a number of packets.
    fn len(&mut self) -> Result<usize, ColumnsError> {
        let len = self.value(column::LENGTH)?;
        usize::try_from(len).map_err(|_| ColumnsError::Long)
    }

    /// Returns the next bytes of the body, to be filled.
    #[inline]
    fn room(&mut self, len: usize) -> Result<&mut [u8], ColumnsError> {
        let rest = self.body.get_mut(self.at..).unwrap_or_default();
        let room = rest.get_mut(..len).ok_or(ColumnsError::Long)?;
        self.at += len;
        Ok(room)
    }

    #[inline]
    fn push(&mut self, bytes: &[u8]) -> Result<(), ColumnsError> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        Ok(())
    }

    fn record(&mut self) -> Result<(), ColumnsError> {
        let source = self.source()?;
        let elapsed = unzigzag_64(self.value(column::RECEIVED)?);
        self.recv_unix_ns = self.recv_unix_ns.wrapping_add(elapsed);
        let start = self.at;
        self.room(RECORD_HEADER_LEN)?;
        match self.value(column::FORM)?.checked_sub(1) {
            None => self.raw()?,
            Some(form) => self.frame(form, source)?,
        }
        let payload = self.body.get(start + RECORD_HEADER_LEN..self.at).unwrap_or_default();
        let is_kept =
            payload.len() >= CHECKSUM_KEPT_FROM || self.columns[column::IS_KEPT].byte()? != 0;
        let checksum = match is_kept {
            true => {
                let bytes = self.columns[column::CHECKSUM].take(4)?;
                u32::from_le_bytes(*bytes.first_chunk().ok_or(ColumnsError::Short)?)
            }
            false => crc32c(payload),
        };
        let len = u32::try_from(payload.len()).map_err(|_| ColumnsError::Long)?;
        let head = self.sources.get(source).ok_or(ColumnsError::Unknown)?.head;
        let head = RecordHead::from_parts(self.recv_unix_ns, len, head, checksum);
        let room = self.body.get_mut(start..).and_then(|it| it.get_mut(..RECORD_HEADER_LEN));
        room.ok_or(ColumnsError::Long)?.copy_from_slice(&head.to_bytes());
        Ok(())
    }

    fn source(&mut self) -> Result<usize, ColumnsError> {
        let Some(number) = self.value(column::SOURCE)?.checked_sub(1) else {
            if self.sources.len() == MAX_SOURCES {
                return Err(ColumnsError::TooMany);
            }
            let bytes = self.columns[column::RAW].take(4)?;
            let head = *bytes.first_chunk().ok_or(ColumnsError::Short)?;
            self.sources.push(Source { head, ..Source::default() });
            return Ok(self.sources.len() - 1);
        };
        let number = usize::try_from(number).map_err(|_| ColumnsError::Unknown)?;
        if number < self.sources.len() { Ok(number) } else { Err(ColumnsError::Unknown) }
    }

    fn raw(&mut self) -> Result<(), ColumnsError> {
        let len = self.len()?;
        let bytes = self.columns[column::RAW].take(len)?;
        self.push(bytes)
    }

    fn frame(&mut self, form: u64, source: usize) -> Result<(), ColumnsError> {
        let declared = u16::try_from(form / 2).map_err(|_| ColumnsError::Long)?;
        self.push(&declared.to_be_bytes())?;
        if form.is_multiple_of(2) {
            for _ in 0..declared {
                self.packet(source)?;
            }
            return Ok(());
        }
        let packets = self.len()?;
        let len = self.len()?;
        let tail = self.columns[column::RAW].take(len)?;
        for _ in 0..packets {
            self.packet(source)?;
        }
        self.push(tail)
    }

    fn packet(&mut self, source: usize) -> Result<(), ColumnsError> {
        let distance = self.value(column::INSTRUMENT)?;
        let from = self.sources.get_mut(source).ok_or(ColumnsError::Unknown)?;
        let (mut before, mut words) = ([0; WORDS], [0; WORDS]);
        let (number, kind, unit, is_first);
        if let Some(distance) = distance.checked_sub(1) {
            number = from.number(distance).ok_or(ColumnsError::Unknown)?;
            let instrument = from.instruments.get(number).ok_or(ColumnsError::Unknown)?;
            (kind, unit, is_first) = (instrument.kind, instrument.unit, false);
            let bytes = self.body.get(instrument.at..).unwrap_or_default();
            kind.load(bytes.get(..kind.len()).ok_or(ColumnsError::Long)?, &mut before);
            words[TOKEN] = before[TOKEN];
        } else {
            let Some(new) = self.columns[column::KIND].byte().and_then(kind_of)? else {
                return self.kept_packet();
            };
            if self.instruments == MAX_INSTRUMENTS {
                return Err(ColumnsError::TooMany);
            }
            self.instruments += 1;
            let distance = unzigzag(self.value(column::TOKEN)? as u32);
            (kind, unit, is_first) = (new, self.value(column::UNIT)? as u32, true);
            let from = self.sources.get_mut(source).ok_or(ColumnsError::Unknown)?;
            from.token = from.token.wrapping_add(distance);
            words[TOKEN] = from.token;
            number = from.instruments.len();
            from.instruments.push(Instrument { at: 0, kind, unit });
            from.next = number + 1;
        }
        let is_lost = self.differences(kind, unit, is_first, &before, &mut words)?;
        self.push(&(kind.len() as u16).to_be_bytes())?;
        let at = self.at;
        kind.store(&words, self.room(kind.len())?);
        let from = self.sources.get_mut(source).ok_or(ColumnsError::Unknown)?;
        let instrument = from.instruments.get_mut(number).ok_or(ColumnsError::Unknown)?;
        instrument.at = at;
        if is_lost {
            instrument.unit = 1;
        }
        Ok(())
    }

    /// Puts a packet's numbers together. Returns whether the unit is 1 from now on.
    #[inline]
    fn differences(
        &mut self,
        kind: Kind,
        unit: u32,
        is_first: bool,
        before: &Words,
        words: &mut Words,
    ) -> Result<bool, ColumnsError> {
        let mut masks = [0; 4];
        for (column, mask) in masks.iter_mut().take(mask::len(kind)).enumerate() {
            *mask = self.columns[column::MASKS + column].byte()?;
        }
        let is_lost = masks[0] & mask::UNIT_LOST != 0;
        let unit = if is_lost { 1 } else { unit };
        let fields = Field::all(is_first);
        let mut differences = [0; WORDS];
        mask::places(masks, |place| {
            let field = fields[place];
            differences[place] = field.difference(self.value(field.column)? as u32, unit);
            Ok(())
        })?;
        let moved = masks[0] & mask::MOVED != 0;
        let context = Context { kind, is_first, clock: self.clock, moved };
        self.clock = walk(&mut Together { differences: &differences, words }, before, context);
        Ok(is_lost)
    }

    fn kept_packet(&mut self) -> Result<(), ColumnsError> {
        let len = self.len()?;
        let bytes = self.columns[column::RAW].take(len)?;
        let len = u16::try_from(len).map_err(|_| ColumnsError::Long)?;
        self.push(&len.to_be_bytes())?;
        self.push(bytes)
    }
}

impl Source {
    /// Returns the instrument that is so far from the expected one, and expects the next.
    #[inline]
    fn number(&mut self, distance: u64) -> Option<usize> {
        let len = self.instruments.len();
        let distance = usize::try_from(distance).ok().filter(|it| *it < len)?;
        let expected = if self.next < len { self.next } else { 0 };
        let number = expected + distance;
        let number = if number < len { number } else { number - len };
        self.next = number + 1;
        Some(number)
    }
}

/// Returns the kind of a packet; `None` if it is kept as it is.
fn kind_of(code: u8) -> Result<Option<Kind>, ColumnsError> {
    match Kind::ALL.get(usize::from(code)) {
        None if code != KEPT => Err(ColumnsError::Unknown),
        kind => Ok(kind.copied()),
    }
}

/// Puts the numbers of a packet together.
struct Together<'w> {
    differences: &'w Words,
    words: &'w mut Words,
}

impl Coder for Together<'_> {
    #[inline]
    fn word(&mut self, place: usize, expected: u32) -> u32 {
        self.words[place] = expected.wrapping_add(self.differences[place]);
        self.words[place]
    }
}
