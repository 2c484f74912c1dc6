//! Counts of a connection. Each has one writer, and any thread may read it at any time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::count::Count;
use super::distribution::{Distribution, Recorder};
use super::handover::Unsettled;
use super::instruments::Instruments;
use super::loss::LossKind;
use crate::clock::Stamp;

/// Counts taken at the socket.
#[derive(Debug, Default)]
pub(crate) struct SocketCounts {
    pub(crate) frames: Count,
    pub(crate) bytes: Count,
    pub(crate) texts: Count,
    pub(crate) unreadable_texts: Count,
    pub(crate) errors: Count,
    pub(crate) connects: Count,
    pub(crate) losses: Count,
    /// Stamp of the last message in nanoseconds, 0 before the first.
    pub(crate) last_message: Count,
    /// Stamp of the last handshake in nanoseconds, 0 while not connected.
    pub(crate) up_since: Count,
    /// Round-trip time of the last ping in nanoseconds, 0 before the first.
    pub(crate) round_trip_ns: Count,
    pub(crate) losses_by_kind: [Count; LossKind::ALL.len()],
    pub(crate) frame_bytes: Recorder,
    pub(crate) round_trips_ns: Recorder,
    pub(crate) outages_ns: Recorder,
}

/// Counts taken at the delivery to the sink.
#[derive(Debug, Default)]
pub(crate) struct DeliveryCounts {
    pub(crate) frames: Count,
    pub(crate) ticks: Count,
    pub(crate) heartbeats: Count,
    pub(crate) skipped_packets: Count,
    pub(crate) damaged_frames: Count,
    pub(crate) latency_ns: Count,
    /// Stamp of the last frame checked in nanoseconds, 0 before the first.
    pub(crate) last_frame: Count,
    pub(crate) latencies_ns: Recorder,
    pub(crate) exchange_lags_s: Recorder,
}

/// All counts of one connection.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) socket: SocketCounts,
    pub(crate) delivery: DeliveryCounts,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) unsettled: Arc<Unsettled>,
    /// Whether the sink panicked and that has not been reported yet.
    pub(crate) sink_panicked: AtomicBool,
}

/// Counts of a connection since its creation, across all its sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Binary frames read, including heartbeats.
    pub frames: u64,
    /// Bytes of binary frames read.
    pub bytes: u64,
    /// Text frames read.
    pub texts: u64,
    /// Text frames that are not a JSON object.
    pub unreadable_texts: u64,
    /// Lost sockets, failed attempts and unreadable text frames.
    pub errors: u64,
    /// Handshakes done.
    pub connects: u64,
    /// Live sockets lost.
    pub losses: u64,
    /// When the last message of any kind was received.
    pub last_message: Option<Stamp>,
    /// Since when the current socket has been up.
    pub up_since: Option<Stamp>,
    /// Round-trip time of the last ping, on this socket or an earlier one. Pings are sent during
    /// silences and on demand.
    pub round_trip: Option<Duration>,
    /// Frames checked and delivered, including heartbeats: `frames` without one that is being
    /// delivered or whose sink panicked.
    pub frames_delivered: u64,
    /// Ticks delivered.
    pub ticks: u64,
    /// Heartbeats received.
    pub heartbeats: u64,
    /// Packets of unknown length, skipped.
    pub skipped_packets: u64,
    /// Frames with an unreadable tail, delivered without it.
    pub damaged_frames: u64,
    /// Ticks of instruments that were not subscribed, delivered like the others. 0 unless
    /// instruments are tracked.
    pub unsubscribed_ticks: u64,
    /// Time from the socket's read to the end of delivery, summed over the frames delivered.
    pub latency: Duration,
    /// When the last frame was delivered.
    pub last_delivery: Option<Stamp>,
}

impl Stats {
    /// Returns the mean time from the socket's read to the end of a frame's delivery.
    #[must_use]
    pub fn mean_latency(&self) -> Duration {
        let nanos = self.latency.as_nanos() / u128::from(self.frames_delivered.max(1));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Distributions of a connection's measurements since its creation, across all its sockets.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Distributions {
    /// Nanoseconds from the socket's read to the end of a frame's delivery.
    pub latency_ns: Distribution,
    /// Seconds from the newest exchange timestamp in a frame to its receipt by the local wall
    /// clock; only frames with full packets have one. In whole seconds, and between two clocks that
    /// are not synchronised, so it shows delays of several seconds, not of milliseconds. Values
    /// above a minute are left out, because they belong to old ticks that the server sends after a
    /// subscription.
    pub exchange_lag_s: Distribution,
    /// Bytes of binary frames, excluding heartbeats.
    pub frame_bytes: Distribution,
    /// Round-trip times of pings in nanoseconds.
    pub round_trip_ns: Distribution,
    /// Nanoseconds from the loss of a socket to the end of the next handshake.
    pub outage_ns: Distribution,
}

impl Distributions {
    /// Adds the values of another connection.
    #[must_use]
    pub fn merged(&self, other: &Self) -> Self {
        Self {
            latency_ns: self.latency_ns.merged(&other.latency_ns),
            exchange_lag_s: self.exchange_lag_s.merged(&other.exchange_lag_s),
            frame_bytes: self.frame_bytes.merged(&other.frame_bytes),
            round_trip_ns: self.round_trip_ns.merged(&other.round_trip_ns),
            outage_ns: self.outage_ns.merged(&other.outage_ns),
        }
    }
}

impl Counters {
    pub(crate) fn distributions(&self) -> Distributions {
        Distributions {
            latency_ns: self.delivery.latencies_ns.read(),
            exchange_lag_s: self.delivery.exchange_lags_s.read(),
            frame_bytes: self.socket.frame_bytes.read(),
            round_trip_ns: self.socket.round_trips_ns.read(),
            outage_ns: self.socket.outages_ns.read(),
        }
    }

    /// Returns how often each kind of loss occurred, omitting kinds that did not.
    pub(crate) fn losses_by_kind(&self) -> BTreeMap<LossKind, u64> {
        let counts = LossKind::ALL.into_iter().zip(&self.socket.losses_by_kind);
        counts.map(|(kind, count)| (kind, count.get())).filter(|(_, count)| *count > 0).collect()
    }

    pub(crate) fn read(&self) -> Stats {
        // Parts before their totals: read later, they could exceed them.
        let frames_delivered = self.delivery.frames.get();
        let unreadable_texts = self.socket.unreadable_texts.get();
        let stamp = |nanos| (nanos != 0).then(|| Stamp::from_nanos(nanos));
        let (socket, delivery) = (&self.socket, &self.delivery);
        Stats {
            frames: socket.frames.get(),
            bytes: socket.bytes.get(),
            texts: socket.texts.get(),
            unreadable_texts,
            errors: socket.errors.get(),
            connects: socket.connects.get(),
            losses: socket.losses.get(),
            last_message: stamp(socket.last_message.get()),
            up_since: stamp(socket.up_since.get()),
            round_trip: match socket.round_trip_ns.get() {
                0 => None,
                nanos => Some(Duration::from_nanos(nanos)),
            },
            frames_delivered,
            ticks: delivery.ticks.get(),
            heartbeats: delivery.heartbeats.get(),
            skipped_packets: delivery.skipped_packets.get(),
            damaged_frames: delivery.damaged_frames.get(),
            unsubscribed_ticks: self.instruments.unsubscribed_ticks(),
            latency: Duration::from_nanos(delivery.latency_ns.get()),
            last_delivery: stamp(delivery.last_frame.get()),
        }
    }
}
