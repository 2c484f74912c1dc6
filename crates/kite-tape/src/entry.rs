//! One record that owns its payload.

use std::fmt;

use bytes::Bytes;
use kite_wire::tape::{Gap, Received, RecordKind, Source};

/// A record read from a tape.
///
/// Its payload lies in the map of the file, or in the unpacked block: a clone or a slice of it
/// costs a reference count, and keeps all of that memory for as long as it lives.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// When and from where the record came.
    pub received: Received,
    /// What the payload is.
    pub kind: RecordKind,
    /// The payload, byte for byte as it was recorded.
    pub payload: Bytes,
}

impl Entry {
    /// Makes an entry, for instance to test a reader without a tape.
    #[must_use]
    pub fn new(received: Received, kind: RecordKind, payload: Bytes) -> Self {
        Self { received, kind, payload }
    }

    /// When the record was received, in nanoseconds since the Unix epoch (UTC).
    #[must_use]
    pub fn recv_unix_ns(&self) -> u64 {
        self.received.recv_unix_ns
    }

    /// Where the record comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        self.received.source
    }

    /// Reads the payload of a gap record; other kinds, and a payload too short for a gap, give
    /// `None`.
    #[must_use]
    pub fn gap(&self) -> Option<Gap> {
        (self.kind == RecordKind::Gap).then(|| Gap::from_bytes(&self.payload)).flatten()
    }

    /// Gives the payload of a text or event record if it is UTF-8; other kinds give `None`.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        matches!(self.kind, RecordKind::Text | RecordKind::Event)
            .then(|| std::str::from_utf8(&self.payload).ok())
            .flatten()
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("received", &self.received)
            .field("kind", &self.kind)
            .field("payload_len", &self.payload.len())
            .finish()
    }
}
