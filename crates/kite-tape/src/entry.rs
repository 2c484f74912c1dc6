//! One record of a tape, owned without a copy.

use bytes::Bytes;
use kite_wire::Frame;
use kite_wire::tape::{Gap, Received, RecordKind};

/// A record. Its payload is a share of the mapped file, or of the block that was unpacked: a clone
/// costs one reference count, and keeps that memory.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it was received, by the recorder's clock, and from where.
    pub received: Received,
    /// What the payload is.
    pub kind: RecordKind,
    /// The payload, byte for byte as it was given to the writer.
    pub payload: Bytes,
}

impl Entry {
    pub(crate) fn new(received: Received, kind: RecordKind, payload: Bytes) -> Self {
        Self { received, kind, payload }
    }

    /// When it was received, in nanoseconds since the Unix epoch (UTC).
    #[must_use]
    pub fn recv_unix_ns(&self) -> u64 {
        self.received.recv_unix_ns
    }

    /// Walks the payload of a binary frame; other kinds give `None`.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        (self.kind == RecordKind::Binary).then(|| Frame::walk(&self.payload))
    }

    /// Reads the payload of a gap; other kinds, and a payload too short for one, give `None`.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        (self.kind == RecordKind::Gap).then(|| Gap::from_bytes(&self.payload)).flatten()
    }
}
