//! What the simulator counts.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::FaultKind;

/// A snapshot of the simulator's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SimStats {
    /// Sockets that hold one of their API key's slots now.
    pub connections_open: u64,
    /// Handshakes accepted since the start.
    pub connections_total: u64,
    /// Handshakes refused since the start, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Binary frames sent, heartbeats apart.
    pub frames_sent: u64,
    /// Packets of the simulated market in these frames.
    pub ticks_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Text frames sent.
    pub texts_sent: u64,
    /// Pings received.
    pub pings_received: u64,
    /// Commands received and obeyed, also where the limit of instruments refused them.
    pub commands_received: u64,
    /// Text frames received that are no command.
    pub bad_commands: u64,
    /// Faults that took effect, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
}

/// A counter that tasks share.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters behind [`SimStats`] that tasks add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) ticks: Counter,
    pub(crate) heartbeats: Counter,
    pub(crate) texts: Counter,
    pub(crate) pings: Counter,
    pub(crate) commands: Counter,
    pub(crate) bad_commands: Counter,
}
