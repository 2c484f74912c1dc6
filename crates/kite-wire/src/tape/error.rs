//! What can be wrong with a tape, and how it ends. Offsets are bytes from the start of the tape.

use core::fmt;

use super::{CODEC_STORED, MAX_BODY_LEN, MAX_METADATA_LEN, MAX_PAYLOAD_LEN, VERSION_MAJOR};

/// Why bytes cannot be opened as a tape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TapeError {
    /// The tape is empty.
    #[error("tape of 0 bytes")]
    Empty,
    /// The first bytes are not those of a tape.
    #[error("not a tape")]
    ForeignMagic {
        /// The first eight bytes, padded with zeros if there are fewer.
        found: [u8; 8],
    },
    /// The tape is written in a version with another layout.
    #[error(
        "tape of version {major}.{minor} by byte 8, supported is major version {VERSION_MAJOR}; read it with \
         the release that wrote it or a later one"
    )]
    UnsupportedVersion {
        /// The major version found.
        major: u16,
        /// The minor version found.
        minor: u16,
    },
    /// The tape ends within its header.
    #[error("tape ends at byte {found} within its header of {needed} bytes")]
    HeaderCut {
        /// Length of the header with its metadata, as far as known.
        needed: usize,
        /// Number of bytes present.
        found: usize,
    },
    /// The header is damaged.
    #[error("tape header damaged: checksum {stored:08x} at byte 36, computed {computed:08x}")]
    HeaderChecksum {
        /// The checksum that the header carries.
        stored: u32,
        /// The checksum of its bytes.
        computed: u32,
    },
    /// The metadata is damaged; the records can be read.
    #[error("tape metadata damaged: checksum {stored:08x} at byte 32, computed {computed:08x}")]
    MetadataChecksum {
        /// The checksum that the header carries.
        stored: u32,
        /// The checksum of the metadata.
        computed: u32,
    },
}

/// A part of a tape that was skipped. Reading continues after that part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[error("{why}; bytes {from}..{to} skipped")]
pub struct Skipped {
    /// Where the part begins.
    pub from: usize,
    /// Where reading continues.
    pub to: usize,
    /// Number of records lost with it, if known.
    pub records: Option<u32>,
    /// Why it was skipped.
    pub why: SkipReason,
}

/// Why a part of a tape was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum SkipReason {
    /// The tape's header is damaged. The records are read by the blocks, which have the tape's
    /// identifier too.
    #[error("tape header damaged")]
    FileHeader,
    /// A block is lost because no intact header of this tape was found where it should start.
    #[error("no intact block header")]
    BlockHeader,
    /// The part of a block's header with its length and times is damaged. Its records are still
    /// read one by one.
    #[error("seal of the block damaged")]
    BlockSeal,
    /// Blocks are missing, repeated or out of order. Those present are read.
    #[error("block {found} found, {expected} expected")]
    BlockSequence {
        /// The number of the next block.
        expected: u32,
        /// The number of the block found.
        found: u32,
    },
    /// Another block starts before this one has all the records that its header declares. Those
    /// present were read.
    #[error("block cut short by the next one")]
    BlockCut,
    /// The block is compressed. Decompress it and pass the bytes to
    /// [`Block::decoded`](super::Block::decoded).
    #[error("block with codec {codec}; only stored blocks (0) are read here")]
    Codec {
        /// The block's codec.
        codec: u8,
    },
    /// A compressed block is lost because it is incomplete or its length is unknown.
    #[error("incomplete compressed block")]
    CompressedBlock,
    /// The header of a record is damaged, so the rest of its block is lost.
    #[error("record header damaged")]
    RecordHeader,
    /// A record is longer than its block, so the rest of the block is lost.
    #[error("record of {length} bytes in the {left} bytes left of its block")]
    RecordLength {
        /// The length that the record declares for its payload, in bytes.
        length: u32,
        /// Number of bytes left for it in the block.
        left: usize,
    },
    /// The payload of one record is damaged.
    #[error("payload damaged: checksum {stored:08x}, computed {computed:08x}")]
    Payload {
        /// The checksum that the record carries.
        stored: u32,
        /// The checksum of the payload.
        computed: u32,
    },
    /// A block holds a different number of records than its header declares. Those present were
    /// read.
    #[error("block of {declared} records holds {found}")]
    RecordCount {
        /// The number in the block's header.
        declared: u32,
        /// The number found.
        found: u32,
    },
}

/// How a tape ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Ending {
    /// The tape ends after a complete block, or after the header.
    Clean {
        /// The tape's length.
        at: usize,
    },
    /// The tape ends in the middle of a write, as usual after a crash or during a recording. Only
    /// the incomplete part is missing.
    Torn {
        /// Where the last complete record or block ends.
        at: usize,
        /// Number of bytes that follow: the start of an incomplete record or block, or the zeros of
        /// a preallocated file.
        bytes: usize,
        /// Number of records that the block lacks, if its header declares a number.
        records_lost: Option<u32>,
        /// What is incomplete.
        tear: Tear,
    },
    /// The tape ends with damaged bytes.
    Damaged {
        /// Where the last readable record or block ends.
        at: usize,
        /// Number of bytes that follow.
        bytes: usize,
    },
}

impl Ending {
    /// Returns where the last complete record or block ends.
    #[must_use]
    pub const fn at(self) -> usize {
        match self {
            Self::Clean { at } | Self::Torn { at, .. } | Self::Damaged { at, .. } => at,
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Clean { at } => write!(f, "complete, ends at byte {at}"),
            Self::Torn { at, bytes, records_lost, tear } => {
                write!(f, "torn at byte {at}, {tear}: {bytes} bytes of an incomplete write")?;
                match records_lost {
                    Some(records) => write!(f, ", {records} records lost"),
                    None => Ok(()),
                }
            }
            Self::Damaged { at, bytes } => {
                write!(f, "damaged after byte {at}: {bytes} bytes are unreadable")
            }
        }
    }
}

/// Where a torn tape was cut off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tear {
    /// After a record, with the block not yet finished.
    OpenBlock,
    /// In a block's header, or before it.
    BlockHeader,
    /// In a record's header.
    RecordHeader,
    /// In a record's payload.
    Payload,
    /// In a compressed block, which cannot be read in part.
    CompressedBlock,
}

impl fmt::Display for Tear {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenBlock => "in an open block",
            Self::BlockHeader => "in a block's header",
            Self::RecordHeader => "in a record's header",
            Self::Payload => "in a record's payload",
            Self::CompressedBlock => "in a compressed block",
        })
    }
}

/// Why a part of a tape cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TapeWriteError {
    /// The buffer is too small; nothing was written to it.
    #[error("{needed} bytes needed, but only {free} are free in the buffer")]
    BufferFull {
        /// Number of bytes needed.
        needed: usize,
        /// Number of bytes left in the buffer.
        free: usize,
    },
    /// The metadata is too long.
    #[error("metadata of {length} bytes; at most {MAX_METADATA_LEN} are allowed")]
    MetadataTooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// The payload is too long for one record.
    #[error("payload of {length} bytes; at most {MAX_PAYLOAD_LEN} are allowed")]
    PayloadTooLong {
        /// Its length, in bytes.
        length: usize,
    },
    /// The record does not fit in the block; it belongs in the next one.
    #[error(
        "record of {needed} bytes does not fit a block of {used} bytes; at most {MAX_BODY_LEN} are \
         allowed; finish the block and begin another"
    )]
    BlockFull {
        /// Length of the record, in bytes.
        needed: usize,
        /// Length of the block's records so far, in bytes.
        used: usize,
    },
    /// The codec passed with compressed bytes is [`CODEC_STORED`], which means uncompressed;
    /// readers would read the bytes as records. [`BlockEncoder::seal`] creates the header of a
    /// stored block.
    ///
    /// [`CODEC_STORED`]: super::CODEC_STORED
    /// [`BlockEncoder::seal`]: super::BlockEncoder::seal
    #[error(
        "codec {CODEC_STORED} means uncompressed records, compressed bytes need another; \
         seal the block as stored, or pass their codec"
    )]
    NotACompression,
    /// A block's compressed bytes exceed the limit.
    #[error(
        "{length} compressed bytes; at most {MAX_BODY_LEN} are allowed, so store the block as is"
    )]
    CompressedTooLong {
        /// Their length, in bytes.
        length: usize,
    },
}
