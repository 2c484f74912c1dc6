//! The published statistics, filled from a snapshot of the typed manager.

use std::time::{Duration, Instant};

use kite_conn::{Phase, Stamp};
use kite_manager::{ConnectionSnapshot, Figures, Snapshot};

/// Counts of one connection since the start, across all its sockets.
#[derive(Debug, Clone, Default)]
pub struct ConnectionStats {
    /// The connection's index, from 0 ([`ChannelId::to_index`](crate::ChannelId::to_index)).
    pub connection_id: usize,
    /// Whether its socket is up.
    pub is_connected: bool,
    /// Instruments subscribed on it.
    pub symbol_count: usize,
    /// Messages read from the socket: binary frames (including heartbeats) and text frames.
    pub messages_received: u64,
    /// Messages checked and delivered to the channels.
    pub messages_parsed: u64,
    /// Lost sockets, failed connection attempts, unreadable text frames, damaged frames, packets of
    /// unknown length, and frames that a
    /// [`KiteTickerRawSubscriber184`](crate::KiteTickerRawSubscriber184) lost to lag. Losses of a
    /// plain channel receiver are not included, because only its `Lagged` reports them.
    pub errors_count: u64,
    /// When the last message was received.
    pub last_message_time: Option<Instant>,
    /// Mean time from the socket read to the end of delivery, over all frames since the start. For
    /// the distribution see [`Manager::snapshot`](kite_manager::Manager::snapshot).
    pub average_latency: Duration,
    /// Time since the current socket came up; zero while it is down.
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
    /// Counts of each connection, by index.
    pub connection_stats: Vec<ConnectionStats>,
}

/// Counts and timings of frame processing on one connection.
#[derive(Debug, Clone, Default)]
pub struct ProcessorStats {
    /// Frames checked and delivered to the channels, including heartbeats.
    pub messages_processed: u64,
    /// The same per second, over the last one to two seconds, or since the start if that is more
    /// recent; zero during the first 200 ms. Reading the statistics does not affect later values.
    pub messages_per_second: f64,
    /// Mean time from the socket read to the end of delivery, over all frames since the start.
    pub processing_latency_avg: Duration,
    /// When the last frame was delivered.
    pub last_processed_time: Option<Instant>,
    /// Frames waiting for a parser. Always 0, because each frame is delivered as it is read.
    pub queue_size: usize,
    /// Damaged frames and packets of unknown length.
    pub errors_count: u64,
}

impl ConnectionStats {
    pub(crate) fn of(snapshot: &ConnectionSnapshot, lagged: u64) -> Self {
        let figures = &snapshot.figures;
        Self {
            connection_id: snapshot.connection,
            is_connected: snapshot.phase == Phase::Live,
            symbol_count: snapshot.instruments,
            messages_received: figures.frames + figures.texts,
            messages_parsed: figures.frames_delivered + figures.texts - figures.unreadable_texts,
            errors_count: figures.errors + damage(figures) + lagged,
            last_message_time: snapshot.last_message_ns.map(instant),
            average_latency: Duration::from_nanos(figures.mean_latency_ns),
            connection_uptime: Duration::from_secs_f64(snapshot.uptime_s),
        }
    }
}

impl ManagerStats {
    pub(crate) fn of(snapshot: &Snapshot, lagged: &[u64]) -> Self {
        let connection_stats = snapshot.connections.iter().map(|connection| {
            let lagged = lagged.get(connection.connection).copied().unwrap_or_default();
            ConnectionStats::of(connection, lagged)
        });
        Self::sum(connection_stats.collect(), snapshot.instruments, uptime(snapshot))
    }

    /// Sums up the counts of connections.
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
        let figures = &snapshot.figures;
        Self {
            messages_processed: figures.frames_delivered,
            messages_per_second: figures.frames_per_second,
            processing_latency_avg: Duration::from_nanos(figures.mean_latency_ns),
            last_processed_time: snapshot.last_delivery_ns.map(instant),
            queue_size: 0,
            errors_count: damage(figures),
        }
    }
}

/// Returns the time since the start.
pub(crate) fn uptime(snapshot: &Snapshot) -> Duration {
    Duration::from_secs_f64(snapshot.uptime_s)
}

fn damage(figures: &Figures) -> u64 {
    figures.damaged_frames + figures.skipped_packets
}

fn instant(stamp_ns: u64) -> Instant {
    Stamp::from_nanos(stamp_ns).to_instant()
}
