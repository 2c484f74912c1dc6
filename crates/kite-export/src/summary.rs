//! The result of an export, in which every part of the tape is counted.

use kite_tape::Silences;
use kite_wire::tape::Gap;

/// The totals of an export.
///
/// The packets of all frames read are `rows + packets_left_out + unknown_packets`; parts of the
/// tape that could not be read are in [`Summary::damage`]. Counts cover the requested time range.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows of ticks written.
    pub rows: u64,
    /// Files of ticks written: more than one if the table is partitioned.
    pub files: u64,
    /// Packets excluded by the choice of tokens or segments.
    pub packets_left_out: u64,
    /// Instruments without a row of those given by [`Export::tokens`](crate::Export::tokens) and
    /// [`Export::tokens_by_day`](crate::Export::tokens_by_day), sorted.
    pub unseen_tokens: Vec<u32>,
    /// Packets of a length that no layout has; they are not decoded.
    pub unknown_packets: u64,
    /// Binary frames, without heartbeats.
    pub frames: u64,
    /// Frames with a damaged tail; their valid packets are rows.
    pub damaged_frames: u64,
    /// Bytes of those tails.
    pub damaged_bytes: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Text frames.
    pub texts: u64,
    /// Notes by the recorder.
    pub notes: u64,
    /// Text frames and notes that are not UTF-8; invalid bytes become replacement characters.
    pub unreadable_texts: u64,
    /// Gaps.
    pub gaps: u64,
    /// Gaps with an unknown number of missing frames.
    pub gaps_of_unknown_size: u64,
    /// Frames missing in the other gaps.
    pub frames_missing: u64,
    /// Gap records too short to decode, and records of a kind that kite-wire knows but this crate
    /// does not.
    pub unreadable_records: u64,
    /// Parts of the tape that could not be read; each was reported to the callback.
    pub damage: u64,
    /// Number of records known to be lost with them: a lower bound, unless
    /// `damage_of_unknown_size` is 0.
    pub records_lost: u64,
    /// Parts with an unknown number of lost records.
    pub damage_of_unknown_size: u64,
    /// Files with an incomplete end, as after a crash; not those that a recorder is writing to.
    pub torn_files: u64,
    /// Files of a directory that were not read, because they are not tapes or cannot be read.
    pub unreadable_files: u64,
    /// Records of a kind that this version does not know.
    pub unknown_records: u64,
    /// Times after the year 2262, which a timestamp column cannot hold; the latest possible time is
    /// written instead.
    pub times_out_of_range: u64,
    /// Silences of connections, and steps of the clock. They are not losses, so that
    /// [`Summary::is_complete`] does not depend on them.
    pub silences: Silences,
    /// Rows of events written; 0 if none were requested.
    pub event_rows: u64,
    /// The earliest receive time of the rows, in nanoseconds since the Unix epoch.
    pub first_recv_unix_ns: Option<u64>,
    /// The latest receive time of the rows.
    pub last_recv_unix_ns: Option<u64>,
    /// Bytes of the table of ticks.
    pub bytes_written: u64,
}

impl Summary {
    /// Returns whether the tapes have no gaps and no damage, are not cut off, and every byte of them
    /// was decoded.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let losses = [
            self.unknown_packets,
            self.damaged_frames,
            self.unreadable_texts,
            self.gaps,
            self.unreadable_records,
            self.damage,
            self.unreadable_files,
            self.torn_files,
            self.unknown_records,
            self.times_out_of_range,
        ];
        losses.iter().all(|&count| count == 0)
    }

    pub(crate) fn add_gap(&mut self, gap: &Gap) {
        self.gaps += 1;
        match gap.frames {
            Some(frames) => self.frames_missing = self.frames_missing.saturating_add(frames),
            None => self.gaps_of_unknown_size += 1,
        }
    }

    #[inline]
    pub(crate) fn add_rows(&mut self, rows: u64, recv_unix_ns: u64) {
        if rows == 0 {
            return;
        }
        self.rows += rows;
        let first = self.first_recv_unix_ns.unwrap_or(recv_unix_ns);
        let last = self.last_recv_unix_ns.unwrap_or(recv_unix_ns);
        self.first_recv_unix_ns = Some(first.min(recv_unix_ns));
        self.last_recv_unix_ns = Some(last.max(recv_unix_ns));
    }
}
