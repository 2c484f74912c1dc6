//! The simulator's counters.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::fault::FaultKind;

/// A snapshot of the simulator's counters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct SimStats {
    /// Sockets that currently hold one of their API key's slots.
    pub connections_open: u64,
    /// Handshakes accepted since the start.
    pub connections_total: u64,
    /// Handshakes refused since the start, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// Binary frames sent, without heartbeats.
    pub frames_sent: u64,
    /// Market packets in these frames.
    pub ticks_sent: u64,
    /// Heartbeats sent.
    pub heartbeats_sent: u64,
    /// Text frames sent.
    pub texts_sent: u64,
    /// Pings received.
    pub pings_received: u64,
    /// Commands received and obeyed at least in part, including those rejected by the instrument
    /// limit.
    pub commands_received: u64,
    /// Text frames ignored in whole or in part: they are not commands, or name instruments by
    /// something other than numbers, such as tokens in quotes.
    pub ignored_commands: u64,
    /// Commands refused as a whole, because the socket would have had more than 3,000 instruments.
    pub refused_commands: u64,
    /// Faults that took effect, by kind.
    pub faults: BTreeMap<FaultKind, u64>,
    /// Access tokens issued by logins.
    pub logins: u64,
    /// Access tokens ended by logouts.
    pub logouts: u64,
    /// Socket faults of scripts without effect, by kind, because their account had no open socket
    /// when they were due.
    pub missed_faults: BTreeMap<FaultKind, u64>,
}

/// A counter shared between tasks.
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

/// Counts of faults by kind, shared between tasks.
#[derive(Debug, Default)]
pub(crate) struct FaultCounter(Mutex<BTreeMap<FaultKind, u64>>);

impl FaultCounter {
    pub(crate) fn add(&self, kind: FaultKind) {
        *self.0.lock().entry(kind).or_insert(0) += 1;
    }

    pub(crate) fn values(&self) -> BTreeMap<FaultKind, u64> {
        self.0.lock().clone()
    }
}

/// The counters of [`SimStats`] that tasks add to.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) frames: Counter,
    pub(crate) ticks: Counter,
    pub(crate) heartbeats: Counter,
    pub(crate) texts: Counter,
    pub(crate) pings: Counter,
    pub(crate) commands: Counter,
    pub(crate) ignored_commands: Counter,
    pub(crate) refused_commands: Counter,
    pub(crate) logins: Counter,
    pub(crate) logouts: Counter,
    pub(crate) faults: FaultCounter,
    pub(crate) missed_faults: FaultCounter,
}
