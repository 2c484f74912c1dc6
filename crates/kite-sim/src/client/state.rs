//! What all clients of a simulator share, and what its user tells them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::book::Book;
use super::ledger::{Entry, Ledger};
#[cfg(feature = "tls")]
use crate::certificate::Identity;
use crate::fault::chance::FaultChance;
use crate::fault::pending::PendingFaults;
use crate::fault::script::FaultScript;
use crate::fault::{Fault, FaultKind};
use crate::flow::{Flow, Writing};
use crate::market::Exchange;
use crate::replay::{Fanout, Feed};
use crate::server::accounts::Accounts;
use crate::server::admission::{self, Admission, Admitted};
use crate::server::changes::Changes;
use crate::server::handshake::Upgrade;
use crate::server::refusal::Refusal;
use crate::stats::{Counters, SimStats};
use crate::time::FOREVER;

/// What does not change after the start.
pub(crate) struct Config {
    pub(crate) updates_per_second: f64,
    pub(crate) heartbeat_every: Option<Duration>,
    pub(crate) is_greeting: bool,
    pub(crate) start_unix_s: u32,
    pub(crate) chance: Option<Arc<FaultChance>>,
    #[cfg(feature = "tls")]
    pub(crate) identity: Option<Identity>,
}

/// What the user tells one socket.
pub(crate) enum Control {
    Text(Arc<str>),
    Binary(Bytes),
    /// One update of each of these; the guard makes `pause` wait for it.
    Tick(Arc<[u32]>, Writing),
    /// What goes wrong; the guard is for the ticks it carries.
    Fault(Fault, Writing),
    Close(u16),
    Mute,
    Heal,
}

/// What the user tells the accepting task.
pub(crate) enum AcceptorCommand {
    /// Serves a client's connection in memory.
    Serve(DuplexStream),
    /// Plays a script that begins at an instant.
    Play(FaultScript, Instant),
    /// Goes away for this long.
    Restart(Duration),
}

/// How an open socket is reached.
pub(crate) struct Handle {
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedSender<Control>,
}

/// What a client's task gets when its client is let in.
pub(crate) struct Joined {
    pub(crate) api_key: String,
    /// Number of the socket among the account's, from 1.
    pub(crate) number: u64,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedReceiver<Control>,
    pub(crate) feed: Option<Feed>,
    pub(crate) entry: Entry,
}

pub(crate) type Membership = admission::Membership<Handle, Joined>;

/// What tasks and the user's handle share.
pub(crate) struct SimState {
    pub(crate) config: Config,
    pub(crate) exchange: Exchange,
    /// What is replayed in the market's place.
    pub(crate) fanout: Option<Arc<Fanout>>,
    pub(crate) counters: Counters,
    /// Notified at every change that a user may wait for.
    pub(crate) changes: Arc<Changes>,
    pub(crate) flow: Arc<Flow>,
    pub(crate) ledger: Ledger,
    pub(crate) admission: Arc<Admission<Handle>>,
    pub(crate) pending: PendingFaults,
    acceptor: mpsc::UnboundedSender<AcceptorCommand>,
    faults: Mutex<BTreeMap<FaultKind, u64>>,
    /// Whether chance strikes no more.
    is_calm: AtomicBool,
}

impl SimState {
    pub(crate) fn new(
        config: Config,
        exchange: Exchange,
        fanout: Option<Fanout>,
        accounts: Accounts,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<AcceptorCommand>) {
        let (acceptor, commands) = mpsc::unbounded_channel();
        let changes = Arc::new(Changes::default());
        let state = Self {
            config,
            exchange,
            fanout: fanout.map(Arc::new),
            counters: Counters::default(),
            flow: Arc::new(Flow::new(Arc::clone(&changes))),
            ledger: Ledger::default(),
            admission: Arc::new(Admission::new(accounts, Arc::clone(&changes))),
            changes,
            pending: PendingFaults::default(),
            acceptor,
            faults: Mutex::default(),
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
            bad_commands: counters.bad_commands.value(),
            faults: self.faults.lock().clone(),
        }
    }

    /// Lets a request in or says how to refuse it.
    pub(super) async fn admit(
        &self,
        request: &Result<Upgrade, Refusal>,
    ) -> Result<Membership, Refusal> {
        self.admission.admit(request, |admitted| self.join(&admitted)).await
    }

    fn join(&self, admitted: &Admitted<'_>) -> (Handle, Joined) {
        let Admitted { id, number, api_key } = *admitted;
        let (sender, controls) = mpsc::unbounded_channel();
        let book = Arc::<Mutex<Book>>::default();
        let feed = self.fanout.as_ref().map(|fanout| {
            book.lock().follow(fanout.latest());
            fanout.join(id, api_key, book.clone())
        });
        let entry = self.ledger.open(id, api_key, &book);
        let handle = Handle { book: Arc::clone(&book), controls: sender };
        let api_key = api_key.to_owned();
        (handle, Joined { api_key, number, book, controls, feed, entry })
    }

    pub(crate) fn books(&self) -> Vec<Arc<Mutex<Book>>> {
        let mut books = Vec::new();
        self.admission.visit(|_, _, handle| books.push(Arc::clone(&handle.book)));
        books
    }

    /// Tells every socket something.
    pub(crate) fn tell_all(&self, control: impl FnMut() -> Control) {
        self.tell(|_, _| true, control);
    }

    /// Tells some sockets something; returns their number.
    pub(crate) fn tell(
        &self,
        is_meant: impl Fn(u64, &str) -> bool,
        mut control: impl FnMut() -> Control,
    ) -> usize {
        let mut meant = 0;
        self.admission.visit(|id, api_key, handle| {
            if is_meant(id, api_key) {
                // A task that has just ended has no use for it.
                let _ = handle.controls.send(control());
                meant += 1;
            }
        });
        meant
    }

    /// Gives a fault to an account: to its open sockets, its next handshake or the server; returns
    /// the number of its open sockets that it concerns.
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
            fault => self.strike(|_, key| key == api_key, &fault),
        }
    }

    /// Gives a fault to one socket, or to what the account of that socket does next; says whether
    /// the socket is open.
    pub(crate) fn inject_socket(&self, id: u64, fault: Fault) -> bool {
        let Some(api_key) = self.admission.api_key_of(id) else { return false };
        match fault {
            Fault::Restart { down } => self.restart(down),
            fault if fault.awaits_handshake() => self.pending.at_next(&api_key, fault),
            fault => return self.strike(|candidate, _| candidate == id, &fault) > 0,
        }
        true
    }

    fn strike(&self, is_meant: impl Fn(u64, &str) -> bool, fault: &Fault) -> usize {
        self.tell(is_meant, || Control::Fault(fault.clone(), self.flow.begin()))
    }

    /// Goes away and comes back.
    pub(crate) fn restart(&self, down: Duration) {
        self.note_fault(FaultKind::Restart);
        self.tell_acceptor(AcceptorCommand::Restart(down));
    }

    /// Tells the accepting task something; when it has ended, nothing happens.
    pub(crate) fn tell_acceptor(&self, command: AcceptorCommand) {
        let _ = self.acceptor.send(command);
    }

    /// Counts a fault that takes effect.
    pub(crate) fn note_fault(&self, kind: FaultKind) {
        *self.faults.lock().entry(kind).or_insert(0) += 1;
        self.changes.notify();
    }

    /// Keeps an account's slots taken.
    pub(super) fn hold_slots(&self, api_key: &str, held: Duration) {
        self.admission.hold_slots(api_key, Instant::now() + held.min(FOREVER));
    }

    /// Ends faults by chance and what awaits handshakes, and heals all sockets.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.pending.clear();
        self.admission.release_slots();
        self.tell_all(|| Control::Heal);
    }

    pub(super) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
    }

    /// Begins to close every socket; their slots are free at once.
    pub(crate) fn close_all(&self, code: u16) {
        self.admission.dismiss_all(|handle| {
            let _ = handle.controls.send(Control::Close(code));
        });
    }

    /// Says whether heartbeats come from a tape now.
    pub(super) fn heartbeats_are_replayed(&self) -> bool {
        let tape_brings_them = || self.fanout.as_ref().is_some_and(|it| it.brings_heartbeats());
        !self.flow.is_paused() && tape_brings_them()
    }
}
