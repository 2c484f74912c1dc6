//! A record of a tape, as a view into the tape's bytes.

use core::fmt;
use core::iter::FusedIterator;
use core::str::Utf8Error;

use super::checksum::crc32c;
use super::gap::Gap;
use super::layout::{RECORD_HEADER_LEN, RecordHead};
use crate::frame::Frame;

/// The kind of a record's payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum RecordKind {
    /// A binary WebSocket frame, exactly as received: packets, or a heartbeat of one byte.
    Binary = 1,
    /// A text WebSocket frame, exactly as received: order updates and messages, in JSON.
    Text = 2,
    /// A stretch of time for which frames are missing; see [`Gap`].
    Gap = 3,
    /// A note of the recorder, such as a connection coming up: UTF-8, preferably JSON.
    Event = 4,
}

impl RecordKind {
    /// Returns the kind with this code; `None` if this version does not know it.
    #[must_use]
    pub const fn from_u8(kind: u8) -> Option<Self> {
        match kind {
            1 => Some(Self::Binary),
            2 => Some(Self::Text),
            3 => Some(Self::Gap),
            4 => Some(Self::Event),
            _ => None,
        }
    }
}

/// The source of a record. The recorder decides what the numbers stand for, and should write
/// that into the tape's metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    /// The account, counted from 0.
    pub account: u8,
    /// The connection within the account, counted from 0; it keeps its number when it reconnects.
    pub connection: u8,
}

impl Source {
    /// The recorder itself, for a gap of all connections or an event that concerns no connection.
    pub const RECORDER: Self = Self { account: 255, connection: 255 };

    /// Creates a source from a manager's numbers; those above 254 become 254.
    #[must_use]
    pub const fn of(account: usize, connection: usize) -> Self {
        const fn byte(number: usize) -> u8 {
            if number < 254 { number as u8 } else { 254 }
        }
        Self { account: byte(account), connection: byte(connection) }
    }
}

/// When a record was received, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Received {
    /// When it was received, in nanoseconds since the Unix epoch (UTC).
    pub recv_unix_ns: u64,
    /// Its source.
    pub source: Source,
}

/// A record with valid checksums, borrowed from the tape.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    pub(super) head: &'a RecordHead,
    pub(super) kind: RecordKind,
    pub(super) payload: &'a [u8],
    pub(super) offset: usize,
}

impl<'a> Record<'a> {
    /// Returns when the record was received, in nanoseconds since the Unix epoch (UTC), by the
    /// recorder's clock, which may step back.
    #[inline]
    #[must_use]
    pub fn recv_unix_ns(&self) -> u64 {
        self.head.recv_unix_ns.get()
    }

    /// Returns where the record comes from.
    #[inline]
    #[must_use]
    pub fn source(&self) -> Source {
        Source { account: self.head.account, connection: self.head.connection }
    }

    /// Returns the kind of the payload.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> RecordKind {
        self.kind
    }

    /// Returns the payload, byte for byte as it was passed to the writer.
    #[inline]
    #[must_use]
    pub fn payload(&self) -> &'a [u8] {
        self.payload
    }

    /// Returns where the record's header starts, in bytes from the start of the tape. In a
    /// compressed block, where it would start if the block were not compressed.
    #[inline]
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// Walks the payload of a binary record; `None` for other kinds.
    #[inline]
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'a>> {
        (self.kind == RecordKind::Binary).then(|| Frame::walk(self.payload))
    }

    /// Reads the payload of a text or event record; `None` for other kinds.
    ///
    /// # Errors
    /// Returns `Some(Err(_))` if the payload is not UTF-8.
    #[must_use]
    pub fn text(&self) -> Option<Result<&'a str, Utf8Error>> {
        matches!(self.kind, RecordKind::Text | RecordKind::Event)
            .then(|| core::str::from_utf8(self.payload))
    }

    /// Reads the payload of a gap record; `None` for other kinds, and for a payload too short for a
    /// gap.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        (self.kind == RecordKind::Gap).then(|| Gap::from_bytes(self.payload)).flatten()
    }
}

impl fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record")
            .field("offset", &self.offset)
            .field("recv_unix_ns", &self.recv_unix_ns())
            .field("source", &self.source())
            .field("kind", &self.kind)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}

/// A record of a block's body as it is, of any kind, for programs that copy records.
#[derive(Clone, Copy)]
pub struct RawRecord<'a> {
    head: &'a RecordHead,
    bytes: &'a [u8],
}

impl<'a> RawRecord<'a> {
    /// Returns when it was received, in nanoseconds since the Unix epoch (UTC).
    #[must_use]
    pub fn recv_unix_ns(&self) -> u64 {
        self.head.recv_unix_ns.get()
    }

    /// Returns its header and its payload.
    #[must_use]
    pub fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Returns whether the payload matches its checksum.
    #[must_use]
    pub fn is_intact(&self) -> bool {
        crc32c(&self.bytes[RECORD_HEADER_LEN..]) == self.head.payload_crc.get()
    }
}

impl fmt::Debug for RawRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRecord")
            .field("recv_unix_ns", &self.recv_unix_ns())
            .field("len_bytes", &self.bytes.len())
            .finish()
    }
}

/// The records of a block's uncompressed body, up to the first place where none begins.
#[derive(Debug, Clone)]
pub struct RawRecords<'a> {
    rest: &'a [u8],
}

impl<'a> RawRecords<'a> {
    /// Reads the records of these bytes.
    #[must_use]
    pub fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    /// Returns the bytes that have not been read; none after all records of an intact body.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for RawRecords<'a> {
    type Item = RawRecord<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        let (head, _) = RecordHead::read(self.rest)?;
        let len = RECORD_HEADER_LEN.checked_add(head.payload_len())?;
        let bytes = self.rest.get(..len)?;
        self.rest = &self.rest[len..];
        Some(RawRecord { head, bytes })
    }
}

impl FusedIterator for RawRecords<'_> {}

/// Two records are equal if their contents are, regardless of their offsets.
impl PartialEq for Record<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.recv_unix_ns() == other.recv_unix_ns()
            && self.source() == other.source()
            && self.kind == other.kind
            && self.payload == other.payload
    }
}

impl Eq for Record<'_> {}
