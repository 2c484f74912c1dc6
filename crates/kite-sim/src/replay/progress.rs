//! The progress of a replay.

/// The progress of a replay, and counts of its records.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReplayProgress {
    /// The earliest and the latest time on the tape, in nanoseconds since the Unix epoch; `None`
    /// for a tape without records.
    pub span_unix_ns: Option<(u64, u64)>,
    /// When the last replayed record was received, in nanoseconds since the Unix epoch, or where the
    /// replay was asked to continue since then; `None` before the first.
    pub position_unix_ns: Option<u64>,
    /// Whether the replay has started.
    pub begun: bool,
    /// Whether all of the tape has been sent, up to the last frame of the slowest socket.
    pub finished: bool,
    /// Times that the replay has continued at another place of the tape; see
    /// [`Sim::seek_replay`](crate::Sim::seek_replay). What is replayed again counts again.
    pub seeks: u64,
    /// Records replayed, of all kinds.
    pub records: u64,
    /// Binary frames replayed, without heartbeats, whether or not any socket was subscribed.
    pub frames: u64,
    /// Packets of known length in these frames.
    pub ticks: u64,
    /// Frames sent, across all sockets and including snapshots; see
    /// [`SimStats::frames_sent`](crate::SimStats).
    pub frames_sent: u64,
    /// Packets sent; see [`SimStats::ticks_sent`](crate::SimStats).
    pub ticks_sent: u64,
    /// Packets queued in a leaner mode than subscribed, because no richer one was recorded.
    pub leaner_packets: u64,
    /// Packets not kept for snapshots, because those of 131,072 other instruments are. They are sent
    /// to the sockets that are subscribed.
    pub packets_not_kept: u64,
    /// Recorded packets of unknown length, skipped except in a verbatim replay.
    pub unknown_packets: u64,
    /// Recorded frames with a damaged tail, which is skipped except in a verbatim replay.
    pub damaged_frames: u64,
    /// Recorded text frames, whether or not any socket was open.
    pub texts: u64,
    /// Text frames not sent again because another connection of the account had carried them.
    pub repeated_texts: u64,
    /// Text frames not sent because they are the greeting of a recorded connection.
    pub greetings: u64,
    /// Text frames not sent because they are not UTF-8, which a WebSocket cannot carry.
    pub unreadable_texts: u64,
    /// Gaps on the tape, which are stretches for which frames are missing.
    pub gaps: u64,
    /// Damaged places in the tape files, skipped.
    pub damages: u64,
    /// Description of the last of these.
    pub last_damage: Option<String>,
}
