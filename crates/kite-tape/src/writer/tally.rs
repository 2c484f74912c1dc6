//! Counts of records, in total and by connection, of a block or of a file.

use kite_wire::Frame;
use kite_wire::tape::{Gap, GapReason, RECORD_HEADER_LEN, Received, RecordKind};

use crate::queue::{Loss, note_gap, note_loss};

/// Counts of records that were written.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) records: u64,
    /// Binary frames other than heartbeats.
    pub(crate) frames: u64,
    pub(crate) heartbeats: u64,
    pub(crate) texts: u64,
    /// Packets in the frames.
    pub(crate) ticks: u64,
    pub(crate) gaps: u64,
    /// Bytes of the records before compression.
    pub(crate) bytes_raw: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: &Self) {
        self.combine(more, u64::saturating_add);
    }

    pub(crate) fn subtract(&mut self, less: &Self) {
        self.combine(less, u64::saturating_sub);
    }

    fn combine(&mut self, other: &Self, with: impl Fn(u64, u64) -> u64) {
        for (own, other) in [
            (&mut self.records, other.records),
            (&mut self.frames, other.frames),
            (&mut self.heartbeats, other.heartbeats),
            (&mut self.texts, other.texts),
            (&mut self.ticks, other.ticks),
            (&mut self.gaps, other.gaps),
            (&mut self.bytes_raw, other.bytes_raw),
        ] {
            *own = with(*own, other);
        }
    }
}

/// Counts of records, and the gaps to write if these records are lost.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    /// One for each connection, and one for each reason of the gaps among its records.
    losses: Vec<Loss>,
}

impl Tally {
    /// Counts a record.
    pub(crate) fn note(&mut self, received: Received, kind: RecordKind, payload: &[u8]) {
        let counts = &mut self.counts;
        counts.records += 1;
        counts.bytes_raw += (RECORD_HEADER_LEN + payload.len()) as u64;
        match kind {
            RecordKind::Binary => {
                let frame = Frame::walk(payload);
                if frame.is_heartbeat() {
                    counts.heartbeats += 1;
                } else {
                    counts.frames += 1;
                    counts.ticks += frame.packets().count() as u64;
                }
            }
            RecordKind::Text => counts.texts += 1,
            RecordKind::Gap => counts.gaps += 1,
            _ => {}
        }
        let gap = (kind == RecordKind::Gap).then(|| Gap::from_bytes(payload)).flatten();
        match gap {
            Some(gap) => note_gap(&mut self.losses, received.source, &gap),
            None => note_loss(&mut self.losses, received, kind, GapReason::WriteFailed),
        }
    }

    /// Adds the records of a block.
    pub(crate) fn add(&mut self, block: &Self) {
        self.counts.add(&block.counts);
        for loss in &block.losses {
            note_gap(&mut self.losses, loss.source, &loss.gap());
        }
    }

    /// Returns the counts without gaps, for records that the recorder writes again if they are lost.
    pub(crate) fn without_losses(&self) -> Self {
        Self { counts: self.counts, losses: Vec::new() }
    }

    /// Returns the part of these records that is not among those found.
    pub(crate) fn without(&self, found: &Self) -> Self {
        let mut missing = Self { counts: self.counts, losses: Vec::new() };
        missing.counts.subtract(&found.counts);
        if missing.counts == Counts::default() {
            return missing;
        }
        for loss in &self.losses {
            let mut loss = *loss;
            let same = |it: &&Loss| it.source == loss.source && it.reason == loss.reason;
            if let Some(found) = found.losses.iter().find(same) {
                loss.frames = loss.frames.zip(found.frames).map(|(a, b)| a.saturating_sub(b));
                if found.to_unix_ns >= loss.to_unix_ns && loss.frames.is_none_or(|it| it == 0) {
                    continue;
                }
                loss.from_unix_ns = found.to_unix_ns.min(loss.to_unix_ns);
            }
            missing.losses.push(loss);
        }
        missing
    }

    /// Notes these records as lost, and the gaps among them as not written yet. Returns the number
    /// of frames lost.
    pub(crate) fn lose(&self, losses: &mut Vec<Loss>) -> u64 {
        for loss in &self.losses {
            note_gap(losses, loss.source, &loss.gap());
        }
        self.counts.frames + self.counts.heartbeats + self.counts.texts
    }

    /// Returns when the latest of the records was received, in Unix nanoseconds; 0 without records.
    pub(crate) fn latest_unix_ns(&self) -> u64 {
        self.losses.iter().map(|loss| loss.to_unix_ns).max().unwrap_or(0)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.counts.records == 0
    }

    pub(crate) fn clear(&mut self) {
        self.counts = Counts::default();
        self.losses.clear();
    }
}
