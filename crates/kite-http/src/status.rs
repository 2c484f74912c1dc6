//! The state of a feed, its relay and its recorder as plain data without secrets.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use kite_manager::{OneLine, Snapshot};
use kite_nats::PublisherStats;
use kite_relay::{ClientStats, RelayStats};
use kite_tape::RecorderStats;
use serde::Serialize;

use crate::bars::LengthStatus;
use crate::disk::Disk;
use crate::incidents::Incidents;
use crate::readiness::Readiness;

/// Everything that is shown. Serialised as documented in `docs/http.md`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Status {
    /// The version of this program.
    pub(crate) version: &'static str,
    /// When it was sampled, by the clock of `last_delivery_ns` and `last_message_ns`.
    pub(crate) sampled_ns: u64,
    #[serde(flatten)]
    pub(crate) readiness: Readiness,
    /// The connections. Its `unix_ms` is the time of the sample.
    pub(crate) feed: Snapshot,
    /// When a frame was last received.
    pub(crate) last_frame_unix_ms: Option<u64>,
    /// When the first of the access tokens expires.
    pub(crate) token_expires_unix_s: Option<u64>,
    pub(crate) incidents: Incidents,
    pub(crate) relay: Option<RelayStatus>,
    pub(crate) recorder: Option<RecorderStatus>,
    /// The bars of today, by length.
    pub(crate) candles: Vec<LengthStatus>,
    pub(crate) nats: Option<NatsStatus>,
}

/// The counts of a publisher to NATS.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct NatsStatus {
    pub(crate) is_connected: bool,
    /// Sockets to the server that were lost.
    pub(crate) losses: u64,
    pub(crate) last_error: Option<String>,
    /// Ticks published.
    pub(crate) ticks: u64,
    /// Messages of any kind that were published.
    pub(crate) messages: u64,
    /// Messages that the server has confirmed.
    pub(crate) confirmed: u64,
    /// Messages that were not confirmed when a socket was lost.
    pub(crate) unconfirmed: u64,
    /// Ticks dropped because NATS took too little.
    pub(crate) dropped: u64,
    /// Messages larger than the server accepts.
    pub(crate) too_large: u64,
    pub(crate) gaps: u64,
    /// Requests for newest packets that were answered.
    pub(crate) requests: u64,
}

impl From<PublisherStats> for NatsStatus {
    fn from(stats: PublisherStats) -> Self {
        Self {
            is_connected: stats.is_connected,
            losses: stats.losses,
            last_error: stats.last_error,
            ticks: stats.ticks,
            messages: stats.messages,
            confirmed: stats.confirmed,
            unconfirmed: stats.unconfirmed,
            dropped: stats.dropped_ticks,
            too_large: stats.too_large,
            gaps: stats.gaps,
            requests: stats.requests,
        }
    }
}

/// The counts of a relay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RelayStatus {
    /// Sockets of clients that are open.
    pub(crate) sockets: usize,
    pub(crate) ticks_in: u64,
    pub(crate) ticks_out: u64,
    /// Ticks dropped before the relay received them.
    pub(crate) ticks_missed: u64,
    /// Gaps that were reported to clients.
    pub(crate) gaps: u64,
    /// Handshakes refused, by HTTP status.
    pub(crate) refused: BTreeMap<u16, u64>,
    pub(crate) clients: Vec<ClientStatus>,
}

/// The counts of all sockets of a relay's client.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ClientStatus {
    pub(crate) name: String,
    /// Whether it may not connect any more. Its counts remain, so that sums over clients never fall.
    pub(crate) is_removed: bool,
    /// Sockets that are open.
    pub(crate) sockets: usize,
    /// Instruments subscribed, once for each socket.
    pub(crate) instruments: u64,
    /// Sockets opened so far.
    pub(crate) accepted: u64,
    /// Ticks that wait in its queues.
    pub(crate) waiting: u64,
    /// Ticks handed to its sockets.
    pub(crate) out: u64,
    /// Ticks replaced by newer ones.
    pub(crate) conflated: u64,
    /// Ticks dropped.
    pub(crate) dropped: u64,
    /// Ticks that waited when their socket ended.
    pub(crate) unsent: u64,
    /// Sockets reset because they took no byte for too long.
    pub(crate) stalled: u64,
    /// Sockets closed because too much waited for them.
    pub(crate) too_slow: u64,
    pub(crate) refused_commands: u64,
}

/// The counts of a recorder.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct RecorderStatus {
    pub(crate) directory: PathBuf,
    /// The file being written.
    pub(crate) file: Option<PathBuf>,
    /// Whether there is no file to write to, or the last block could not be written.
    pub(crate) is_failing: bool,
    pub(crate) last_error: Option<String>,
    pub(crate) frames: u64,
    pub(crate) ticks: u64,
    pub(crate) gaps: u64,
    pub(crate) bytes_raw: u64,
    pub(crate) bytes_on_disk: u64,
    /// Records dropped because the queue was full.
    pub(crate) dropped: u64,
    /// Frames lost because they could not be written, or their file was removed.
    pub(crate) lost: u64,
    pub(crate) failures: u64,
    pub(crate) queued: usize,
    pub(crate) queued_bytes: usize,
    pub(crate) disk: Option<Disk>,
}

impl From<RelayStats> for RelayStatus {
    fn from(stats: RelayStats) -> Self {
        Self {
            sockets: stats.clients.iter().map(|client| client.sockets).sum(),
            ticks_in: stats.ticks_in,
            ticks_out: stats.ticks_out,
            ticks_missed: stats.ticks_missed,
            gaps: stats.gaps,
            refused: stats.refused,
            clients: clients(stats.clients, &stats.listed),
        }
    }
}

/// Returns the clients that may connect or have been connected, by name.
fn clients(counted: Vec<ClientStats>, listed: &[String]) -> Vec<ClientStatus> {
    let mut all: BTreeMap<String, ClientStats> =
        listed.iter().map(|name| (name.clone(), ClientStats::default())).collect();
    all.extend(counted.into_iter().map(|client| (client.name.clone(), client)));
    let status = |(name, stats)| {
        let is_removed = !listed.contains(&name);
        ClientStatus::new(name, is_removed, &stats)
    };
    all.into_iter().map(status).collect()
}

impl ClientStatus {
    fn new(name: String, is_removed: bool, stats: &ClientStats) -> Self {
        Self {
            waiting: stats.waiting(),
            name,
            is_removed,
            sockets: stats.sockets,
            instruments: stats.instruments,
            accepted: stats.accepted,
            out: stats.out,
            conflated: stats.replaced,
            dropped: stats.dropped,
            unsent: stats.unsent,
            stalled: stats.stalled,
            too_slow: stats.too_slow,
            refused_commands: stats.refused_commands,
        }
    }
}

impl RecorderStatus {
    pub(crate) fn new(directory: &Path, stats: RecorderStats) -> Self {
        Self {
            directory: directory.to_owned(),
            file: stats.files.last().cloned(),
            is_failing: stats.is_failing,
            last_error: stats.last_error.map(|error| OneLine(error).to_string()),
            frames: stats.frames,
            ticks: stats.ticks,
            gaps: stats.gaps,
            bytes_raw: stats.bytes_raw,
            bytes_on_disk: stats.bytes_on_disk,
            dropped: stats.dropped,
            lost: stats.lost,
            failures: stats.failures,
            queued: stats.queued,
            queued_bytes: stats.queued_bytes,
            disk: Disk::of(directory),
        }
    }
}
