//! The published statistics, filled from a snapshot of the layer beneath.

use std::time::{Duration, Instant};

use kite_conn::{Phase, Stamp};
use kite_manager::{ConnectionSnapshot, Snapshot};

/// Counts of one connection since the start, over all its sockets.
#[derive(Debug, Clone, Default)]
pub struct ConnectionStats {
    /// The connection's index, from 0 ([`ChannelId::to_index`](crate::ChannelId::to_index)).
    pub connection_id: usize,
    /// Whether its socket is up.
    pub is_connected: bool,
    /// Instruments it carries.
    pub symbol_count: usize,
    /// Messages read from the socket: binary frames (heartbeats among them) and text frames.
    pub messages_received: u64,
    /// Those of them that have been checked and handed to the channels.
    pub messages_parsed: u64,
    /// Sockets lost, tries failed, texts unreadable, frames damaged or holding unknown packets,
    /// and frames that a [`KiteTickerRawSubscriber184`](crate::KiteTickerRawSubscriber184) lost to
    /// lag. What a plain channel receiver loses only it knows, by its `Lagged`.
    pub errors_count: u64,
    /// When the last message came.
    pub last_message_time: Option<Instant>,
    /// Mean time from the socket's read to the end of delivery, over all frames since the start.
    /// How it is distributed is in [`Manager::distributions`](kite_manager::Manager::distributions).
    pub average_latency: Duration,
    /// Time since the present socket came up; zero while it is down.
    pub connection_uptime: Duration,
}

/// Counts of all connections since the start.
#[derive(Debug, Clone, Default)]
pub struct ManagerStats {
    /// Instruments subscribed.
    pub total_symbols: usize,
    /// Connections whose socket is up.
    pub active_connections: usize,
    /// Sum over the connections.
    pub total_messages_received: u64,
    /// Sum over the connections.
    pub total_messages_parsed: u64,
    /// Sum over the connections.
    pub total_errors: u64,
    /// Time since the start; zero while stopped.
    pub uptime: Duration,
    /// Each connection's own, by index.
    pub connection_stats: Vec<ConnectionStats>,
}

/// How one connection's frames are checked and handed on.
#[derive(Debug, Clone, Default)]
pub struct ProcessorStats {
    /// Frames checked and handed to the channels, heartbeats among them.
    pub messages_processed: u64,
    /// The same per second, over the time since the last reading that is at least 200 ms ago. Any
    /// look at statistics or health is a reading, also one of the typed layer; the first is over
    /// the time since the start.
    pub messages_per_second: f64,
    /// Mean time from the socket's read to the end of delivery, over all frames since the start.
    pub processing_latency_avg: Duration,
    /// When the last frame was handed on.
    pub last_processed_time: Option<Instant>,
    /// Frames read from the socket that wait for the parser.
    pub queue_size: usize,
    /// Frames damaged and packets of unknown length.
    pub errors_count: u64,
}

impl ConnectionStats {
    pub(crate) fn of(snapshot: &ConnectionSnapshot, lagged: u64) -> Self {
        let stats = &snapshot.stats;
        Self {
            connection_id: snapshot.connection,
            is_connected: snapshot.status.phase == Phase::Live,
            symbol_count: snapshot.instruments,
            messages_received: stats.frames + stats.texts,
            messages_parsed: stats.frames_delivered + stats.texts - stats.unreadable_texts,
            errors_count: stats.errors + stats.damaged_frames + stats.skipped_packets + lagged,
            last_message_time: stats.last_message.map(Stamp::to_instant),
            average_latency: stats.mean_latency(),
            connection_uptime: snapshot.uptime,
        }
    }
}

impl ManagerStats {
    pub(crate) fn of(snapshot: &Snapshot, lagged: &[u64]) -> Self {
        let connection_stats = snapshot.connections.iter().map(|connection| {
            let lagged = lagged.get(connection.connection).copied().unwrap_or_default();
            ConnectionStats::of(connection, lagged)
        });
        Self::sum(connection_stats.collect(), snapshot.instruments, snapshot.uptime)
    }

    /// Sums up connections.
    pub(crate) fn sum(
        connection_stats: Vec<ConnectionStats>,
        total_symbols: usize,
        uptime: Duration,
    ) -> Self {
        let sum =
            |field: fn(&ConnectionStats) -> u64| connection_stats.iter().map(field).sum::<u64>();
        Self {
            total_symbols,
            active_connections: connection_stats.iter().filter(|one| one.is_connected).count(),
            total_messages_received: sum(|one| one.messages_received),
            total_messages_parsed: sum(|one| one.messages_parsed),
            total_errors: sum(|one| one.errors_count),
            uptime,
            connection_stats,
        }
    }
}

impl ProcessorStats {
    pub(crate) fn of(snapshot: &ConnectionSnapshot) -> Self {
        let stats = &snapshot.stats;
        Self {
            messages_processed: stats.frames_delivered,
            messages_per_second: snapshot.frames_per_second,
            processing_latency_avg: stats.mean_latency(),
            last_processed_time: stats.last_delivery.map(Stamp::to_instant),
            queue_size: usize::try_from(stats.frames_queued()).unwrap_or(usize::MAX),
            errors_count: stats.damaged_frames + stats.skipped_packets,
        }
    }
}
