//! The listening side: who is let in, and what all connections share.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::accounts::Accounts;
use crate::book::Book;
use crate::exchange::{Exchange, lock};
use crate::handshake::{self, Refusal, Upgrade};
use crate::socket;
use crate::stats::{Counters, SimStats};

/// Sockets an API key may have open, as documented by Kite.
pub const MAX_SOCKETS: usize = 3;

/// How long a handshake may take, and a refused client may take to close.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How long a handshake waits for a slot before it is refused: a client that drops a socket and
/// opens the next at once is not refused for the order in which two tasks run.
const SLOT_GRACE: Duration = Duration::from_millis(100);
/// Pause after the operating system refused to accept a connection (too many open files).
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);

/// What does not change after the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Config {
    pub(crate) updates_per_second: f64,
    pub(crate) heartbeat_every: Option<Duration>,
    pub(crate) is_greeting: bool,
    pub(crate) start_unix_s: u32,
}

/// What the user tells one socket.
pub(crate) enum Control {
    Text(Arc<str>),
    Binary(Bytes),
    /// One update of each of these; the guard makes `pause` wait for it.
    Tick(Arc<[u32]>, Writing),
    Close(u16),
    Mute(bool),
}

/// What tasks and the user's handle share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) exchange: Exchange,
    pub(crate) counters: Counters,
    /// Told at every change that a user may wait for.
    pub(crate) changed: Notify,
    gate: Mutex<Gate>,
    flow: Mutex<Flow>,
}

/// Who may come in, and who is in.
struct Gate {
    accounts: Accounts,
    refusal: Option<Refusal>,
    refused: BTreeMap<u16, u64>,
    /// Sockets that hold a slot, in order of connecting.
    members: BTreeMap<u64, Member>,
    next_id: u64,
}

struct Member {
    api_key: String,
    book: Arc<Mutex<Book>>,
    controls: mpsc::UnboundedSender<Control>,
    kick: Arc<Notify>,
}

/// Whether updates flow, and how many frames of the market are on their way.
#[derive(Debug, Default)]
struct Flow {
    is_paused: bool,
    writing: usize,
}

impl Shared {
    pub(crate) fn new(config: Config, exchange: Exchange, accounts: Accounts) -> Arc<Self> {
        Arc::new(Self {
            config,
            exchange,
            counters: Counters::default(),
            changed: Notify::new(),
            gate: Mutex::new(Gate {
                accounts,
                refusal: None,
                refused: BTreeMap::new(),
                members: BTreeMap::new(),
                next_id: 0,
            }),
            flow: Mutex::default(),
        })
    }

    /// Waits until a condition holds, which is looked at after every change.
    pub(crate) async fn until(&self, mut holds: impl FnMut() -> bool) {
        loop {
            // Made before the look, so that no change in between is missed.
            let changed = self.changed.notified();
            if holds() {
                return;
            }
            changed.await;
        }
    }

    pub(crate) fn stats(&self) -> SimStats {
        let gate = lock(&self.gate);
        let counters = &self.counters;
        SimStats {
            connections_open: gate.members.len() as u64,
            connections_total: counters.connections.value(),
            refused: gate.refused.clone(),
            frames_sent: counters.frames.value(),
            ticks_sent: counters.ticks.value(),
            heartbeats_sent: counters.heartbeats.value(),
            texts_sent: counters.texts.value(),
            pings_received: counters.pings.value(),
            commands_received: counters.commands.value(),
            bad_commands: counters.bad_commands.value(),
        }
    }

    pub(crate) fn books(&self) -> Vec<Arc<Mutex<Book>>> {
        lock(&self.gate).members.values().map(|member| Arc::clone(&member.book)).collect()
    }

    pub(crate) fn set_token(&self, api_key: String, access_token: String) {
        lock(&self.gate).accounts.set(api_key, access_token);
    }

    pub(crate) fn revoke_token(&self, api_key: &str) {
        lock(&self.gate).accounts.revoke(api_key);
    }

    pub(crate) fn refuse_with(&self, refusal: Option<Refusal>) {
        lock(&self.gate).refusal = refusal;
    }

    /// Tells every socket something.
    pub(crate) fn tell_all(&self, mut control: impl FnMut() -> Control) {
        for member in lock(&self.gate).members.values() {
            // A task that has just ended has no use for it.
            let _ = member.controls.send(control());
        }
    }

    /// Aborts every socket; their slots are free at once.
    pub(crate) fn kick_all(&self) {
        let members = std::mem::take(&mut lock(&self.gate).members);
        members.values().for_each(|member| member.kick.notify_one());
        self.changed.notify_waiters();
    }

    /// Begins to close every socket; their slots are free at once.
    pub(crate) fn close_all(&self, code: u16) {
        let members = std::mem::take(&mut lock(&self.gate).members);
        for member in members.values() {
            let _ = member.controls.send(Control::Close(code));
        }
        self.changed.notify_waiters();
    }

    /// Announces a frame of the market.
    pub(crate) fn begin(self: &Arc<Self>) -> Writing {
        lock(&self.flow).writing += 1;
        Writing { shared: Arc::clone(self) }
    }

    /// Announces a frame of updates, unless they are paused.
    pub(crate) fn begin_updates(self: &Arc<Self>) -> Option<Writing> {
        let mut flow = lock(&self.flow);
        if flow.is_paused {
            return None;
        }
        flow.writing += 1;
        Some(Writing { shared: Arc::clone(self) })
    }

    pub(crate) fn set_paused(&self, is_paused: bool) {
        lock(&self.flow).is_paused = is_paused;
    }

    /// Says whether no frame of the market is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        lock(&self.flow).writing == 0
    }

    fn has_slot(&self, api_key: &str) -> bool {
        lock(&self.gate).has_slot(api_key)
    }

    /// Lets a request in or says how to refuse it.
    async fn admit(
        self: &Arc<Self>,
        upgrade: &Result<Upgrade, Refusal>,
    ) -> Result<Membership, Refusal> {
        let answer = match upgrade {
            Ok(upgrade) => {
                let slot = self.until(|| self.has_slot(&upgrade.api_key));
                // Without a slot in time, the answer is that there is none.
                let _ = timeout(SLOT_GRACE, slot).await;
                self.try_admit(upgrade)
            }
            Err(refusal) => Err(lock(&self.gate).refusal.clone().unwrap_or(refusal.clone())),
        };
        match &answer {
            Ok(_) => self.counters.connections.add(1),
            Err(refusal) => {
                *lock(&self.gate).refused.entry(refusal.status()).or_insert(0) += 1;
            }
        }
        self.changed.notify_waiters();
        answer
    }

    fn try_admit(self: &Arc<Self>, upgrade: &Upgrade) -> Result<Membership, Refusal> {
        let mut gate = lock(&self.gate);
        if let Some(refusal) = &gate.refusal {
            return Err(refusal.clone());
        }
        if !gate.accounts.admits(&upgrade.api_key, &upgrade.access_token) {
            return Err(Refusal::auth());
        }
        if !gate.has_slot(&upgrade.api_key) {
            return Err(Refusal::too_many_sockets());
        }
        let id = gate.next_id;
        gate.next_id += 1;
        let (sender, controls) = mpsc::unbounded_channel();
        let book = Arc::<Mutex<Book>>::default();
        let kick = Arc::new(Notify::new());
        let member = Member {
            api_key: upgrade.api_key.clone(),
            book: Arc::clone(&book),
            controls: sender,
            kick: Arc::clone(&kick),
        };
        gate.members.insert(id, member);
        let slot = Slot { id, shared: Arc::clone(self) };
        Ok(Membership { slot, book, controls, kick })
    }
}

impl Gate {
    fn has_slot(&self, api_key: &str) -> bool {
        let taken = self.members.values().filter(|member| member.api_key == api_key);
        taken.count() < MAX_SOCKETS
    }
}

/// What a client's task gets when its client is let in.
pub(crate) struct Membership {
    pub(crate) slot: Slot,
    pub(crate) book: Arc<Mutex<Book>>,
    pub(crate) controls: mpsc::UnboundedReceiver<Control>,
    kick: Arc<Notify>,
}

/// One of the sockets an API key may have; free again when dropped.
pub(crate) struct Slot {
    id: u64,
    shared: Arc<Shared>,
}

impl Slot {
    pub(crate) fn id(&self) -> u64 {
        self.id
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let member = lock(&self.shared.gate).members.remove(&self.id);
        // Outside the lock: what the member was still told may end here, guards included.
        drop(member);
        self.shared.changed.notify_waiters();
    }
}

/// A frame of the market on its way, from before its subscriptions show until it is counted.
pub(crate) struct Writing {
    shared: Arc<Shared>,
}

impl Drop for Writing {
    fn drop(&mut self) {
        lock(&self.shared.flow).writing -= 1;
        self.shared.changed.notify_waiters();
    }
}

/// Accepts connections until told to stop, then ends all of them.
pub(crate) async fn run(
    listener: TcpListener,
    shared: Arc<Shared>,
    mut stopped: oneshot::Receiver<()>,
) {
    let mut clients = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    clients.spawn(serve(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    sleep(ACCEPT_BACKOFF).await;
                }
            },
            Some(_) = clients.join_next() => {}
        }
    }
    drop(listener);
    clients.shutdown().await;
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = greet(stream, shared).await {
        tracing::debug!(%error, "handshake failed");
    }
}

/// Answers the handshake and, if the client is let in, serves it to its end.
async fn greet(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let request = timeout(HANDSHAKE_DEADLINE, handshake::read(&mut stream)).await??;
    match (shared.admit(&request.upgrade).await, request.upgrade) {
        (Ok(membership), Ok(upgrade)) => {
            let kick = Arc::clone(&membership.kick);
            let client = async {
                timeout(HANDSHAKE_DEADLINE, handshake::accept(&mut stream, &upgrade)).await??;
                socket::run(stream, request.rest, membership, Arc::clone(&shared)).await;
                Ok(())
            };
            tokio::select! {
                () = kick.notified() => Ok(()),
                ended = client => ended,
            }
        }
        (Err(refusal), _) | (_, Err(refusal)) => {
            tracing::debug!(status = refusal.status(), "handshake refused");
            timeout(HANDSHAKE_DEADLINE, handshake::refuse(&mut stream, &refusal)).await?
        }
    }
}
