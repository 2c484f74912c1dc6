//! Turns counts into what happened within the last second.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kiteticker_async_manager::kite_conn::Phase;
use kiteticker_async_manager::kite_manager::{ConnectionSnapshot, Snapshot};

use crate::consumer::Feed;
use crate::latency::Latency;

/// One connection, or all of them, over the last second.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Row {
    /// The connection's number from 1, or `all`.
    pub(crate) label: String,
    pub(crate) state: &'static str,
    pub(crate) instruments: usize,
    pub(crate) frames_per_second: f64,
    pub(crate) ticks_per_second: f64,
    pub(crate) median: Option<Duration>,
    pub(crate) p99: Option<Duration>,
    /// Messages lost to lag since the start.
    pub(crate) lagged: u64,
    /// Errors since the start.
    pub(crate) errors: u64,
}

/// Reads the feeds once a second.
#[derive(Debug)]
pub(crate) struct Sampler {
    feeds: Vec<Arc<Feed>>,
    before: Vec<Counts>,
    read_at: Instant,
    /// Latencies of the whole run.
    run: Latency,
    /// Of the present second, over all connections; kept for its memory.
    second: Latency,
    /// Goes to and fro between here and the feeds, empty when it goes there.
    spare: Latency,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
    frames: u64,
    ticks: u64,
    lagged: u64,
}

impl Sampler {
    pub(crate) fn new(feeds: Vec<Arc<Feed>>, now: Instant) -> Self {
        Self {
            before: vec![Counts::default(); feeds.len()],
            feeds,
            read_at: now,
            run: Latency::new(),
            second: Latency::new(),
            spare: Latency::new(),
        }
    }

    /// Gives a row for each connection and one for all.
    pub(crate) fn sample(&mut self, snapshot: &Snapshot, now: Instant) -> Vec<Row> {
        let seconds = now.duration_since(self.read_at).as_secs_f64().max(f64::EPSILON);
        self.read_at = now;
        self.second.clear();
        let mut rows = Vec::new();
        let mut all = Row { label: "all".to_owned(), ..Row::default() };
        let feeds = self.feeds.iter().zip(&mut self.before);
        for ((feed, before), connection) in feeds.zip(&snapshot.connections) {
            self.spare.clear();
            let counts = {
                let mut received = feed.lock();
                received.swap_latency(&mut self.spare);
                let (frames, ticks, lagged) = (received.frames, received.ticks, received.lagged);
                Counts { frames, ticks, lagged }
            };
            self.second.add(&self.spare);
            let row = Row {
                label: (connection.connection + 1).to_string(),
                state: state(connection.status.phase),
                instruments: connection.instruments,
                frames_per_second: (counts.frames - before.frames) as f64 / seconds,
                ticks_per_second: (counts.ticks - before.ticks) as f64 / seconds,
                median: self.spare.quantile(0.5),
                p99: self.spare.quantile(0.99),
                lagged: counts.lagged,
                errors: errors(connection),
            };
            *before = counts;
            all.instruments += row.instruments;
            all.frames_per_second += row.frames_per_second;
            all.ticks_per_second += row.ticks_per_second;
            all.lagged += row.lagged;
            all.errors += row.errors;
            rows.push(row);
        }
        all.median = self.second.quantile(0.5);
        all.p99 = self.second.quantile(0.99);
        rows.push(all);
        self.run.add(&self.second);
        rows
    }

    /// Gives the latencies of the whole run, as far as sampled.
    pub(crate) fn into_latency(self) -> Latency {
        self.run
    }
}

/// Sockets lost, tries failed, frames damaged, packets and texts not understood.
pub(crate) fn errors(connection: &ConnectionSnapshot) -> u64 {
    let stats = &connection.stats;
    stats.errors + stats.damaged_frames + stats.skipped_packets
}

fn state(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::Live => "live",
        Phase::Waiting => "waiting",
        Phase::Parked => "parked",
        Phase::Closed => "closed",
        _ => "unknown",
    }
}
