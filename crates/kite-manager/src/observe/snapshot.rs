//! A manager's state at one moment, as plain data, and what it says about its health.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_conn::{LossKind, Phase, Stamp, Stats, Status};

use crate::account_id::AccountId;

/// One connection at one moment.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ConnectionSnapshot {
    /// The account it belongs to.
    pub account: AccountId,
    /// The connection's number within the account, from 0.
    pub connection: usize,
    /// Where it stands.
    pub status: Status,
    /// Its counts since the manager's start.
    pub stats: Stats,
    /// How often its sockets were lost, and by what.
    pub losses: BTreeMap<LossKind, u64>,
    /// How many instruments it carries.
    pub instruments: usize,
    /// Those of them that nobody streams: it has been down for too long, and no other connection
    /// has room for them.
    pub dark: Vec<u32>,
    /// Frames delivered per second since the reading before.
    pub frames_per_second: f64,
    /// How long its present socket has been up; zero while it is down.
    pub uptime: Duration,
}

/// All connections of a manager at one moment.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Snapshot {
    /// The connections, account by account, by number; empty before the first start.
    pub connections: Vec<ConnectionSnapshot>,
    /// How many instruments are subscribed, whether connected or not.
    pub instruments: usize,
    /// How long the manager has been running; zero while stopped.
    pub uptime: Duration,
}

/// Instruments that were subscribed on a connection and have not ticked there.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Unseen {
    /// The account.
    pub account: AccountId,
    /// The connection's number within the account.
    pub connection: usize,
    /// The instruments, rising.
    pub tokens: Vec<u32>,
}

/// What a snapshot says about health.
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// a heartbeat) came within `silence` before `now`, or which came up within that time. Errors
    /// of the past do not count.
    #[must_use]
    pub fn health(&self, now: Stamp, silence: Duration) -> Health {
        let is_healthy = |place: &usize| {
            let connection = &self.connections[*place];
            let stats = &connection.stats;
            let heard = stats.last_message.max(stats.up_since);
            connection.status.phase == Phase::Live
                && heard.is_some_and(|heard| now.since(heard) <= silence)
        };
        let (healthy, unhealthy) = (0..self.connections.len()).partition(is_healthy);
        let dark = self.connections.iter().map(|connection| connection.dark.len()).sum();
        Health { healthy, unhealthy, dark }
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
            account: AccountId::default(),
            connection: 7,
            status,
            stats,
            losses: BTreeMap::new(),
            instruments: 0,
            dark: Vec::new(),
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
            health.healthy == [0]
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
