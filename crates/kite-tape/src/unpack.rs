//! Decompresses a block of a file and reads its records.

use bytes::Bytes;
use kite_wire::tape::{Block, CODEC_STORED, Received, Record};

use crate::body::{self, to_usize};
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
    match body::load(file, &block) {
        Ok(raw) => records(file, &block, bounds, &raw),
        Err(cause) => lost(cause),
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
