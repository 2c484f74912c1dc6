//! Writes tapes: headers as small arrays, records into any buffer.
//!
//! [`BlockEncoder`] does not write to the destination itself, so the caller can write a payload
//! from the receive buffer to the file without copying it; [`BlockBuffer`] puts a whole block into
//! one slice.

use super::checksum::crc32c;
use super::error::TapeWriteError;
use super::gap::Gap;
use super::layout::{
    BLOCK_HEADER_LEN, BlockHead, FILE_HEADER_LEN, FILE_MAGIC, FileHead, RECORD_HEADER_LEN,
    RecordHead, Span,
};
use super::record::{RawRecord, Received, RecordKind};
use super::{
    CODEC_STORED, MAX_BODY_LEN, MAX_METADATA_LEN, MAX_PAYLOAD_LEN, VERSION_MAJOR, VERSION_MINOR,
};

/// Returns the length of a record in bytes, header and payload.
///
/// A tape takes [`TapeHeader::encoded_len`], plus [`BLOCK_HEADER_LEN`] for every block and this for
/// every record; there is no padding and no trailer.
#[must_use]
pub const fn record_len(payload_len: usize) -> usize {
    RECORD_HEADER_LEN.saturating_add(payload_len)
}

/// The header of a tape, with its metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapeHeader<'m> {
    /// When the tape was begun, in nanoseconds since the Unix epoch.
    pub created_unix_ns: u64,
    /// Distinguishes this tape's blocks from those of other tapes, left on a disk or recorded as
    /// payload. It is random, or the creation time if no random number is available.
    pub tape_id: u64,
    /// Free-form, at most [`MAX_METADATA_LEN`] bytes: preferably a JSON object in UTF-8.
    pub metadata: &'m [u8],
}

impl TapeHeader<'_> {
    /// Returns the length of the header with its metadata, in bytes. The first block follows.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        FILE_HEADER_LEN.saturating_add(self.metadata.len())
    }

    /// Returns the header's bytes without the metadata, which follows.
    ///
    /// # Errors
    /// Returns an error if the metadata is too long.
    pub fn head(&self) -> Result<[u8; FILE_HEADER_LEN], TapeWriteError> {
        self.head_of_minor(0)
    }

    /// Returns the same for a tape with blocks of [`CODEC_COLUMNS`](super::CODEC_COLUMNS), which is
    /// of version 1.1.
    ///
    /// # Errors
    /// Returns an error if the metadata is too long.
    pub fn head_with_columns(&self) -> Result<[u8; FILE_HEADER_LEN], TapeWriteError> {
        self.head_of_minor(VERSION_MINOR)
    }

    fn head_of_minor(&self, minor: u16) -> Result<[u8; FILE_HEADER_LEN], TapeWriteError> {
        let length = self.metadata.len();
        let metadata_len = checked_len(length, MAX_METADATA_LEN)
            .ok_or(TapeWriteError::MetadataTooLong { length })?;
        let mut head = FileHead {
            magic: FILE_MAGIC,
            major: VERSION_MAJOR.into(),
            minor: minor.into(),
            metadata_len: metadata_len.into(),
            created_unix_ns: self.created_unix_ns.into(),
            tape_id: self.tape_id.into(),
            metadata_crc: crc32c(self.metadata).into(),
            crc: 0.into(),
        };
        head.crc.set(head.computed_crc());
        Ok(zerocopy::transmute!(head))
    }

    /// Writes the header and its metadata to the start of the buffer and returns their length.
    ///
    /// # Errors
    /// Returns an error if the metadata is too long or the buffer too small; the buffer is
    /// unchanged.
    pub fn encode(&self, buffer: &mut [u8]) -> Result<usize, TapeWriteError> {
        let head = self.head()?;
        let needed = self.encoded_len();
        let free = buffer.len();
        let room = buffer.get_mut(..needed).ok_or(TapeWriteError::BufferFull { needed, free })?;
        let (head_room, metadata_room) = room.split_at_mut(FILE_HEADER_LEN);
        head_room.copy_from_slice(&head);
        metadata_room.copy_from_slice(self.metadata);
        Ok(needed)
    }
}

/// Creates the headers of one block and its records; the caller writes the bytes.
///
/// A file first receives the [`opening`](Self::opening), then the [`header`](Self::record) and the
/// payload of each record. Once the block is complete, the [`seal`](Self::seal) is written over the
/// opening; if that is not possible the block stays open, and a reader has to walk its record
/// headers. Alternatively the records are collected first, possibly compressed, and written after
/// the seal.
///
/// ```
/// use kite_wire::tape::{BlockEncoder, RecordKind, Source, Received, TapeWriteError};
///
/// fn append(
///     file: &mut Vec<u8>,
///     block: &mut BlockEncoder,
///     recv_unix_ns: u64,
///     frame: &[u8],
/// ) -> Result<(), TapeWriteError> {
///     let source = Source { account: 0, connection: 2 };
///     let header = block.record(Received { recv_unix_ns, source }, RecordKind::Binary, frame)?;
///     file.extend_from_slice(&header);
///     file.extend_from_slice(frame);
///     Ok(())
/// }
/// ```
#[derive(Debug, Clone)]
pub struct BlockEncoder {
    tape_id: u64,
    sequence: u32,
    span: Span,
}

impl BlockEncoder {
    /// Begins a block with the tape's identifier and the block's number in the tape, counted from
    /// 0.
    #[must_use]
    pub fn new(tape_id: u64, sequence: u32) -> Self {
        Self { tape_id, sequence, span: Span::default() }
    }

    /// Returns the same block for another tape or number, for a writer that collects records before
    /// it knows where they go.
    #[must_use]
    pub fn moved_to(&self, tape_id: u64, sequence: u32) -> Self {
        Self { tape_id, sequence, span: self.span }
    }

    /// Returns the header of the block while it is being written.
    #[must_use]
    pub fn opening(&self) -> [u8; BLOCK_HEADER_LEN] {
        BlockHead::open(self.tape_id, self.sequence, CODEC_STORED).to_bytes()
    }

    /// Adds a record to the counts and returns its header; the payload must follow it.
    ///
    /// # Errors
    /// Returns an error if the payload is too long or the block is full; the block is unchanged.
    pub fn record(
        &mut self,
        received: Received,
        kind: RecordKind,
        payload: &[u8],
    ) -> Result<[u8; RECORD_HEADER_LEN], TapeWriteError> {
        let needed = self.check(payload.len())?;
        let payload_len = needed - RECORD_HEADER_LEN as u32;
        let head = RecordHead::new(received, kind, payload_len, crc32c(payload));
        self.span.add(received.recv_unix_ns, needed);
        Ok(head.to_bytes())
    }

    /// Adds a record of another block to the counts; its bytes are copied as they are.
    ///
    /// # Errors
    /// Returns an error if the block is full; it is unchanged.
    pub fn copy(&mut self, record: &RawRecord<'_>) -> Result<(), TapeWriteError> {
        let needed = self.check(record.as_bytes().len() - RECORD_HEADER_LEN)?;
        self.span.add(record.recv_unix_ns(), needed);
        Ok(())
    }

    /// Returns the header of the complete block, with its records uncompressed.
    #[must_use]
    pub fn seal(&self) -> [u8; BLOCK_HEADER_LEN] {
        BlockHead::open(self.tape_id, self.sequence, CODEC_STORED)
            .seal(&self.span, self.span.body_len, 0)
            .to_bytes()
    }

    /// Returns the header of the complete block, whose records were compressed to `stored`, which
    /// must follow it.
    ///
    /// # Errors
    /// Returns an error if the codec is [`CODEC_STORED`], which means uncompressed, or the
    /// compressed bytes are longer than [`MAX_BODY_LEN`].
    pub fn seal_compressed(
        &self,
        codec: u8,
        stored: &[u8],
    ) -> Result<[u8; BLOCK_HEADER_LEN], TapeWriteError> {
        if codec == CODEC_STORED {
            return Err(TapeWriteError::NotACompression);
        }
        let length = stored.len();
        let stored_len = checked_len(length, MAX_BODY_LEN)
            .ok_or(TapeWriteError::CompressedTooLong { length })?;
        Ok(BlockHead::open(self.tape_id, self.sequence, codec)
            .seal(&self.span, stored_len, crc32c(stored))
            .to_bytes())
    }

    /// Returns the number of records so far.
    #[must_use]
    pub fn records(&self) -> u32 {
        self.span.records
    }

    /// Returns the bytes that the records take so far, without the block's header.
    #[must_use]
    pub fn body_len(&self) -> usize {
        self.span.body_len as usize
    }

    /// Returns the length of a record, if it fits in the block.
    fn check(&self, payload_len: usize) -> Result<u32, TapeWriteError> {
        if payload_len > MAX_PAYLOAD_LEN {
            return Err(TapeWriteError::PayloadTooLong { length: payload_len });
        }
        let needed = record_len(payload_len);
        let used = self.body_len();
        checked_len(needed, MAX_BODY_LEN - used).ok_or(TapeWriteError::BlockFull { needed, used })
    }
}

/// One block in the caller's buffer.
#[derive(Debug)]
pub struct BlockBuffer<'b> {
    buffer: &'b mut [u8],
    encoder: BlockEncoder,
}

impl<'b> BlockBuffer<'b> {
    /// Begins a block at the start of the buffer, with the tape's identifier and the block's number
    /// in the tape, counted from 0.
    ///
    /// # Errors
    /// Returns an error if the buffer has no room for the block's header.
    pub fn new(buffer: &'b mut [u8], tape_id: u64, sequence: u32) -> Result<Self, TapeWriteError> {
        let free = buffer.len();
        let encoder = BlockEncoder::new(tape_id, sequence);
        buffer
            .get_mut(..BLOCK_HEADER_LEN)
            .ok_or(TapeWriteError::BufferFull { needed: BLOCK_HEADER_LEN, free })?
            .copy_from_slice(&encoder.opening());
        Ok(Self { buffer, encoder })
    }

    /// Adds a record.
    ///
    /// # Errors
    /// Returns an error if the payload is too long, or if the block or the buffer is full; the
    /// block is unchanged.
    pub fn push(
        &mut self,
        received: Received,
        kind: RecordKind,
        payload: &[u8],
    ) -> Result<(), TapeWriteError> {
        self.encoder.check(payload.len())?;
        let used = self.len_bytes();
        let needed = record_len(payload.len());
        let free = self.buffer.len() - used;
        let room = self.buffer[used..]
            .get_mut(..needed)
            .ok_or(TapeWriteError::BufferFull { needed, free })?;
        let (head_room, payload_room) = room.split_at_mut(RECORD_HEADER_LEN);
        head_room.copy_from_slice(&self.encoder.record(received, kind, payload)?);
        payload_room.copy_from_slice(payload);
        Ok(())
    }

    /// Adds a gap record.
    ///
    /// # Errors
    /// Returns an error under the same conditions as [`BlockBuffer::push`].
    pub fn push_gap(&mut self, received: Received, gap: &Gap) -> Result<(), TapeWriteError> {
        self.push(received, RecordKind::Gap, &gap.to_bytes())
    }

    /// Returns the block so far, header and records, readable as an open block.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.len_bytes()]
    }

    /// Returns the records so far, without the block's header, for compression.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.buffer[BLOCK_HEADER_LEN..self.len_bytes()]
    }

    /// Returns the length of the block so far, in bytes.
    #[must_use]
    pub fn len_bytes(&self) -> usize {
        BLOCK_HEADER_LEN + self.encoder.body_len()
    }

    /// Returns the encoder, for its counts and for the headers of records written elsewhere, such
    /// as compressed ones.
    #[must_use]
    pub fn encoder(&self) -> &BlockEncoder {
        &self.encoder
    }

    /// Completes the block and returns its bytes.
    #[must_use]
    pub fn finish(self) -> &'b [u8] {
        let length = self.len_bytes();
        let block = &mut self.buffer[..length];
        block[..BLOCK_HEADER_LEN].copy_from_slice(&self.encoder.seal());
        block
    }
}

/// Returns the length as stored on the tape, if it is within the limit.
fn checked_len(length: usize, limit: usize) -> Option<u32> {
    if length > limit { None } else { u32::try_from(length).ok() }
}
