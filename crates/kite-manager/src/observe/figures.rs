//! Counts and measurements of one connection or of all together.

use std::collections::BTreeMap;

use kite_conn::{Distributions, LossKind, Stats};
use serde::{Deserialize, Serialize};

use crate::observe::quantiles::Quantiles;
use crate::observe::rates::PerSecond;

/// Counts, rates and quantiles of one connection, or of all together. Counts and quantiles are
/// since the manager's start, across all sockets.
///
/// Rates are over the last one to two seconds, or since the start if that is more recent; within
/// 200 ms of the start they are zero. Reading does not affect the rates that other readers get.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Figures {
    /// Binary frames read, including heartbeats.
    pub frames: u64,
    /// Bytes of binary frames read.
    pub bytes: u64,
    /// Text frames read.
    pub texts: u64,
    /// Text frames that are not a JSON object.
    pub unreadable_texts: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Frames checked and delivered, including heartbeats.
    pub frames_delivered: u64,
    /// Ticks delivered.
    pub ticks: u64,
    /// Packets of unknown length, skipped.
    pub skipped_packets: u64,
    /// Frames with an unreadable tail, delivered without it.
    pub damaged_frames: u64,
    /// Ticks of instruments that were not subscribed, delivered like the others.
    pub unsubscribed_ticks: u64,
    /// Ticks of instruments that had left their connection, as the server had not read the
    /// unsubscribe command yet. Merged streams and the latest-value table leave them out.
    pub departed_ticks: u64,
    /// Sockets lost, connection attempts failed and unreadable text frames.
    pub errors: u64,
    /// Handshakes completed.
    pub connects: u64,
    /// Sockets lost, by cause ([`LossKind::name`]).
    pub losses: BTreeMap<String, u64>,
    /// Frames delivered per second.
    pub frames_per_second: f64,
    /// Ticks delivered per second.
    pub ticks_per_second: f64,
    /// Bytes of binary frames read per second.
    pub bytes_per_second: f64,
    /// Mean nanoseconds from the socket read to the end of delivery.
    pub mean_latency_ns: u64,
    /// Nanoseconds from the socket read to the end of delivery.
    pub latency_ns: Quantiles,
    /// Whole seconds from the exchange timestamp to local receipt; compares two clocks.
    pub exchange_lag_s: Quantiles,
    /// Bytes of frames with ticks.
    pub frame_bytes: Quantiles,
    /// Round-trip time of pings in nanoseconds.
    pub round_trip_ns: Quantiles,
    /// Nanoseconds from the loss of a socket to the next handshake.
    pub outage_ns: Quantiles,
}

impl Figures {
    pub(super) fn new(
        stats: &Stats,
        losses: &BTreeMap<LossKind, u64>,
        rates: PerSecond,
        distributions: &Distributions,
    ) -> Self {
        let losses = losses.iter().map(|(kind, count)| (kind.name().to_owned(), *count));
        Self {
            frames: stats.frames,
            bytes: stats.bytes,
            texts: stats.texts,
            unreadable_texts: stats.unreadable_texts,
            heartbeats: stats.heartbeats,
            frames_delivered: stats.frames_delivered,
            ticks: stats.ticks,
            skipped_packets: stats.skipped_packets,
            damaged_frames: stats.damaged_frames,
            unsubscribed_ticks: stats.unsubscribed_ticks,
            errors: stats.errors,
            connects: stats.connects,
            losses: losses.collect(),
            frames_per_second: rates.frames,
            ticks_per_second: rates.ticks,
            bytes_per_second: rates.bytes,
            mean_latency_ns: u64::try_from(stats.mean_latency().as_nanos()).unwrap_or(u64::MAX),
            ..Self::default()
        }
        .with_quantiles(distributions)
    }

    /// Returns the number of sockets lost, for any cause.
    #[must_use]
    pub fn sockets_lost(&self) -> u64 {
        self.losses.values().sum()
    }

    /// Adds the counts and rates of another connection; quantiles cannot be added.
    pub(super) fn add(&mut self, other: &Self) {
        let latency = u128::from(self.mean_latency_ns) * u128::from(self.frames_delivered)
            + u128::from(other.mean_latency_ns) * u128::from(other.frames_delivered);
        self.frames += other.frames;
        self.bytes += other.bytes;
        self.texts += other.texts;
        self.unreadable_texts += other.unreadable_texts;
        self.heartbeats += other.heartbeats;
        self.frames_delivered += other.frames_delivered;
        self.ticks += other.ticks;
        self.skipped_packets += other.skipped_packets;
        self.damaged_frames += other.damaged_frames;
        self.unsubscribed_ticks += other.unsubscribed_ticks;
        self.departed_ticks += other.departed_ticks;
        self.errors += other.errors;
        self.connects += other.connects;
        for (kind, count) in &other.losses {
            *self.losses.entry(kind.clone()).or_default() += count;
        }
        self.frames_per_second += other.frames_per_second;
        self.ticks_per_second += other.ticks_per_second;
        self.bytes_per_second += other.bytes_per_second;
        let mean = latency / u128::from(self.frames_delivered.max(1));
        self.mean_latency_ns = u64::try_from(mean).unwrap_or(u64::MAX);
    }

    pub(super) fn with_quantiles(self, distributions: &Distributions) -> Self {
        Self {
            latency_ns: (&distributions.latency_ns).into(),
            exchange_lag_s: (&distributions.exchange_lag_s).into(),
            frame_bytes: (&distributions.frame_bytes).into(),
            round_trip_ns: (&distributions.round_trip_ns).into(),
            outage_ns: (&distributions.outage_ns).into(),
            ..self
        }
    }
}
