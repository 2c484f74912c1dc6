//! Health, judged from a snapshot.

use std::time::Duration;

use kite_conn::Phase;
use serde::{Deserialize, Serialize};

use crate::observe::snapshot::{ConnectionSnapshot, Snapshot};

/// Health of a manager, judged from a [`Snapshot`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Connections that are up and not silent: indices into [`Snapshot::connections`].
    pub healthy: Vec<usize>,
    /// All other connections.
    pub unhealthy: Vec<usize>,
    /// Instruments that no connection streams.
    pub dark: usize,
}

/// Overall health of a manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthLevel {
    /// All connections are healthy.
    Healthy,
    /// Some connections are not healthy.
    Degraded,
    /// No connection is healthy, or there are none.
    Critical,
}

impl Health {
    /// Returns the overall level.
    #[must_use]
    pub fn level(&self) -> HealthLevel {
        match (self.healthy.is_empty(), self.unhealthy.is_empty()) {
            (true, _) => HealthLevel::Critical,
            (false, true) => HealthLevel::Healthy,
            (false, false) => HealthLevel::Degraded,
        }
    }
}

impl Snapshot {
    /// Judges each connection. A connection is healthy if its socket is up and received something
    /// (data or a heartbeat) within `silence` before the snapshot, or came up within that time.
    /// Past errors do not count.
    #[must_use]
    pub fn health(&self, silence: Duration) -> Health {
        let is_healthy = |place: &usize| self.connections[*place].is_healthy(silence);
        let (healthy, unhealthy) = (0..self.connections.len()).partition(is_healthy);
        Health { healthy, unhealthy, dark: self.dark }
    }
}

impl ConnectionSnapshot {
    fn is_healthy(&self, silence: Duration) -> bool {
        let silent_s = self.silent_s.map_or(self.uptime_s, |silent_s| silent_s.min(self.uptime_s));
        self.phase == Phase::Live && silent_s <= silence.as_secs_f64()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(20);

    fn connection(phase: Phase, uptime_s: f64, silent_s: Option<f64>) -> Snapshot {
        let connection = ConnectionSnapshot { phase, uptime_s, silent_s, ..Default::default() };
        Snapshot { connections: vec![connection], ..Default::default() }
    }

    #[test]
    fn a_connection_is_healthy_if_it_is_up_and_not_silent() {
        let is_healthy = |snapshot: Snapshot| {
            let health = snapshot.health(SILENCE);
            assert_eq!(health.healthy.len() + health.unhealthy.len(), 1);
            health.healthy == [0]
        };
        assert!(is_healthy(connection(Phase::Live, 120.0, Some(20.0))));
        assert!(!is_healthy(connection(Phase::Live, 121.0, Some(21.0))), "silent for too long");
        assert!(
            is_healthy(connection(Phase::Live, 10.0, Some(110.0))),
            "up for too short a time to be silent"
        );
        assert!(!is_healthy(connection(Phase::Live, 21.0, Some(121.0))), "silent since it came up");
        assert!(!is_healthy(connection(Phase::Waiting, 0.0, Some(1.0))), "not silent, but down");
    }

    #[test]
    fn the_level_depends_on_how_many_connections_are_healthy() {
        let level = |healthy: &[usize], unhealthy: &[usize]| {
            let (healthy, unhealthy) = (healthy.to_vec(), unhealthy.to_vec());
            Health { healthy, unhealthy, dark: 0 }.level()
        };
        assert_eq!(level(&[0, 1], &[]), HealthLevel::Healthy);
        assert_eq!(level(&[0], &[1]), HealthLevel::Degraded);
        assert_eq!(level(&[], &[0]), HealthLevel::Critical);
        assert_eq!(level(&[], &[]), HealthLevel::Critical);
    }
}
