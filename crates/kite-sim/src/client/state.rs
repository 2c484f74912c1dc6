//! State shared by all clients of a simulator, and the messages sent to them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use kite_server::handshake::Upgrade;
use kite_server::{Accounts, Admission, Admitted, Changes, Refusal};
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};

use super::book::Book;
use super::ledger::{Entry, Ledger};
use super::pace::Speed;
#[cfg(feature = "tls")]
use crate::certificate::Identity;
use crate::fault::chance::FaultChance;
use crate::fault::pending::PendingFaults;
use crate::fault::script::FaultScript;
use crate::fault::{Fault, FaultKind, order};
use crate::flow::{Flow, Writing};
use crate::market::Exchange;
use crate::replay::{Fanout, Feed};
use crate::stats::{Counters, SimStats};
use crate::time::FOREVER;

/// Time for which a client may leave frames unread before its socket is dropped.
pub(crate) const DROP_DEADLINE: Duration = Duration::from_secs(1);

/// Settings that do not change after the start.
pub(crate) struct Config {
    pub(crate) updates_per_second: f64,
    pub(crate) heartbeat_every: Option<Duration>,
    pub(crate) is_greeting: bool,
    /// The start of a replay.
    pub(crate) replay_unix_s: Option<u32>,
    pub(crate) chance: Option<Arc<FaultChance>>,
    #[cfg(feature = "tls")]
    pub(crate) identity: Option<Identity>,
}

/// A message to one socket's task.
pub(crate) enum Control {
    Text(Arc<str>),
    Binary(Bytes),
    /// One update of each of these; the guard makes `pause` wait for it.
    Tick(Arc<[u32]>, Writing),
    /// A fault; the guard covers the ticks it carries.
    Fault(Fault, Writing),
    Close(u16),
    /// Closes the socket with this reason, and waits for the client to read up to it.
    Finish(Arc<str>),
    /// Drops the socket, after everything that was queued before.
    Drop,
    Mute,
    Heal,
}

/// A message to the accepting task.
pub(crate) enum AcceptorCommand {
    /// Serves a client's connection in memory.
    Serve(DuplexStream),
    /// Runs a script that started at an instant.
    Play(FaultScript, Instant),
    /// Restarts the server after this downtime.
    Restart(Duration),
    Finish(Finish),
}

/// An orderly end of the server.
pub(crate) struct Finish {
    /// The reason in the close frames.
    pub(crate) reason: Arc<str>,
    /// Time for the clients to read everything and to close their connections.
    pub(crate) linger: Duration,
}

/// Access to an open socket.
pub(crate) struct Handle {
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedSender<Control>,
    speed: Speed,
}

/// The data that a client's task receives on admission.
pub(crate) struct Joined {
    pub(crate) api_key: String,
    /// Number of the socket among the account's, from 1.
    pub(crate) number: u64,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedReceiver<Control>,
    pub(crate) speed: Speed,
    pub(crate) feed: Option<Feed>,
    pub(crate) entry: Entry,
}

pub(crate) type Membership = kite_server::Membership<Handle, Joined>;

/// State shared by the tasks and the user's handle.
pub(crate) struct SimState {
    pub(crate) config: Config,
    /// The address listened on.
    pub(crate) address: SocketAddr,
    pub(crate) exchange: Exchange,
    /// The replay, if there is one instead of the market.
    pub(crate) fanout: Option<Arc<Fanout>>,
    pub(crate) counters: Counters,
    /// Notified of every change that a user may wait for.
    pub(crate) changes: Arc<Changes>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) ledger: Ledger,
    pub(crate) admission: Arc<Admission<Handle>>,
    pub(crate) pending: PendingFaults,
    acceptor: mpsc::UnboundedSender<AcceptorCommand>,
    /// Order updates identified so far.
    orders: AtomicU64,
    /// Whether random faults have ended.
    is_calm: AtomicBool,
}

impl SimState {
    pub(crate) fn new(
        config: Config,
        address: SocketAddr,
        exchange: Exchange,
        fanout: Option<Fanout>,
        accounts: Accounts,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<AcceptorCommand>) {
        let (acceptor, commands) = mpsc::unbounded_channel();
        let changes = Arc::new(Changes::default());
        let state = Self {
            config,
            address,
            exchange,
            fanout: fanout.map(Arc::new),
            counters: Counters::default(),
            flow: Arc::new(Flow::new(Arc::clone(&changes))),
            ledger: Ledger::default(),
            admission: Arc::new(Admission::new(accounts, Arc::clone(&changes))),
            changes,
            pending: PendingFaults::default(),
            acceptor,
            orders: AtomicU64::new(0),
            is_calm: AtomicBool::new(false),
        };
        (Arc::new(state), commands)
    }

    pub(crate) fn stats(&self) -> SimStats {
        let counters = &self.counters;
        SimStats {
            connections_open: self.admission.open_sockets() as u64,
            connections_total: self.admission.accepted(),
            refused: self.admission.refused(),
            frames_sent: counters.frames.value(),
            ticks_sent: counters.ticks.value(),
            heartbeats_sent: counters.heartbeats.value(),
            texts_sent: counters.texts.value(),
            pings_received: counters.pings.value(),
            commands_received: counters.commands.value(),
            ignored_commands: counters.ignored_commands.value(),
            refused_commands: counters.refused_commands.value(),
            logins: counters.logins.value(),
            logouts: counters.logouts.value(),
            faults: counters.faults.values(),
            missed_faults: counters.missed_faults.values(),
        }
    }

    /// Admits a request or returns its refusal.
    pub(super) async fn admit(
        &self,
        request: &Result<Upgrade, Refusal>,
        peer: Option<SocketAddr>,
    ) -> Result<Membership, Refusal> {
        self.admission.admit(request, |admitted| self.join(&admitted, peer)).await
    }

    fn join(&self, admitted: &Admitted<'_>, peer: Option<SocketAddr>) -> (Handle, Joined) {
        let Admitted { id, number, api_key, .. } = *admitted;
        let (sender, controls) = mpsc::unbounded_channel();
        let book = Arc::new(Mutex::new(Book::new(self.exchange.clock())));
        let feed = self.fanout.as_ref().map(|fanout| {
            book.lock().follow(fanout.latest());
            fanout.join(id, api_key, book.clone())
        });
        let entry = self.ledger.open(id, api_key, peer, &book);
        let speed = Speed::default();
        let handle = Handle { book: Arc::clone(&book), controls: sender, speed: speed.clone() };
        let api_key = api_key.to_owned();
        (handle, Joined { api_key, number, book, controls, speed, feed, entry })
    }

    pub(crate) fn books(&self) -> Vec<Arc<Mutex<Book>>> {
        let mut books = Vec::new();
        self.admission.visit(|_, _, handle| books.push(Arc::clone(&handle.book)));
        books
    }

    /// Sends a control to every socket.
    pub(crate) fn send_to_all(&self, control: impl FnMut() -> Control) {
        self.send_to(|_, _| true, control);
    }

    /// Sends a control to the selected sockets; returns their number.
    pub(crate) fn send_to(
        &self,
        is_target: impl Fn(u64, &str) -> bool,
        mut control: impl FnMut() -> Control,
    ) -> usize {
        let mut count = 0;
        self.admission.visit(|id, api_key, handle| {
            if is_target(id, api_key) {
                let control = control();
                if matches!(control, Control::Heal) {
                    // A slow link would let this wait for the end of a frame.
                    handle.speed.limit(None);
                }
                // Fails only if the task has just ended.
                let _ = handle.controls.send(control);
                count += 1;
            }
        });
        count
    }

    /// Injects a fault for an account, into its open sockets, its next handshake or the server.
    /// Returns the number of its open sockets that are affected.
    pub(crate) fn inject(&self, api_key: &str, fault: Fault) -> usize {
        match fault {
            Fault::Restart { down } => {
                self.restart(down);
                let mut open = 0;
                self.admission.visit(|_, key, _| open += usize::from(key == api_key));
                open
            }
            fault if fault.awaits_handshake() => {
                self.pending.at_next(api_key, fault);
                0
            }
            fault => self.strike(|_, key| key == api_key, fault),
        }
    }

    /// Injects a fault into one socket, or for its account's next handshake; returns whether the
    /// socket is open.
    pub(crate) fn inject_socket(&self, id: u64, fault: Fault) -> bool {
        let Some(api_key) = self.admission.api_key_of(id) else { return false };
        match fault {
            Fault::Restart { down } => self.restart(down),
            fault if fault.awaits_handshake() => self.pending.at_next(&api_key, fault),
            fault => return self.strike(|candidate, _| candidate == id, fault) > 0,
        }
        true
    }

    fn strike(&self, is_target: impl Fn(u64, &str) -> bool, mut fault: Fault) -> usize {
        self.identify(&mut fault);
        self.send_to(is_target, || Control::Fault(fault.clone(), self.flow.begin()))
    }

    /// Adds what identifies and dates the order update of a fault, if that is missing.
    pub(crate) fn identify(&self, fault: &mut Fault) {
        if let Fault::Order { data } | Fault::DuplicateOrder { data } = fault {
            let number = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
            order::identify(data, number, self.now_unix_s());
        }
    }

    /// Returns the time of the market or of the tape.
    pub(crate) fn now_unix_s(&self) -> u32 {
        self.config.replay_unix_s.unwrap_or_else(|| self.exchange.clock().now_unix_s())
    }

    /// Restarts the server.
    pub(crate) fn restart(&self, down: Duration) {
        self.note_fault(FaultKind::Restart);
        self.send_to_acceptor(AcceptorCommand::Restart(down));
    }

    /// Sends a command to the accepting task; does nothing if it has ended.
    pub(crate) fn send_to_acceptor(&self, command: AcceptorCommand) {
        let _ = self.acceptor.send(command);
    }

    /// Counts a fault that takes effect.
    pub(crate) fn note_fault(&self, kind: FaultKind) {
        self.counters.faults.add(kind);
        self.changes.notify();
    }

    /// Keeps an account's slots taken for a time.
    pub(super) fn hold_slots(&self, api_key: &str, held: Duration) {
        self.admission.hold_slots(api_key, Instant::now() + held.min(FOREVER));
    }

    /// Ends random faults, clears queued ones, and heals all sockets.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.pending.clear();
        self.admission.release_slots();
        self.send_to_all(|| Control::Heal);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// Starts to drop every socket; the slots are free immediately.
    pub(crate) fn drop_all(&self) {
        self.admission.kick_all(|handle| {
            let _ = handle.controls.send(Control::Drop);
        });
    }

    /// Drops every socket and waits until they are dropped, at most [`DROP_DEADLINE`].
    pub(crate) async fn empty(&self) {
        self.drop_all();
        // A client past the deadline is not waited for.
        let _ = timeout(DROP_DEADLINE, self.admission.until_left()).await;
    }

    /// Starts to close every socket; the slots are free immediately.
    pub(crate) fn close_all(&self, code: u16) {
        self.admission.dismiss_all(|handle| {
            let _ = handle.controls.send(Control::Close(code));
        });
    }

    /// Starts to close every socket once its client has read everything, and refuses new ones.
    pub(crate) fn finish(&self, reason: &Arc<str>) {
        self.admission.refuse_with(Some(Refusal::kite(503, reason)));
        self.ledger.finish();
        self.admission.dismiss_all(|handle| {
            let _ = handle.controls.send(Control::Finish(Arc::clone(reason)));
        });
    }

    /// Returns whether heartbeats come from a tape now.
    pub(super) fn heartbeats_are_replayed(&self) -> bool {
        let tape_brings_them = || self.fanout.as_ref().is_some_and(|it| it.brings_heartbeats());
        !self.flow.is_paused() && tape_brings_them()
    }
}
