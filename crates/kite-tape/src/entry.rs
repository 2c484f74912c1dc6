//! One record of a tape, owned without copying.

use bytes::Bytes;
use kite_wire::Frame;
use kite_wire::tape::{Gap, Received, RecordKind};

use crate::instruments::InstrumentsNote;

/// A record. Its payload shares the memory of the mapped file or of the decompressed block. A clone
/// costs one reference count and keeps that memory alive.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When it was received, by the recorder's clock, and from which connection.
    pub received: Received,
    /// The kind of the payload.
    pub kind: RecordKind,
    /// The payload, byte for byte as it was passed to the recorder.
    pub payload: Bytes,
}

impl Entry {
    pub(crate) fn new(received: Received, kind: RecordKind, payload: Bytes) -> Self {
        Self { received, kind, payload }
    }

    /// Returns the time of receipt, in nanoseconds since the Unix epoch (UTC).
    #[must_use]
    pub fn recv_unix_ns(&self) -> u64 {
        self.received.recv_unix_ns
    }

    /// Parses the payload of a binary frame; `None` for other kinds.
    #[must_use]
    pub fn frame(&self) -> Option<Frame<'_>> {
        (self.kind == RecordKind::Binary).then(|| Frame::walk(&self.payload))
    }

    /// Parses the payload of a gap; `None` for other kinds, or if the payload is too short.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        (self.kind == RecordKind::Gap).then(|| Gap::from_bytes(&self.payload)).flatten()
    }

    /// Parses a note of subscribed instruments; `None` for other kinds and notes, or if it is
    /// invalid. [`Reel::instruments`](crate::Reel::instruments) finds all of them quickly.
    #[must_use]
    pub fn instruments(&self) -> Option<InstrumentsNote> {
        (self.kind == RecordKind::Event)
            .then(|| InstrumentsNote::parse(self.recv_unix_ns(), &self.payload))
            .flatten()
    }
}
