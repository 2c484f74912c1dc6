//! From a block on file to its records.
//!
//! No length that a file gives is trusted: a block is unpacked into at most
//! [`MAX_BODY_LEN`] bytes, and its records are read out of what that gave.

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use kite_wire::tape::{
    BLOCK_HEADER_LEN, Block, BlockEncoder, CODEC_STORED, CODEC_ZSTD, FILE_HEADER_LEN, MAX_BODY_LEN,
    RECORD_HEADER_LEN, Received, SkipReason, Skipped, Tape, TapeHeader, record_len,
};
use zstd::bulk::Decompressor;

use crate::entry::Entry;
use crate::error::{Damage, DamageReason};
use crate::file::TapeFile;
use crate::index::BlockAt;

/// Where the checksum of a compressed body stands in its block's header.
const STORED_CRC_AT: usize = 56;

/// How long a tape with an open block of no records is.
const BLANK_LEN: usize = FILE_HEADER_LEN + BLOCK_HEADER_LEN;

/// A tape with an open block of no records. Through it the format's reader takes records out of
/// bytes that lie elsewhere, for as long as those live; the count that a block's header tells of
/// is held against them in [`RecordWalk`].
#[expect(clippy::expect_used, reason = "an empty header of this version always encodes")]
static BLANK: LazyLock<[u8; BLANK_LEN]> = LazyLock::new(|| {
    let mut bytes = [0; BLANK_LEN];
    let header = TapeHeader { created_unix_ns: 0, tape_id: 0, metadata: &[] };
    let (head, block) = bytes.split_at_mut(FILE_HEADER_LEN);
    head.copy_from_slice(&header.head().expect("no metadata is not too long"));
    block.copy_from_slice(&BlockEncoder::new(0, 0).opening());
    bytes
});

#[expect(clippy::expect_used, reason = "these are the constant bytes made above")]
static BLANK_BLOCK: LazyLock<Block<'static>> = LazyLock::new(|| {
    let tape = Tape::open(&*BLANK).expect("the header is right");
    tape.blocks().next().and_then(Result::ok).expect("a block follows the header")
});

/// Unpacks blocks, one after another.
#[derive(Default)]
pub(crate) struct Unpacker {
    zstd: Option<Decompressor<'static>>,
}

impl Unpacker {
    /// Gives the block's records, and what is wrong with the block as a whole.
    pub(crate) fn open(
        &mut self,
        file: &TapeFile,
        block: &BlockAt,
    ) -> (Option<RecordWalk>, Option<Damage>) {
        let stored = file.bytes().slice(block.body_at()..block.end());
        let lost = |why, records| Damage {
            path: Arc::clone(file.shared_path()),
            offset: block.offset as u64,
            bytes: (block.end() - block.offset) as u64,
            records,
            why,
        };
        let (raw, short) = match block.codec {
            CODEC_STORED => (stored, None),
            CODEC_ZSTD => match self.unpack(file, block, &stored) {
                Ok(raw) => {
                    let (length, found) = (block.raw_len, raw.len());
                    let short = (found != length as usize)
                        .then(|| lost(DamageReason::Short { length, found }, Some(0)));
                    (Bytes::from(raw), short)
                }
                Err(why) => return (None, Some(lost(why, block.declared))),
            },
            codec => {
                let why = DamageReason::Skipped(SkipReason::Codec { codec });
                return (None, Some(lost(why, block.declared)));
            }
        };
        (Some(RecordWalk::new(file, block, raw)), short)
    }

    fn unpack(
        &mut self,
        file: &TapeFile,
        block: &BlockAt,
        stored: &Bytes,
    ) -> Result<Vec<u8>, DamageReason> {
        check_stored(file, block, stored)?;
        let length = block.raw_len;
        let wrong = DamageReason::Unpack { length };
        let capacity = usize::try_from(length)
            .ok()
            .filter(|capacity| *capacity <= MAX_BODY_LEN)
            .ok_or(DamageReason::TooLong { length })?;
        let zstd = match &mut self.zstd {
            Some(zstd) => zstd,
            none => none.insert(Decompressor::new().map_err(|_| wrong)?),
        };
        let mut raw = Vec::new();
        raw.try_reserve_exact(capacity).map_err(|_| wrong)?;
        // The vector never grows: what does not fit is an error.
        zstd.decompress_to_buffer(stored, &mut raw).map_err(|_| wrong)?;
        Ok(raw)
    }
}

/// Holds the bytes of a compressed block against the checksum in its header. That of the bytes is
/// had from a header made for them.
fn check_stored(file: &TapeFile, block: &BlockAt, stored: &Bytes) -> Result<(), DamageReason> {
    let crc_of = |header: &[u8]| {
        header
            .get(STORED_CRC_AT..)
            .and_then(<[u8]>::first_chunk)
            .map_or(0, |crc| u32::from_le_bytes(*crc))
    };
    let made = BlockEncoder::new(file.index().tape_id, 0)
        .seal_compressed(CODEC_ZSTD, stored)
        .map_err(|_| DamageReason::Unpack { length: block.raw_len })?;
    let (stored, computed) = (crc_of(&file.bytes()[block.offset..block.body_at()]), crc_of(&made));
    if stored == computed { Ok(()) } else { Err(DamageReason::Checksum { stored, computed }) }
}

/// The records of one block in order, with those that had to be passed over.
pub(crate) struct RecordWalk {
    path: Arc<PathBuf>,
    body: Bytes,
    at: usize,
    /// Where the block stands in the file.
    block_at: usize,
    /// Whether places in the body are places in the file.
    is_stored: bool,
    declared: Option<u32>,
    found: u32,
    /// How many records of unknown kinds were passed over.
    pub(crate) unknown_kinds: u64,
}

impl RecordWalk {
    fn new(file: &TapeFile, block: &BlockAt, body: Bytes) -> Self {
        Self {
            path: Arc::clone(file.shared_path()),
            body,
            at: 0,
            block_at: block.offset,
            is_stored: block.codec == CODEC_STORED,
            declared: block.declared,
            found: 0,
            unknown_kinds: 0,
        }
    }

    /// How many of the body's bytes have been walked, and how many there are.
    pub(crate) fn progress(&self) -> (usize, usize) {
        (self.at, self.body.len())
    }

    fn damage(&self, skipped: Skipped, from: usize, records: Option<u32>) -> Damage {
        let within = if self.is_stored { BLOCK_HEADER_LEN + from } else { 0 };
        Damage {
            path: Arc::clone(&self.path),
            offset: (self.block_at + within) as u64,
            bytes: (skipped.to - skipped.from) as u64,
            records,
            why: DamageReason::Skipped(skipped.why),
        }
    }

    /// Tells once of a count that is not the declared one.
    fn end(&mut self) -> Option<Result<Entry, Damage>> {
        let found = self.found;
        let declared = self.declared.take().filter(|declared| *declared != found)?;
        let why = SkipReason::RecordCount { declared, found };
        let skipped = Skipped { from: self.at, to: self.at, records: None, why };
        Some(Err(self.damage(skipped, self.at, Some(declared.saturating_sub(found)))))
    }
}

impl Iterator for RecordWalk {
    type Item = Result<Entry, Damage>;

    fn next(&mut self) -> Option<Self::Item> {
        let from = self.at;
        if from == self.body.len() {
            return self.end();
        }
        let mut records = BLANK_BLOCK.decoded(&self.body[from..]);
        let item = records.next();
        let unknown = records.unknown_kinds();
        self.unknown_kinds += unknown;
        self.found = self.found.saturating_add(u32::try_from(unknown).unwrap_or(u32::MAX));
        // Places are told from the start of the blank tape's body.
        let place = |offset: usize| from + offset - BLANK_LEN;
        match item {
            None => {
                self.at = self.body.len();
                self.end()
            }
            Some(Ok(record)) => {
                self.found = self.found.saturating_add(1);
                let start = place(record.offset());
                self.at = start + record_len(record.payload().len());
                Some(Ok(Entry {
                    received: Received {
                        recv_unix_ns: record.recv_unix_ns(),
                        source: record.source(),
                    },
                    kind: record.kind(),
                    payload: self.body.slice(start + RECORD_HEADER_LEN..self.at),
                }))
            }
            Some(Err(skipped)) => {
                self.at = place(skipped.to);
                let lost = match skipped.why {
                    SkipReason::Payload { .. } => {
                        self.found = self.found.saturating_add(1);
                        skipped.records
                    }
                    // The rest of the block goes with it, so its count has been told.
                    _ => self.declared.take().map(|all| all.saturating_sub(self.found)),
                };
                Some(Err(self.damage(skipped, place(skipped.from), lost)))
            }
        }
    }
}
