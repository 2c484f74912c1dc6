//! Counts of a consumer.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use crate::link::LinkState;

/// Counts of a consumer since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ConsumerStats {
    /// Whether the socket to the server is open.
    pub is_connected: bool,
    /// Sockets opened to the server.
    pub connects: u64,
    /// Sockets to the server that were lost.
    pub losses: u64,
    /// How often the server closed the socket, or the client dropped messages, because they were
    /// read too slowly.
    pub slow: u64,
    /// The last error that the client or the server of NATS has reported, in one line.
    pub last_error: Option<String>,
    /// Ticks delivered, without those of answers.
    pub ticks: u64,
    /// Newest packets delivered that were asked for.
    pub snapshot_ticks: u64,
    /// Ticks missing by their numbers; of whole frames, the frames.
    pub missed: u64,
    /// Ticks that the publisher has reported as dropped.
    pub dropped_ticks: u64,
    /// Messages that had arrived before, or later ones had.
    pub repeated: u64,
    /// Messages of publishers that were replaced.
    pub refused: u64,
    /// Messages that could not be read.
    pub invalid: u64,
}

/// The counts while they change.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) ticks: AtomicU64,
    pub(super) snapshot_ticks: AtomicU64,
    pub(super) missed: AtomicU64,
    pub(super) dropped_ticks: AtomicU64,
    pub(super) repeated: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) invalid: AtomicU64,
}

impl Figures {
    pub(super) fn stats(&self, link: &LinkState) -> ConsumerStats {
        let read = |count: &AtomicU64| count.load(Relaxed);
        ConsumerStats {
            is_connected: link.is_up,
            connects: link.connects,
            losses: link.losses,
            slow: link.slow,
            last_error: link.last_error.clone(),
            ticks: read(&self.ticks),
            snapshot_ticks: read(&self.snapshot_ticks),
            missed: read(&self.missed),
            dropped_ticks: read(&self.dropped_ticks),
            repeated: read(&self.repeated),
            refused: read(&self.refused),
            invalid: read(&self.invalid),
        }
    }
}
