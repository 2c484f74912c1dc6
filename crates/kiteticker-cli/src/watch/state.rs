//! How the feed is doing, reading by reading: rates, phases, what was lost.
//!
//! Pure: readings of counters and the time are handed in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use kite_conn::{Distributions, ErrorChain, Phase};
use kite_manager::{ConnectionSnapshot, Snapshot};

/// A reading of one connection's counters.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading {
    pub(crate) connection: usize,
    pub(crate) phase: Phase,
    pub(crate) frames: u64,
    pub(crate) ticks: u64,
    pub(crate) instruments: usize,
    pub(crate) damaged_frames: u64,
    pub(crate) skipped_packets: u64,
    /// Why it is parked, or why its last try failed.
    pub(crate) trouble: Option<String>,
}

impl From<&ConnectionSnapshot> for Reading {
    fn from(connection: &ConnectionSnapshot) -> Self {
        let status = &connection.status;
        let parked = status.parked.as_ref().map(|reason| ErrorChain(reason).to_string());
        let failed = status.last_failure.as_ref().map(|error| ErrorChain(error).to_string());
        Self {
            connection: connection.connection,
            phase: status.phase,
            frames: connection.stats.frames_delivered,
            ticks: connection.stats.ticks,
            instruments: connection.instruments,
            damaged_frames: connection.stats.damaged_frames,
            skipped_packets: connection.stats.skipped_packets,
            trouble: parked.or(failed),
        }
    }
}

/// What the header tells of one connection.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Socket {
    /// From 1.
    pub(crate) number: usize,
    pub(crate) phase: Phase,
    pub(crate) frames_per_second: f64,
    pub(crate) ticks_per_second: f64,
    pub(crate) instruments: usize,
    pub(crate) trouble: Option<String>,
}

/// What the header tells of the whole feed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct FeedState {
    pub(crate) sockets: Vec<Socket>,
    pub(crate) instruments: usize,
    pub(crate) ticks_per_second: f64,
    /// From the socket's read to the end of delivery, since the start.
    pub(crate) latency_p50: Option<Duration>,
    pub(crate) latency_p99: Option<Duration>,
    pub(crate) damaged_frames: u64,
    pub(crate) skipped_packets: u64,
}

/// Turns counters into rates.
#[derive(Debug, Default)]
pub(crate) struct Gauge {
    /// Frames and ticks of each connection at the reading before.
    before: BTreeMap<usize, (u64, u64)>,
    read_at: Option<Instant>,
}

impl Gauge {
    /// Reads a manager.
    pub(crate) fn read(
        &mut self,
        snapshot: &Snapshot,
        distributions: &Distributions,
        now: Instant,
    ) -> FeedState {
        let readings = snapshot.connections.iter().map(Reading::from).collect();
        let quantile = |share| distributions.latency_ns.quantile(share).map(Duration::from_nanos);
        FeedState {
            instruments: snapshot.instruments,
            latency_p50: quantile(0.5),
            latency_p99: quantile(0.99),
            ..self.take(readings, now)
        }
    }

    /// Compares with the reading before; the first has no rates.
    pub(crate) fn take(&mut self, readings: Vec<Reading>, now: Instant) -> FeedState {
        let passed = self.read_at.map(|before| now.saturating_duration_since(before));
        self.read_at = Some(now);
        let mut state = FeedState::default();
        for reading in readings {
            let counts = (reading.frames, reading.ticks);
            let before = self.before.insert(reading.connection, counts);
            let rate = |now: u64, before: u64| match passed {
                // Counters begin anew where a manager was started again.
                Some(passed) if !passed.is_zero() => {
                    now.saturating_sub(before) as f64 / passed.as_secs_f64()
                }
                _ => 0.0,
            };
            let (frames, ticks) = before.unwrap_or_default();
            let socket = Socket {
                number: state.sockets.len() + 1,
                phase: reading.phase,
                frames_per_second: rate(reading.frames, frames),
                ticks_per_second: rate(reading.ticks, ticks),
                instruments: reading.instruments,
                trouble: reading.trouble,
            };
            state.ticks_per_second += socket.ticks_per_second;
            state.damaged_frames += reading.damaged_frames;
            state.skipped_packets += reading.skipped_packets;
            state.sockets.push(socket);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(connection: usize, frames: u64, ticks: u64) -> Reading {
        Reading {
            connection,
            phase: Phase::Live,
            frames,
            ticks,
            instruments: 3_000,
            damaged_frames: 1,
            skipped_packets: 2,
            trouble: None,
        }
    }

    #[test]
    fn rates_are_differences_over_the_time_between() {
        let (mut gauge, start) = (Gauge::default(), Instant::now());
        let first = gauge.take(vec![reading(0, 100, 1_000), reading(1, 0, 0)], start);
        assert_eq!(first.ticks_per_second, 0.0, "nothing to compare with");
        let later = start + Duration::from_secs(2);
        let second = gauge.take(vec![reading(0, 300, 13_000), reading(1, 10, 20)], later);
        let rates: Vec<(f64, f64)> = second
            .sockets
            .iter()
            .map(|socket| (socket.frames_per_second, socket.ticks_per_second))
            .collect();
        assert_eq!(rates, [(100.0, 6_000.0), (5.0, 10.0)]);
        assert_eq!(second.ticks_per_second, 6_010.0);
        assert_eq!((second.damaged_frames, second.skipped_packets), (2, 4));
    }

    #[test]
    fn counters_that_begin_anew_and_a_clock_at_rest_give_no_rate() {
        let (mut gauge, start) = (Gauge::default(), Instant::now());
        gauge.take(vec![reading(0, 100, 1_000)], start);
        let same = gauge.take(vec![reading(0, 200, 2_000)], start);
        assert_eq!(same.ticks_per_second, 0.0);
        let anew = gauge.take(vec![reading(0, 1, 1)], start + Duration::from_secs(1));
        assert_eq!(anew.ticks_per_second, 0.0);
    }
}
