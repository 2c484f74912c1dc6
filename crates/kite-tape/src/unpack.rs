//! Decompresses a block of a file and reads its records.

use bytes::Bytes;
use kite_wire::tape::{Block, CODEC_STORED, CODEC_ZSTD, MAX_BODY_LEN, Received, Record};

use crate::entry::Entry;
use crate::error::{Damage, DamageCause};
use crate::file::{Bounds, Part, TapeFile};

/// The records of one part of a tape.
#[derive(Debug, Default)]
pub(crate) struct Unpacked {
    /// The records, and the damage between them.
    pub(crate) items: Vec<Result<Entry, Damage>>,
    /// Number of further records with kinds of later versions.
    pub(crate) unknown_kinds: u64,
}

impl Unpacked {
    fn damage(damage: Damage) -> Self {
        Self { items: vec![Err(damage)], unknown_kinds: 0 }
    }
}

/// Reads the records of a part. Blocks are independent, so any thread can do it at any time.
pub(crate) fn unpack(file: &TapeFile, part: Part) -> Unpacked {
    let (offset, bounds) = match part {
        Part::Block { offset, bounds, .. } => (offset, bounds),
        Part::Skipped(skipped, bounds) => {
            let cause = DamageCause::Skipped(skipped);
            return Unpacked::damage(damage(file, skipped.from, skipped.records, bounds, cause));
        }
    };
    let tape = file.tape();
    // The block was found at this offset when the file was opened.
    let Some(block) = tape.block_at(offset) else { return Unpacked::default() };
    let lost =
        |cause| Unpacked::damage(damage(file, offset, Some(block.records_len()), bounds, cause));
    match block.codec() {
        CODEC_STORED => records(file, &block, bounds, &file.bytes().slice_ref(block.stored())),
        CODEC_ZSTD if to_usize(block.raw_len()) > MAX_BODY_LEN => {
            lost(DamageCause::BlockTooLong { declared: block.raw_len() })
        }
        CODEC_ZSTD if !block.is_stored_intact() => lost(DamageCause::BlockChecksum),
        // Never decompresses more than `raw_len` bytes, regardless of what the compressed data
        // declares.
        CODEC_ZSTD => match zstd::bulk::decompress(block.stored(), to_usize(block.raw_len())) {
            Ok(raw) => records(file, &block, bounds, &Bytes::from(raw)),
            Err(error) => lost(DamageCause::Unpack(error.to_string())),
        },
        codec => lost(DamageCause::UnknownCodec { codec }),
    }
}

/// Reads the records in the bytes of a block, as slices of these.
fn records(file: &TapeFile, block: &Block<'_>, bounds: Bounds, raw: &Bytes) -> Unpacked {
    let mut records = block.decoded(raw);
    let mut items = Vec::with_capacity(to_usize(block.records_len()).min(raw.len() / 24 + 1));
    let mut damages = 0;
    for record in records.by_ref() {
        items.push(match record {
            Ok(record) => Ok(entry(&record, raw)),
            Err(skipped) => {
                damages += 1;
                // Offsets within a compressed block are not offsets in the file.
                let is_stored = block.codec() == CODEC_STORED;
                let offset = if is_stored { skipped.from } else { block.offset() };
                let cause = DamageCause::Skipped(skipped);
                Err(damage(file, offset, skipped.records, bounds, cause))
            }
        });
    }
    if damages > 0 {
        narrow(&mut items);
    }
    Unpacked { items, unknown_kinds: records.unknown_kinds() }
}

/// Sets the times of damage between two records to those of the records.
fn narrow(items: &mut [Result<Entry, Damage>]) {
    let mut before = None;
    for item in items.iter_mut() {
        match item {
            Ok(entry) => before = Some(entry.recv_unix_ns()),
            Err(damage) => damage.from_unix_ns = before.or(damage.from_unix_ns),
        }
    }
    let mut after = None;
    for item in items.iter_mut().rev() {
        match item {
            Ok(entry) => after = Some(entry.recv_unix_ns()),
            Err(damage) => damage.to_unix_ns = after.or(damage.to_unix_ns),
        }
    }
}

fn entry(record: &Record<'_>, raw: &Bytes) -> Entry {
    let received = Received { recv_unix_ns: record.recv_unix_ns(), source: record.source() };
    Entry::new(received, record.kind(), raw.slice_ref(record.payload()))
}

fn damage(
    file: &TapeFile,
    offset: usize,
    records: Option<u32>,
    Bounds { from_unix_ns, to_unix_ns }: Bounds,
    cause: DamageCause,
) -> Damage {
    Damage { path: file.shared_path(), offset, records, from_unix_ns, to_unix_ns, cause }
}

fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
