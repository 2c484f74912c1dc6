//! The bytes of the tape's headers, little-endian, readable at any alignment.
//!
//! This module only holds layouts and their checksums; the readers decide what a wrong checksum
//! means.

use zerocopy::byteorder::little_endian::{U16, U32, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::checksum::crc32c;
use super::record::{Received, RecordKind};
use super::{VERSION_MAJOR, VERSION_MINOR};

/// Length of the header of a tape without its metadata, in bytes.
pub const FILE_HEADER_LEN: usize = 40;

/// Length of a block's header, in bytes.
pub const BLOCK_HEADER_LEN: usize = 64;

/// Length of a record's header, in bytes.
pub const RECORD_HEADER_LEN: usize = 24;

/// First bytes of a tape. They contain one above 127 and a line end, so that a transfer in text
/// mode is noticed.
pub(super) const FILE_MAGIC: [u8; 8] = *b"\x89KTAPE\r\n";

/// First bytes of a block.
pub(super) const BLOCK_MAGIC: [u8; 8] = *b"\x89KBLOCK\n";

/// Offset of the half of a block's header that is zero while the block is open.
pub(super) const SEAL_AT: usize = 28;

/// Offsets of the checksums within their headers; each covers all bytes before it.
const FILE_CRC_AT: usize = 36;
const OPENING_CRC_AT: usize = 24;
const SEAL_CRC_AT: usize = 60;
const RECORD_CRC_AT: usize = 20;

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct FileHead {
    pub(super) magic: [u8; 8],
    pub(super) major: U16,
    pub(super) minor: U16,
    pub(super) metadata_len: U32,
    pub(super) created_unix_ns: U64,
    pub(super) tape_id: U64,
    pub(super) metadata_crc: U32,
    pub(super) crc: U32,
}

const _: () = assert!(size_of::<FileHead>() == FILE_HEADER_LEN);

impl FileHead {
    pub(super) fn computed_crc(&self) -> u32 {
        crc32c(&self.as_bytes()[..FILE_CRC_AT])
    }

    /// Returns whether the header would be intact with one of the versions of this layout.
    pub(super) fn is_intact_but_version(&self) -> bool {
        let major = VERSION_MAJOR.into();
        (0..=VERSION_MINOR).any(|minor| {
            self.crc.get() == Self { major, minor: minor.into(), ..*self }.computed_crc()
        })
    }
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct BlockHead {
    magic: [u8; 8],
    tape_id: U64,
    pub(super) sequence: U32,
    pub(super) codec: u8,
    reserved: [u8; 3],
    opening_crc: U32,
    pub(super) records: U32,
    pub(super) earliest_unix_ns: U64,
    pub(super) latest_unix_ns: U64,
    pub(super) stored_len: U32,
    pub(super) raw_len: U32,
    pub(super) stored_crc: U32,
    seal_crc: U32,
}

const _: () = assert!(size_of::<BlockHead>() == BLOCK_HEADER_LEN);

/// State of the second half of a block's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SealState {
    Open,
    Sealed,
    Damaged,
}

/// What a seal declares about a block's records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) records: u32,
    pub(super) earliest_unix_ns: u64,
    pub(super) latest_unix_ns: u64,
    pub(super) body_len: u32,
}

impl Span {
    pub(super) fn add(&mut self, recv_unix_ns: u64, record_len: u32) {
        if self.records == 0 {
            self.earliest_unix_ns = recv_unix_ns;
        }
        self.earliest_unix_ns = self.earliest_unix_ns.min(recv_unix_ns);
        self.latest_unix_ns = self.latest_unix_ns.max(recv_unix_ns);
        self.records = self.records.saturating_add(1);
        self.body_len = self.body_len.saturating_add(record_len);
    }
}

impl BlockHead {
    /// Creates the header of a block that is still being written.
    pub(super) fn open(tape_id: u64, sequence: u32, codec: u8) -> Self {
        let mut head = Self::new_zeroed();
        head.magic = BLOCK_MAGIC;
        head.tape_id.set(tape_id);
        head.sequence.set(sequence);
        head.codec = codec;
        head.opening_crc.set(head.computed_opening_crc());
        head
    }

    /// Fills in the fields of a completed block.
    pub(super) fn seal(mut self, span: &Span, stored_len: u32, stored_crc: u32) -> Self {
        self.records.set(span.records);
        self.earliest_unix_ns.set(span.earliest_unix_ns);
        self.latest_unix_ns.set(span.latest_unix_ns);
        self.stored_len.set(stored_len);
        self.raw_len.set(span.body_len);
        self.stored_crc.set(stored_crc);
        self.seal_crc.set(self.computed_seal_crc());
        self
    }

    /// Views the start of the bytes as a header of this tape, if its first half is intact.
    pub(super) fn read(bytes: &[u8], tape_id: u64) -> Option<(&Self, &[u8])> {
        if !bytes.starts_with(&BLOCK_MAGIC) {
            return None;
        }
        let (head, body) = Self::ref_from_prefix(bytes).ok()?;
        let intact =
            head.tape_id.get() == tape_id && head.opening_crc.get() == head.computed_opening_crc();
        intact.then_some((head, body))
    }

    /// Views the start of the bytes as a header of any tape, if its first half is intact.
    pub(super) fn read_any(bytes: &[u8]) -> Option<&Self> {
        let head = Self::ref_from_prefix(bytes).ok()?.0;
        Self::read(bytes, head.tape_id()).map(|(head, _)| head)
    }

    pub(super) fn tape_id(&self) -> u64 {
        self.tape_id.get()
    }

    pub(super) fn seal_state(&self) -> SealState {
        if self.as_bytes()[SEAL_AT..] == [0; BLOCK_HEADER_LEN - SEAL_AT] {
            SealState::Open
        } else if self.seal_crc.get() == self.computed_seal_crc() {
            SealState::Sealed
        } else {
            SealState::Damaged
        }
    }

    pub(super) fn to_bytes(self) -> [u8; BLOCK_HEADER_LEN] {
        zerocopy::transmute!(self)
    }

    fn computed_opening_crc(&self) -> u32 {
        crc32c(&self.as_bytes()[..OPENING_CRC_AT])
    }

    fn computed_seal_crc(&self) -> u32 {
        crc32c(&self.as_bytes()[..SEAL_CRC_AT])
    }
}

#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub(super) struct RecordHead {
    pub(super) recv_unix_ns: U64,
    pub(super) payload_len: U32,
    pub(super) kind: u8,
    reserved: u8,
    pub(super) account: u8,
    pub(super) connection: u8,
    pub(super) payload_crc: U32,
    crc: U32,
}

const _: () = assert!(size_of::<RecordHead>() == RECORD_HEADER_LEN);

impl RecordHead {
    pub(super) fn new(
        received: Received,
        kind: RecordKind,
        payload_len: u32,
        payload_crc: u32,
    ) -> Self {
        let mut head = Self::new_zeroed();
        head.recv_unix_ns.set(received.recv_unix_ns);
        head.payload_len.set(payload_len);
        head.kind = kind as u8;
        head.account = received.source.account;
        head.connection = received.source.connection;
        head.payload_crc.set(payload_crc);
        head.crc.set(head.computed_crc());
        head
    }

    /// Creates a header whose kind, reserved byte and source are the bytes of another.
    #[cfg(feature = "alloc")]
    pub(super) fn from_parts(
        recv_unix_ns: u64,
        payload_len: u32,
        source: [u8; 4],
        payload_crc: u32,
    ) -> Self {
        let [kind, reserved, account, connection] = source;
        let mut head = Self { kind, reserved, account, connection, ..Self::new_zeroed() };
        head.recv_unix_ns.set(recv_unix_ns);
        head.payload_len.set(payload_len);
        head.payload_crc.set(payload_crc);
        head.crc.set(head.computed_crc());
        head
    }

    /// Returns the kind, the reserved byte and the source.
    #[cfg(feature = "alloc")]
    pub(super) fn source_bytes(&self) -> [u8; 4] {
        [self.kind, self.reserved, self.account, self.connection]
    }

    /// Views the start of the bytes as a record's header, if it is intact.
    pub(super) fn read(bytes: &[u8]) -> Option<(&Self, &[u8])> {
        let (head, rest) = Self::ref_from_prefix(bytes).ok()?;
        (head.crc.get() == head.computed_crc()).then_some((head, rest))
    }

    /// Returns the payload's length, saturated if `usize` is narrower than 32 bits.
    pub(super) fn payload_len(&self) -> usize {
        to_usize(self.payload_len.get())
    }

    pub(super) fn to_bytes(self) -> [u8; RECORD_HEADER_LEN] {
        zerocopy::transmute!(self)
    }

    fn computed_crc(&self) -> u32 {
        crc32c(&self.as_bytes()[..RECORD_CRC_AT])
    }
}

/// Converts a length, saturating if `usize` is narrower than 32 bits.
pub(super) fn to_usize(length: u32) -> usize {
    usize::try_from(length).unwrap_or(usize::MAX)
}
