//! What an export came to: nothing of the tape goes uncounted.

use kite_wire::tape::Gap;

/// The account of an export.
///
/// All packets of the frames read are `rows + packets_left_out + unknown_packets`, and what the
/// tape itself could not give back is in [`Summary::damage`]. Counts are of the time asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Summary {
    /// Rows of ticks written.
    pub rows: u64,
    /// Packets that the choice of tokens or segments left out.
    pub packets_left_out: u64,
    /// Packets whose length no layout has: not decoded.
    pub unknown_packets: u64,
    /// Binary frames, heartbeats not among them.
    pub frames: u64,
    /// Frames whose tail is damaged: their good packets are rows.
    pub damaged_frames: u64,
    /// Bytes of those tails.
    pub damaged_bytes: u64,
    /// Heartbeats.
    pub heartbeats: u64,
    /// Text frames.
    pub texts: u64,
    /// Notes of the recorder.
    pub notes: u64,
    /// Texts and notes that are not UTF-8: replacement characters stand for what is not.
    pub unreadable_texts: u64,
    /// Gaps.
    pub gaps: u64,
    /// Gaps that do not tell how many frames they miss.
    pub gaps_of_unknown_size: u64,
    /// Frames that the other gaps miss.
    pub frames_missing: u64,
    /// Gaps too short to be read, and records whose kind only this crate does not know.
    pub unreadable_records: u64,
    /// Parts of the tape that could not be read; each was told to the callback.
    pub damage: u64,
    /// Records lost with them, as far as known: at least so many.
    pub records_lost: u64,
    /// Files that end in the middle of being written, as after a crash or while recording.
    pub torn_files: u64,
    /// Records of a kind that this version does not know.
    pub unknown_records: u64,
    /// Times beyond the year 2262, which no timestamp column holds: written as its last moment.
    pub times_out_of_range: u64,
    /// Rows of events written; 0 if none were asked for.
    pub event_rows: u64,
    /// The earliest receive time of the rows, in nanoseconds since the Unix epoch.
    pub first_recv_unix_ns: Option<u64>,
    /// The latest receive time of the rows.
    pub last_recv_unix_ns: Option<u64>,
    /// Bytes of the table of ticks.
    pub bytes_written: u64,
}

impl Summary {
    /// Says whether the tape held everything it was to hold, and every byte of it was understood.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let losses = [
            self.unknown_packets,
            self.damaged_frames,
            self.unreadable_texts,
            self.gaps,
            self.unreadable_records,
            self.damage,
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
