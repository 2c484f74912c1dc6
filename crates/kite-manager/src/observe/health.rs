//! What a snapshot says about health.

use std::time::Duration;

use kite_conn::Phase;
use serde::{Deserialize, Serialize};

use crate::observe::snapshot::{ConnectionSnapshot, Snapshot};

/// What a snapshot says about health.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Health {
    /// Connections that are up and heard from: places in [`Snapshot::connections`].
    pub healthy: Vec<usize>,
    /// Connections that are not.
    pub unhealthy: Vec<usize>,
    /// How many instruments nobody streams.
    pub dark: usize,
}

/// How well a manager is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum HealthLevel {
    /// All connections are healthy.
    Healthy,
    /// Some are not.
    Degraded,
    /// None is, or there is none.
    Critical,
}

impl Health {
    /// Sums up.
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
    /// Judges each connection: healthy is one whose socket is up and from which something (data,
    /// a heartbeat) came within `silence` before the snapshot, or which came up within that time.
    /// Errors of the past do not count.
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
    fn healthy_is_what_is_up_and_was_heard_in_time() {
        let is_healthy = |snapshot: Snapshot| {
            let health = snapshot.health(SILENCE);
            assert_eq!(health.healthy.len() + health.unhealthy.len(), 1);
            health.healthy == [0]
        };
        assert!(is_healthy(connection(Phase::Live, 120.0, Some(20.0))));
        assert!(!is_healthy(connection(Phase::Live, 121.0, Some(21.0))), "silent for too long");
        assert!(
            is_healthy(connection(Phase::Live, 10.0, Some(110.0))),
            "nothing can have come yet"
        );
        assert!(!is_healthy(connection(Phase::Live, 21.0, Some(121.0))), "nothing came");
        assert!(
            !is_healthy(connection(Phase::Waiting, 0.0, Some(1.0))),
            "heard just now, but down"
        );
    }

    #[test]
    fn a_level_says_how_many_are_well() {
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
