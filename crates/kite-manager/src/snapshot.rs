//! A manager's state at one moment, as plain data, and what it says about its health.

use std::time::Duration;

use kite_conn::{Phase, Stamp, Stats, Status};

/// One connection at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The connection's number, from 0.
    pub connection: usize,
    /// Where it stands.
    pub status: Status,
    /// Its counts since the manager's start.
    pub stats: Stats,
    /// How many instruments it carries.
    pub instruments: usize,
    /// Frames delivered per second since the reading before.
    pub frames_per_second: f64,
    /// How long its present socket has been up; zero while it is down.
    pub uptime: Duration,
}

/// All connections of a manager at one moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The connections, by number; empty before the first start.
    pub connections: Vec<ConnectionSnapshot>,
    /// How many instruments are subscribed, whether connected or not.
    pub instruments: usize,
    /// How long the manager has been running; zero while stopped.
    pub uptime: Duration,
}

/// What a snapshot says about health.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Health {
    /// Connections that are up and heard from.
    pub healthy: Vec<usize>,
    /// Connections that are not.
    pub unhealthy: Vec<usize>,
}

impl Snapshot {
    /// Judges each connection: healthy is one whose socket is up and from which something (data,
    /// a heartbeat) came within `silence` before `now`, or which came up within that time.
    #[must_use]
    pub fn health(&self, now: Stamp, silence: Duration) -> Health {
        let is_healthy = |connection: &&ConnectionSnapshot| {
            let stats = &connection.stats;
            let heard = stats.last_message.max(stats.up_since);
            connection.status.phase == Phase::Live
                && heard.is_some_and(|heard| now.since(heard) <= silence)
        };
        let (healthy, unhealthy): (Vec<_>, Vec<_>) = self.connections.iter().partition(is_healthy);
        let numbers =
            |of: Vec<&ConnectionSnapshot>| of.into_iter().map(|one| one.connection).collect();
        Health { healthy: numbers(healthy), unhealthy: numbers(unhealthy) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SILENCE: Duration = Duration::from_secs(20);

    fn connection(phase: Phase, up_since: Option<Stamp>, heard: Option<Stamp>) -> Snapshot {
        let mut status = Status::default();
        status.phase = phase;
        let mut stats = Stats::default();
        (stats.up_since, stats.last_message) = (up_since, heard);
        let connection = ConnectionSnapshot {
            connection: 7,
            status,
            stats,
            instruments: 0,
            frames_per_second: 0.0,
            uptime: Duration::ZERO,
        };
        Snapshot { connections: vec![connection], ..Snapshot::default() }
    }

    #[test]
    fn healthy_is_what_is_up_and_was_heard_in_time() {
        let start = Stamp::now();
        let after = |seconds| Stamp::at(start.to_instant() + Duration::from_secs(seconds));
        let is_healthy = |snapshot: Snapshot, now| {
            let health = snapshot.health(now, SILENCE);
            assert_eq!(health.healthy.len() + health.unhealthy.len(), 1);
            health.healthy == [7]
        };
        let heard = || connection(Phase::Live, Some(start), Some(after(100)));
        assert!(is_healthy(heard(), after(120)));
        assert!(!is_healthy(heard(), after(121)), "silent for longer than allowed");
        let just_up = || connection(Phase::Live, Some(after(100)), Some(start));
        assert!(is_healthy(just_up(), after(110)), "nothing can have come yet");
        assert!(!is_healthy(just_up(), after(121)), "nothing came");
        let down = connection(Phase::Waiting, None, Some(after(100)));
        assert!(!is_healthy(down, after(101)), "heard just now, but down");
    }
}
