//! The payload of a gap record: what is missing from the tape, and why.

use zerocopy::byteorder::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// The count of a gap whose number of frames is unknown.
const UNKNOWN: u64 = u64::MAX;

/// Why frames are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum GapReason {
    /// Code 1: the recorder's queue was full, so frames were dropped.
    QueueFull,
    /// Code 2: the recorder read its channel too late, so frames were overwritten.
    Lagged,
    /// Code 3: the connection was down.
    Disconnected,
    /// Code 4: the recorder was not running.
    RecorderStopped,
    /// Code 5: writing failed, for instance because the disk was full.
    WriteFailed,
    /// Code 6: the tape was copied from a damaged one, on which the records could not be read.
    Damaged,
    /// Any other code: 0 means an unknown reason, others are reasons of later versions.
    Other(u16),
}

impl GapReason {
    /// Returns the code used in the payload.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::QueueFull => 1,
            Self::Lagged => 2,
            Self::Disconnected => 3,
            Self::RecorderStopped => 4,
            Self::WriteFailed => 5,
            Self::Damaged => 6,
            Self::Other(code) => code,
        }
    }

    /// Returns the name for reports, in snake case; `None` for a reason without a name.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        match self {
            Self::QueueFull => Some("queue_full"),
            Self::Lagged => Some("lagged"),
            Self::Disconnected => Some("disconnected"),
            Self::RecorderStopped => Some("recorder_stopped"),
            Self::WriteFailed => Some("write_failed"),
            Self::Damaged => Some("damaged"),
            Self::Other(_) => None,
        }
    }

    /// Returns the reason with this code.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        match code {
            1 => Self::QueueFull,
            2 => Self::Lagged,
            3 => Self::Disconnected,
            4 => Self::RecorderStopped,
            5 => Self::WriteFailed,
            6 => Self::Damaged,
            other => Self::Other(other),
        }
    }
}

/// A stretch of time for which frames are missing.
///
/// The record's [`Source`](super::Source) is the connection that missed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Gap {
    /// Why they are missing.
    pub reason: GapReason,
    /// When the gap began, in nanoseconds since the Unix epoch; 0 if not known.
    pub from_unix_ns: u64,
    /// When it ended, in nanoseconds since the Unix epoch; 0 if not known.
    pub to_unix_ns: u64,
    /// Number of missing frames, if known. The tape cannot carry `u64::MAX`, which reads back as
    /// `None`.
    pub frames: Option<u64>,
}

#[derive(FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
struct Layout {
    reason: U16,
    reserved: [u8; 6],
    from_unix_ns: U64,
    to_unix_ns: U64,
    frames: U64,
}

impl Gap {
    /// Length of a gap's payload, in bytes.
    pub const LEN: usize = 32;

    /// Returns the payload of a gap record.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        zerocopy::transmute!(Layout {
            reason: self.reason.code().into(),
            reserved: [0; 6],
            from_unix_ns: self.from_unix_ns.into(),
            to_unix_ns: self.to_unix_ns.into(),
            frames: self.frames.unwrap_or(UNKNOWN).into(),
        })
    }

    /// Reads the payload of a gap record; `None` if it has fewer than [`Gap::LEN`] bytes. Further
    /// bytes belong to later versions and are ignored.
    #[must_use]
    pub fn from_bytes(payload: &[u8]) -> Option<Self> {
        let (layout, _) = Layout::ref_from_prefix(payload).ok()?;
        let frames = layout.frames.get();
        Some(Self {
            reason: GapReason::from_code(layout.reason.get()),
            from_unix_ns: layout.from_unix_ns.get(),
            to_unix_ns: layout.to_unix_ns.get(),
            frames: (frames != UNKNOWN).then_some(frames),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_code_reads_back() {
        for code in 0..=u16::MAX {
            assert_eq!(GapReason::from_code(code).code(), code);
        }
    }

    #[test]
    fn a_gap_reads_back_and_ignores_what_follows_it() {
        let gap = Gap {
            reason: GapReason::Disconnected,
            from_unix_ns: 1,
            to_unix_ns: u64::MAX,
            frames: None,
        };
        let mut bytes = [0xaa; Gap::LEN + 3];
        bytes[..Gap::LEN].copy_from_slice(&gap.to_bytes());
        assert_eq!(Gap::from_bytes(&bytes), Some(gap));
        assert_eq!(Gap::from_bytes(&bytes[..Gap::LEN - 1]), None);
        let counted = Gap { frames: Some(0), ..gap };
        assert_eq!(Gap::from_bytes(&counted.to_bytes()), Some(counted));
    }
}
