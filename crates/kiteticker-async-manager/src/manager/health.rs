//! The published health summary.

use std::time::Duration;

use kite_manager::Snapshot;

use crate::manager::ManagerStats;

/// Whether the connections are up and receiving data.
///
/// A connection is healthy while its socket is up and either data arrived within twice
/// `heartbeat_liveness_threshold` or the socket came up within that time. Past errors do not
/// count.
#[derive(Debug, Clone, Default)]
pub struct HealthSummary {
    /// Number of healthy connections.
    pub healthy_connections: usize,
    /// Indices of the unhealthy connections, from 0.
    pub unhealthy_connections: Vec<usize>,
    /// Instruments subscribed.
    pub total_symbols: usize,
    /// Messages received since the start.
    pub total_messages: u64,
    /// Errors since the start.
    pub total_errors: u64,
    /// Healthy connections that have received a message on their current socket.
    pub active_message_flows: usize,
    /// Time since the start; zero while stopped.
    pub uptime: Duration,
}

impl HealthSummary {
    pub(crate) fn of(snapshot: &Snapshot, stats: &ManagerStats, silence: Duration) -> Self {
        let health = snapshot.health(silence);
        let flows = |number: &&usize| {
            let connection = &snapshot.connections[**number];
            // Messages received on an earlier socket do not count.
            connection.silent_s.is_some_and(|silent_s| silent_s <= connection.uptime_s)
        };
        Self {
            healthy_connections: health.healthy.len(),
            active_message_flows: health.healthy.iter().filter(flows).count(),
            unhealthy_connections: health.unhealthy,
            total_symbols: stats.total_symbols,
            total_messages: stats.total_messages_received,
            total_errors: stats.total_errors,
            uptime: stats.uptime,
        }
    }

    /// Returns whether all connections are healthy and at least one exists.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.healthy_connections > 0 && self.unhealthy_connections.is_empty()
    }

    /// Returns whether some connections are healthy and some are not.
    #[must_use]
    pub fn is_degraded(&self) -> bool {
        self.healthy_connections > 0 && !self.unhealthy_connections.is_empty()
    }

    /// Returns whether no connection is healthy.
    #[must_use]
    pub fn is_critical(&self) -> bool {
        self.healthy_connections == 0
    }

    /// Returns the share of healthy connections in percent; 0 without any connection.
    #[must_use]
    pub fn health_percentage(&self) -> f64 {
        let all = self.healthy_connections + self.unhealthy_connections.len();
        self.healthy_connections as f64 * 100.0 / all.max(1) as f64
    }
}
