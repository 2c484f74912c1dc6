//! What the page shows of the state.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_manager::{ConnectionSnapshot, HealthLevel, OneLine, Phase};
use kite_wire::Mode;
use serde::Serialize;

use crate::disk::Disk;
use crate::incidents::Incidents;
use crate::status::{ClientStatus, NatsStatus, RecorderStatus, RelayStatus, Status};

/// Kite sends a heartbeat each second, so that a connection that has received nothing for this time
/// is not healthy.
const SILENCE: Duration = Duration::from_secs(5);

/// The state for people: much less than `/api/status`, because every page gets it each second.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    version: &'a str,
    now_ms: u64,
    uptime_s: f64,
    level: HealthLevel,
    instruments: usize,
    dark: usize,
    connections: Vec<ShownConnection<'a>>,
    relay: Option<ShownRelay<'a>>,
    recorder: Option<ShownRecorder<'a>>,
    nats: Option<ShownNats<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownConnection<'a> {
    /// `None` if there is only one account.
    account: Option<&'a str>,
    /// From 0.
    connection: usize,
    phase: &'static str,
    instruments: usize,
    ticks_per_second: f64,
    silent_s: Option<f64>,
    uptime_s: f64,
    reconnects: u64,
    /// Attempts that have failed since it was last up.
    failed_attempts: u64,
    /// Why it is down.
    why: Option<&'a str>,
}

#[derive(Debug, Serialize)]
struct ShownRelay<'a> {
    clients: Vec<ShownClient<'a>>,
}

#[derive(Debug, Serialize)]
struct ShownClient<'a> {
    name: &'a str,
    removed: bool,
    sockets: usize,
    instruments: u64,
    out: u64,
    waiting: u64,
    conflated: u64,
    dropped: u64,
}

#[derive(Debug, Serialize)]
struct ShownRecorder<'a> {
    failing: bool,
    error: Option<&'a str>,
    file: Option<String>,
    ticks: u64,
    gaps: u64,
    lost: u64,
    dropped: u64,
    bytes_raw: u64,
    bytes_on_disk: u64,
    queued_bytes: usize,
    disk: Option<Disk>,
}

#[derive(Debug, Serialize)]
struct ShownNats<'a> {
    connected: bool,
    /// The last error, which may be of an earlier socket.
    error: Option<&'a str>,
    ticks: u64,
    dropped: u64,
    unconfirmed: u64,
    losses: u64,
}

impl<'a> Shown<'a> {
    pub(crate) fn new(status: &'a Status) -> Self {
        let feed = &status.feed;
        let is_failing = status.recorder.as_ref().is_some_and(|recorder| recorder.is_failing);
        let is_cut_off = status.nats.as_ref().is_some_and(|nats| !nats.is_connected);
        let level = match feed.health(SILENCE).level() {
            HealthLevel::Healthy if is_failing || is_cut_off || feed.dark > 0 => {
                HealthLevel::Degraded
            }
            level => level,
        };
        let is_one = feed.connections.windows(2).all(|pair| pair[0].account == pair[1].account);
        let account = |it: &'a ConnectionSnapshot| (!is_one).then(|| it.account.as_str());
        let shown = |it| ShownConnection::new(it, account(it), &status.incidents);
        let connections = feed.connections.iter().map(shown);
        Self {
            version: status.version,
            now_ms: feed.unix_ms,
            uptime_s: feed.uptime_s,
            level,
            instruments: feed.instruments,
            dark: feed.dark,
            connections: connections.collect(),
            relay: status.relay.as_ref().map(ShownRelay::new),
            recorder: status.recorder.as_ref().map(ShownRecorder::new),
            nats: status.nats.as_ref().map(ShownNats::new),
        }
    }
}

impl<'a> ShownConnection<'a> {
    fn new(it: &'a ConnectionSnapshot, account: Option<&'a str>, incidents: &'a Incidents) -> Self {
        let is_live = it.phase == Phase::Live;
        let id = (it.account.clone(), it.connection);
        let lost = incidents.lost.get(&id).map(String::as_str);
        let failed_attempts = incidents.failed_attempts.get(&id).copied().unwrap_or(0);
        Self {
            account,
            connection: it.connection,
            phase: phase(it.phase),
            instruments: it.instruments,
            ticks_per_second: it.figures.ticks_per_second.round(),
            silent_s: it.silent_s,
            uptime_s: it.uptime_s,
            reconnects: it.figures.connects.saturating_sub(1),
            failed_attempts,
            why: it.failure.as_deref().or(lost).filter(|_| !is_live),
        }
    }
}

/// Returns a phase in words for people.
fn phase(phase: Phase) -> &'static str {
    match phase {
        Phase::Opening => "opening",
        Phase::Renewing => "asking for a token",
        Phase::Live => "live",
        Phase::Waiting => "waiting",
        Phase::Parked => "parked",
        Phase::Closed => "closed",
        _ => "ending",
    }
}

impl<'a> ShownRelay<'a> {
    fn new(relay: &'a RelayStatus) -> Self {
        let client = |it: &'a ClientStatus| ShownClient {
            name: &it.name,
            removed: it.is_removed,
            sockets: it.sockets,
            instruments: it.instruments,
            out: it.out,
            waiting: it.waiting,
            conflated: it.conflated,
            dropped: it.dropped,
        };
        Self { clients: relay.clients.iter().map(client).collect() }
    }
}

impl<'a> ShownRecorder<'a> {
    fn new(it: &'a RecorderStatus) -> Self {
        let name = it.file.as_ref().and_then(|file| file.file_name());
        Self {
            failing: it.is_failing,
            error: it.last_error.as_deref(),
            file: name.map(|name| OneLine(name.to_string_lossy()).to_string()),
            ticks: it.ticks,
            gaps: it.gaps,
            lost: it.lost,
            dropped: it.dropped,
            bytes_raw: it.bytes_raw,
            bytes_on_disk: it.bytes_on_disk,
            queued_bytes: it.queued_bytes,
            disk: it.disk,
        }
    }
}

impl<'a> ShownNats<'a> {
    fn new(it: &'a NatsStatus) -> Self {
        Self {
            connected: it.is_connected,
            error: it.last_error.as_deref(),
            ticks: it.ticks,
            dropped: it.dropped,
            unconfirmed: it.unconfirmed,
            losses: it.losses,
        }
    }
}

/// Returns the instruments of all connections, each in its richest mode.
pub(crate) fn merged(connections: Vec<BTreeMap<u32, Mode>>) -> BTreeMap<u32, Mode> {
    let mut all = BTreeMap::new();
    for (token, mode) in connections.into_iter().flatten() {
        let richest = all.entry(token).or_insert(mode);
        *richest = mode.max(*richest);
    }
    all
}
