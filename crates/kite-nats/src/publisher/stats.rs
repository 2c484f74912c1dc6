//! Counts of a publisher.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed};

use crate::link::LinkState;

/// Counts of a publisher since its start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PublisherStats {
    /// Whether the socket to the server is open.
    pub is_connected: bool,
    /// Sockets opened to the server.
    pub connects: u64,
    /// Sockets to the server that were lost.
    pub losses: u64,
    /// The last error that the client or the server of NATS has reported, in one line.
    pub last_error: Option<String>,
    /// Ticks published, as packets or in frames.
    pub ticks: u64,
    /// Frames whose ticks were published.
    pub frames: u64,
    /// Order updates published.
    pub orders: u64,
    /// Events published.
    pub events: u64,
    /// Gaps published, including those of the publisher itself.
    pub gaps: u64,
    /// Requests for newest packets that were answered.
    pub requests: u64,
    /// Messages of any kind that were handed to the client of NATS.
    pub messages: u64,
    /// Messages of which the server has confirmed that it received them. Asked for once a second.
    pub confirmed: u64,
    /// Messages that were not confirmed when a socket was lost: at most so many did not arrive.
    pub unconfirmed: u64,
    /// Messages that were larger than the server accepts, and not sent.
    pub too_large: u64,
    /// Ticks dropped because NATS took too little. Counted once it takes messages again.
    pub dropped_ticks: u64,
    /// Frames of the dropped ticks.
    pub dropped_frames: u64,
    /// Events and order updates missed, because NATS took nothing for too long.
    pub missed_events: u64,
}

/// The counts while they change.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) ticks: AtomicU64,
    pub(super) frames: AtomicU64,
    pub(super) orders: AtomicU64,
    pub(super) events: AtomicU64,
    pub(super) gaps: AtomicU64,
    pub(super) requests: AtomicU64,
    pub(super) messages: AtomicU64,
    /// Messages that are confirmed, or were lost with a socket.
    pub(super) settled: AtomicU64,
    pub(super) unconfirmed: AtomicU64,
    pub(super) too_large: AtomicU64,
    pub(super) dropped_ticks: AtomicU64,
    pub(super) dropped_frames: AtomicU64,
    pub(super) missed_events: AtomicU64,
}

impl Figures {
    pub(super) fn stats(&self, link: &LinkState) -> PublisherStats {
        let read = |count: &AtomicU64| count.load(Relaxed);
        // Read in this order, so that messages are not fewer than those that are settled, nor these
        // fewer than the unconfirmed.
        let unconfirmed = self.unconfirmed.load(Acquire);
        let settled = self.settled.load(Acquire);
        PublisherStats {
            is_connected: link.is_up,
            connects: link.connects,
            losses: link.losses,
            last_error: link.last_error.clone(),
            ticks: read(&self.ticks),
            frames: read(&self.frames),
            orders: read(&self.orders),
            events: read(&self.events),
            gaps: read(&self.gaps),
            requests: read(&self.requests),
            messages: self.messages.load(Acquire),
            confirmed: settled.saturating_sub(unconfirmed),
            unconfirmed,
            too_large: read(&self.too_large),
            dropped_ticks: read(&self.dropped_ticks),
            dropped_frames: read(&self.dropped_frames),
            missed_events: read(&self.missed_events),
        }
    }
}
