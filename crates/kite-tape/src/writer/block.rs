//! One block while it is being filled. Its bytes are laid out by `kite_wire::tape`.

use std::io;

use kite_wire::tape::{
    BLOCK_HEADER_LEN, BlockEncoder, CODEC_ZSTD, Gap, GapReason, Received, RecordKind,
    TapeWriteError,
};

use crate::config::Compression;
use crate::queue::{Item, Loss, is_frame, note_gap, note_loss};

/// Collects the records of a block and returns its bytes as a whole, so that only the last block of
/// a file can be incomplete.
pub(crate) struct Collector {
    records: Vec<Noted>,
    body: Vec<u8>,
    packed: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    encoder: BlockEncoder,
}

/// The part of a record that is needed if it cannot be written.
struct Noted {
    received: Received,
    kind: RecordKind,
    gap: Option<Gap>,
}

impl Collector {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let compressor = match compression {
            Compression::Zstd { level } => Some(zstd::bulk::Compressor::new(level)?),
            Compression::Stored => None,
        };
        Ok(Self {
            records: Vec::new(),
            body: Vec::new(),
            packed: Vec::new(),
            compressor,
            // Replaced when the block is written, since its tape is not known before.
            encoder: BlockEncoder::new(0, 0),
        })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Returns an error if the payload is too long or the block is full; the block is unchanged.
    pub(crate) fn push(&mut self, item: &Item) -> Result<(), TapeWriteError> {
        let header = self.encoder.record(item.received, item.kind, &item.payload)?;
        self.body.extend_from_slice(&header);
        self.body.extend_from_slice(&item.payload);
        self.records.push(Noted { received: item.received, kind: item.kind, gap: item.as_gap() });
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the bytes of the records so far.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Returns the number of records and the number of frames among them.
    pub(crate) fn counts(&self) -> (u64, u64) {
        let frames = self.records.iter().filter(|it| is_frame(it.kind)).count();
        (self.records.len() as u64, frames as u64)
    }

    /// Returns the number of gaps among the records.
    pub(crate) fn gaps(&self) -> u64 {
        self.records.iter().filter(|it| it.kind == RecordKind::Gap).count() as u64
    }

    /// Returns when the first record was received, in Unix nanoseconds.
    pub(crate) fn first_unix_ns(&self) -> u64 {
        self.records.first().map_or(0, |it| it.received.recv_unix_ns)
    }

    /// Returns when the last record was received, in Unix nanoseconds.
    pub(crate) fn last_unix_ns(&self) -> u64 {
        self.records.last().map_or(0, |it| it.received.recv_unix_ns)
    }

    /// Returns the block's header and its body, compressed if that makes it smaller, for this
    /// number and tape id.
    pub(crate) fn seal(&mut self, tape_id: u64, sequence: u32) -> ([u8; BLOCK_HEADER_LEN], &[u8]) {
        let encoder = self.encoder.moved_to(tape_id, sequence);
        if let Some(compressor) = &mut self.compressor {
            self.packed.clear();
            self.packed.reserve(self.body.len());
            // If it does not fit into the space of the original, it is not smaller.
            if compressor.compress_to_buffer(&self.body, &mut self.packed).is_ok()
                && let Ok(header) = encoder.seal_compressed(CODEC_ZSTD, &self.packed)
            {
                return (header, &self.packed);
            }
        }
        (encoder.seal(), &self.body)
    }

    /// Starts the next block.
    pub(crate) fn clear(&mut self) {
        self.records.clear();
        self.body.clear();
        self.encoder = BlockEncoder::new(0, 0);
    }

    /// Notes the records of the block as lost, and its gaps as not written yet. Returns the number
    /// of frames and notes lost.
    pub(crate) fn note_lost(&self, losses: &mut Vec<Loss>) -> u64 {
        let mut lost = 0;
        for Noted { received, kind, gap } in &self.records {
            match gap {
                Some(gap) => note_gap(losses, received.source, gap),
                None => {
                    note_loss(losses, *received, *kind, GapReason::WriteFailed);
                    lost += 1;
                }
            }
        }
        lost
    }
}
