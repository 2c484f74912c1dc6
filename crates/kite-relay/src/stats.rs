//! What a relay and its clients have done so far.
//!
//! Each task counts by itself and publishes its counts once a turn, so that reading them holds up
//! nothing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use crate::queue::QueueCounts;
use crate::wishes::UpstreamFull;

/// The counts of a relay.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct RelayStats {
    /// The counts of each client that has ever connected, by name.
    pub clients: Vec<ClientStats>,
    /// The names of the clients that may connect now, sorted, whether they ever have or not.
    pub listed: Vec<String>,
    /// Ticks received from the manager.
    pub ticks_in: u64,
    /// Ticks dropped before the relay received them, because it was too slow for the feed.
    pub ticks_missed: u64,
    /// Frames upstream of which a part was unreadable and is lost.
    pub damaged_frames: u64,
    /// Ticks that were leaner than a client's mode and not sent to it, counted once for each
    /// client. A client that raises the mode of an instrument gets nothing of it until the first
    /// tick in that mode.
    pub ticks_leaner: u64,
    /// Ticks queued for clients, once for each client, with snapshots.
    pub ticks_queued: u64,
    /// Ticks handed to the clients' sockets.
    pub ticks_out: u64,
    /// Ticks replaced by newer ones, because a client read too slowly.
    pub replaced: u64,
    /// Ticks dropped, because a client read too slowly.
    pub dropped: u64,
    /// Ticks that waited for a client when its socket ended, for whatever reason.
    pub unsent: u64,
    /// Conflated ticks left out, because a client unsubscribed their instruments.
    pub unsubscribed: u64,
    /// Gaps of the feed in which instruments were missed.
    pub gaps: u64,
    /// Times that a connection upstream whose socket stayed open received nothing for five seconds.
    pub silences: u64,
    /// Handshakes refused, by HTTP status.
    pub refused: BTreeMap<u16, u64>,
    /// TLS handshakes that failed because of what the client sent, such as a request without TLS, or
    /// because it refuses the certificate.
    pub refused_tls: u64,
    /// The address of the client that was refused last, by HTTP status.
    pub last_refused: BTreeMap<u16, IpAddr>,
}

/// The counts of all sockets of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ClientStats {
    /// The client's name.
    pub name: String,
    /// Sockets open now.
    pub sockets: usize,
    /// Those of them that have subscribed instruments.
    pub subscribed: usize,
    /// Instruments subscribed on the open sockets, once for each socket.
    pub instruments: u64,
    /// Sockets opened so far.
    pub accepted: u64,
    /// Ticks queued, with snapshots.
    pub queued: u64,
    /// Ticks handed to a socket. What it has not written when it ends is lost all the same.
    pub out: u64,
    /// Ticks replaced by newer ones.
    pub replaced: u64,
    /// Ticks dropped, because it read too slowly.
    pub dropped: u64,
    /// Ticks that waited when their socket ended.
    pub unsent: u64,
    /// Conflated ticks left out because the client unsubscribed their instruments.
    pub unsubscribed: u64,
    /// Sockets reset because they took no byte for too long, or answered no ping.
    pub stalled: u64,
    /// Sockets closed because too much waited for them.
    pub too_slow: u64,
    /// Sockets closed because the client broke the WebSocket protocol.
    pub violations: u64,
    /// Commands refused, because they ask for too many instruments.
    pub refused_commands: u64,
    /// Why the last one was.
    pub last_refusal: Option<CommandRefusal>,
    /// Texts ignored in whole or in part: they are not commands, or name instruments by something
    /// other than numbers, such as tokens in quotes.
    pub ignored_commands: u64,
}

/// Why a client's command was refused as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandRefusal {
    /// It asks for more than the client's socket may have.
    #[error("{asked} more instruments asked, {free} of {limit} free on its socket")]
    SocketFull {
        /// Number of new instruments in the command.
        asked: usize,
        /// Number of instruments that the socket could still have.
        free: usize,
        /// The limit of the client's sockets.
        limit: usize,
    },
    /// It asks for more than the accounts upstream have room for.
    #[error(transparent)]
    AccountsFull(UpstreamFull),
}

impl CommandRefusal {
    /// Returns the number of instruments that the command exceeds, which the client is sent.
    #[must_use]
    pub fn limit(&self) -> usize {
        match self {
            Self::SocketFull { limit, .. } => *limit,
            Self::AccountsFull(full) => full.capacity,
        }
    }
}

impl ClientStats {
    /// Returns the number of ticks that wait in its queues.
    #[must_use]
    pub fn waiting(&self) -> u64 {
        let done = self.out + self.replaced + self.dropped + self.unsubscribed + self.unsent;
        self.queued.saturating_sub(done)
    }

    fn add(&mut self, counts: QueueCounts) {
        self.queued += counts.pushed;
        self.out += counts.sent;
        self.replaced += counts.replaced;
        self.dropped += counts.dropped;
        self.unsubscribed += counts.unsubscribed;
        self.unsent += counts.unsent;
    }
}

/// How a socket ended, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    Stalled,
    TooSlow,
    /// The client broke the protocol.
    Violation,
    /// It had not been sent everything when the relay stopped.
    CutOff,
    Other,
}

/// The counts of one open socket, as its task has published them.
#[derive(Debug, Default)]
pub(crate) struct SocketFigures {
    pushed: AtomicU64,
    sent: AtomicU64,
    replaced: AtomicU64,
    dropped: AtomicU64,
    unsubscribed: AtomicU64,
    /// Instruments that are subscribed.
    pub(crate) instruments: AtomicU64,
    /// Commands refused by the hub.
    pub(crate) refused_commands: AtomicU64,
    /// Texts ignored by the hub, in whole or in part.
    pub(crate) ignored_commands: AtomicU64,
    /// Bytes queued by the hub that the task has not handed to the socket, with
    /// [`SlowClients::Block`](crate::SlowClients::Block).
    pub(crate) backlog: AtomicU64,
}

impl SocketFigures {
    pub(crate) fn publish(&self, counts: &QueueCounts) {
        // In this order and read in the opposite one, so that no tick is done before it is queued.
        self.pushed.store(counts.pushed, Ordering::Release);
        self.sent.store(counts.sent, Ordering::Release);
        self.replaced.store(counts.replaced, Ordering::Release);
        self.dropped.store(counts.dropped, Ordering::Release);
        self.unsubscribed.store(counts.unsubscribed, Ordering::Release);
    }

    fn counts(&self) -> QueueCounts {
        QueueCounts {
            unsubscribed: self.unsubscribed.load(Ordering::Acquire),
            dropped: self.dropped.load(Ordering::Acquire),
            replaced: self.replaced.load(Ordering::Acquire),
            sent: self.sent.load(Ordering::Acquire),
            pushed: self.pushed.load(Ordering::Acquire),
            // An open socket has none.
            unsent: 0,
            dropped_frames: 0,
        }
    }
}

/// The counts of the hub, as it has published them.
#[derive(Debug, Default)]
pub(crate) struct HubFigures {
    pub(crate) ticks_in: AtomicU64,
    pub(crate) ticks_missed: AtomicU64,
    pub(crate) damaged_frames: AtomicU64,
    pub(crate) ticks_leaner: AtomicU64,
    pub(crate) gaps: AtomicU64,
    pub(crate) silences: AtomicU64,
}

/// All counts of a relay. Locked when a socket opens or ends, when a command is refused and to read
/// them, never while frames pass.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) hub: HubFigures,
    clients: Mutex<BTreeMap<String, ClientFigures>>,
    /// Sockets whose clients had not taken everything when the relay stopped.
    cut_off: AtomicU64,
    /// TLS handshakes refused.
    pub(crate) refused_tls: AtomicU64,
}

#[derive(Debug, Default)]
struct ClientFigures {
    /// The counts of the sockets that have ended.
    past: ClientStats,
    open: BTreeMap<u64, Arc<SocketFigures>>,
}

impl Figures {
    /// Begins to count a socket.
    pub(crate) fn enter(&self, name: &str, id: u64) -> Arc<SocketFigures> {
        let figures = Arc::<SocketFigures>::default();
        let mut clients = self.clients.lock();
        let client = clients.entry(name.to_owned()).or_default();
        client.past.accepted += 1;
        client.open.insert(id, Arc::clone(&figures));
        figures
    }

    /// Adds the final counts of a socket.
    pub(crate) fn leave(&self, name: &str, id: u64, counts: QueueCounts, fate: Fate) {
        let mut clients = self.clients.lock();
        let client = clients.entry(name.to_owned()).or_default();
        client.past.add(counts);
        if fate == Fate::CutOff {
            self.note_cut_off();
        }
        client.past.stalled += u64::from(fate == Fate::Stalled);
        client.past.too_slow += u64::from(fate == Fate::TooSlow);
        client.past.violations += u64::from(fate == Fate::Violation);
        if let Some(socket) = client.open.remove(&id) {
            client.past.refused_commands += socket.refused_commands.load(Ordering::Relaxed);
            client.past.ignored_commands += socket.ignored_commands.load(Ordering::Relaxed);
        }
    }

    /// Remembers why a client's command was refused.
    pub(crate) fn note_refusal(&self, name: &str, refusal: CommandRefusal) {
        if let Some(client) = self.clients.lock().get_mut(name) {
            client.past.last_refusal = Some(refusal);
        }
    }

    /// Counts a socket whose client had not taken everything when the relay stopped.
    pub(crate) fn note_cut_off(&self) {
        self.cut_off.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn cut_off(&self) -> u64 {
        self.cut_off.load(Ordering::Relaxed)
    }

    pub(crate) fn stats(&self, refused: BTreeMap<u16, u64>) -> RelayStats {
        let clients: Vec<ClientStats> =
            self.clients.lock().iter().map(|(name, client)| client.stats(name)).collect();
        let sum = |of: fn(&ClientStats) -> u64| clients.iter().map(of).sum();
        RelayStats {
            ticks_in: self.hub.ticks_in.load(Ordering::Relaxed),
            ticks_missed: self.hub.ticks_missed.load(Ordering::Relaxed),
            damaged_frames: self.hub.damaged_frames.load(Ordering::Relaxed),
            ticks_leaner: self.hub.ticks_leaner.load(Ordering::Relaxed),
            ticks_queued: sum(|client| client.queued),
            ticks_out: sum(|client| client.out),
            replaced: sum(|client| client.replaced),
            dropped: sum(|client| client.dropped),
            unsent: sum(|client| client.unsent),
            unsubscribed: sum(|client| client.unsubscribed),
            gaps: self.hub.gaps.load(Ordering::Relaxed),
            silences: self.hub.silences.load(Ordering::Relaxed),
            refused,
            refused_tls: self.refused_tls.load(Ordering::Relaxed),
            last_refused: BTreeMap::new(),
            listed: Vec::new(),
            clients,
        }
    }
}

impl ClientFigures {
    fn stats(&self, name: &str) -> ClientStats {
        let mut stats = self.past.clone();
        stats.name = name.to_owned();
        stats.sockets = self.open.len();
        for socket in self.open.values() {
            stats.add(socket.counts());
            let instruments = socket.instruments.load(Ordering::Relaxed);
            stats.instruments += instruments;
            stats.subscribed += usize::from(instruments > 0);
            stats.refused_commands += socket.refused_commands.load(Ordering::Relaxed);
            stats.ignored_commands += socket.ignored_commands.load(Ordering::Relaxed);
        }
        stats
    }
}
