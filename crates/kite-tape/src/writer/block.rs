//! One block while it is being filled. Its bytes are laid out by `kite_wire::tape`.

use std::io;

use kite_wire::tape::{BLOCK_HEADER_LEN, BlockEncoder, CODEC_ZSTD, TapeWriteError};

use super::tally::Tally;
use crate::config::Compression;
use crate::queue::Item;

/// Collects the records of a block and returns its bytes as a whole, so that only the last block of
/// a file can be incomplete.
pub(crate) struct Collector {
    /// The records in the body.
    tally: Tally,
    /// When the first and the last of them were received, in Unix nanoseconds.
    span: (u64, u64),
    body: Vec<u8>,
    packed: Vec<u8>,
    compressor: Option<zstd::bulk::Compressor<'static>>,
    encoder: BlockEncoder,
}

impl Collector {
    pub(crate) fn new(compression: Compression) -> io::Result<Self> {
        let compressor = match compression {
            Compression::Zstd { level } => Some(zstd::bulk::Compressor::new(level)?),
            Compression::Stored => None,
        };
        Ok(Self {
            tally: Tally::default(),
            span: (0, 0),
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
        self.tally.note(item.received, item.kind, &item.payload);
        self.span.1 = item.received.recv_unix_ns;
        if self.tally.counts.records == 1 {
            self.span.0 = self.span.1;
        }
        Ok(())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tally.is_empty()
    }

    /// Returns the counts of the records.
    pub(crate) fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Returns the bytes of the records so far.
    pub(crate) fn body_len(&self) -> usize {
        self.body.len()
    }

    /// Returns when the first record was received, in Unix nanoseconds.
    pub(crate) fn first_unix_ns(&self) -> u64 {
        self.span.0
    }

    /// Returns when the last record was received, in Unix nanoseconds.
    pub(crate) fn last_unix_ns(&self) -> u64 {
        self.span.1
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
        self.tally.clear();
        self.span = (0, 0);
        self.body.clear();
        self.encoder = BlockEncoder::new(0, 0);
    }
}
