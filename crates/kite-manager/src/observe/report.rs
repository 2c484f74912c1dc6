//! A snapshot for machines: plain numbers and words, to be serialised.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_conn::{Distribution, ErrorChain, Phase, Stamp};
use serde::{Deserialize, Serialize};

use crate::manager::Manager;
use crate::observe::snapshot::ConnectionSnapshot;

/// What a manager has to say of itself at one moment. Nothing here is secret.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// When it was made, in milliseconds since the Unix epoch by our wall clock.
    pub unix_ms: u64,
    /// Seconds since the start; zero while stopped.
    pub uptime_s: f64,
    /// Instruments subscribed.
    pub instruments: usize,
    /// Instruments that have not ticked on their connection.
    pub unseen: usize,
    /// Each connection's own.
    pub connections: Vec<ConnectionReport>,
    /// Nanoseconds from the socket's read to the end of delivery.
    pub latency_ns: Quantiles,
    /// Whole seconds from the exchange's timestamps to our receipt, by two clocks.
    pub exchange_lag_s: Quantiles,
    /// Bytes of frames with ticks.
    pub frame_bytes: Quantiles,
    /// Nanoseconds that pings took there and back.
    pub round_trip_ns: Quantiles,
    /// Nanoseconds from the loss of a socket to the next handshake.
    pub outage_ns: Quantiles,
}

/// What there is to say of one connection.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ConnectionReport {
    /// The account's name.
    pub account: String,
    /// The connection's number within it.
    pub connection: usize,
    /// `opening`, `renewing`, `live`, `waiting`, `parked` or `closed`.
    pub phase: String,
    /// Number of its present or last socket.
    pub epoch: u32,
    /// Why it is parked, or why the last try failed.
    pub failure: Option<String>,
    /// Instruments it carries.
    pub instruments: usize,
    /// Those of them that nobody streams.
    pub dark: usize,
    /// Binary frames read, and their bytes.
    pub frames: u64,
    /// Bytes of binary frames read.
    pub bytes: u64,
    /// Ticks delivered.
    pub ticks: u64,
    /// Frames read and not yet delivered.
    pub queued: u64,
    /// Frames delivered a second since the reading before.
    pub frames_per_second: f64,
    /// Handshakes done.
    pub connects: u64,
    /// Sockets lost, by what.
    pub losses: BTreeMap<String, u64>,
    /// Packets of unknown length, skipped.
    pub skipped_packets: u64,
    /// Frames with an unreadable tail.
    pub damaged_frames: u64,
    /// Sockets lost, tries failed, texts unreadable.
    pub errors: u64,
    /// Seconds since the present socket came up; zero while it is down.
    pub uptime_s: f64,
    /// Seconds since anything came.
    pub silent_s: Option<f64>,
}

/// How values are distributed; each at most 3 % too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Quantiles {
    /// How many values there are.
    pub count: u64,
    /// The median.
    pub p50: u64,
    /// What 99 of 100 values do not exceed.
    pub p99: u64,
    /// What 999 of 1,000 values do not exceed.
    pub p999: u64,
    /// The largest.
    pub max: u64,
}

impl From<&Distribution> for Quantiles {
    fn from(distribution: &Distribution) -> Self {
        let at = |share| distribution.quantile(share).unwrap_or_default();
        Self {
            count: distribution.count(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            max: at(1.0),
        }
    }
}

impl Manager {
    /// Reads all there is to say, as plain data.
    #[must_use]
    pub fn report(&self) -> Report {
        let (snapshot, distributions) = (self.snapshot(), self.distributions());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = Stamp::now();
        Report {
            unix_ms: u64::try_from(unix.as_millis()).unwrap_or(u64::MAX),
            uptime_s: snapshot.uptime.as_secs_f64(),
            instruments: snapshot.instruments,
            unseen: self.unseen().iter().map(|it| it.tokens.len()).sum(),
            connections: snapshot.connections.iter().map(|it| of(it, now)).collect(),
            latency_ns: (&distributions.latency_ns).into(),
            exchange_lag_s: (&distributions.exchange_lag_s).into(),
            frame_bytes: (&distributions.frame_bytes).into(),
            round_trip_ns: (&distributions.round_trip_ns).into(),
            outage_ns: (&distributions.outage_ns).into(),
        }
    }
}

fn of(connection: &ConnectionSnapshot, now: Stamp) -> ConnectionReport {
    let (status, stats) = (&connection.status, &connection.stats);
    let parked = status.parked.as_ref().map(|reason| ErrorChain(reason).to_string());
    let failed = || status.last_failure.as_ref().map(|error| ErrorChain(error).to_string());
    let losses = connection.losses.iter();
    ConnectionReport {
        account: connection.account.to_string(),
        connection: connection.connection,
        phase: phase_name(status.phase).to_owned(),
        epoch: status.epoch,
        failure: parked.or_else(failed),
        instruments: connection.instruments,
        dark: connection.dark.len(),
        frames: stats.frames,
        bytes: stats.bytes,
        ticks: stats.ticks,
        queued: stats.frames_queued(),
        frames_per_second: connection.frames_per_second,
        connects: stats.connects,
        losses: losses.map(|(kind, count)| (kind.name().to_owned(), *count)).collect(),
        skipped_packets: stats.skipped_packets,
        damaged_frames: stats.damaged_frames,
        errors: stats.errors,
        uptime_s: connection.uptime.as_secs_f64(),
        silent_s: stats
            .last_message
            .map(|last| now.since(last))
            .as_ref()
            .map(Duration::as_secs_f64),
    }
}

fn phase_name(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::Renewing => "renewing",
        Phase::Live => "live",
        Phase::Waiting => "waiting",
        Phase::Parked => "parked",
        _ => "closed",
    }
}
