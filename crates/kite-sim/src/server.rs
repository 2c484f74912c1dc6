//! What all connections share, and the task that accepts them.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::DuplexStream;
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::accounts::Accounts;
use crate::book::Book;
use crate::chance::FaultChance;
use crate::exchange::{Exchange, lock};
use crate::fault::{Fault, FaultKind};
use crate::gate::Gate;
use crate::ledger::Ledger;
use crate::reception;
use crate::refusal::Refusal;
use crate::replay::{self, Records, Stage};
use crate::script::FaultScript;
use crate::stats::{Counters, SimStats};
#[cfg(feature = "tls")]
use crate::tls::Identity;
use crate::wire::Transport;

/// Pause after the operating system refused to accept a connection (too many open files), or the
/// port again after a restart.
const ACCEPT_BACKOFF: Duration = Duration::from_millis(20);
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;

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
pub(crate) enum Door {
    /// A client's connection in memory.
    Memory(DuplexStream),
    /// A script that begins at an instant.
    Play(FaultScript, Instant),
    /// Away for this long.
    Restart(Duration),
}

/// What tasks and the user's handle share.
pub(crate) struct Shared {
    pub(crate) config: Config,
    pub(crate) exchange: Exchange,
    /// What is replayed in the market's place.
    pub(crate) stage: Option<Arc<Stage>>,
    pub(crate) counters: Counters,
    /// Told at every change that a user may wait for.
    pub(crate) changed: Notify,
    pub(crate) ledger: Ledger,
    pub(crate) gate: Mutex<Gate>,
    doors: mpsc::UnboundedSender<Door>,
    faults: Mutex<BTreeMap<FaultKind, u64>>,
    /// Whether chance strikes no more.
    is_calm: AtomicBool,
    flow: Mutex<Flow>,
}

/// Whether updates flow, and how many frames of the market are on their way.
#[derive(Debug, Default)]
struct Flow {
    /// Since when updates are paused; `None` while updates flow.
    paused_at: Option<Instant>,
    /// How long all pauses before took.
    paused_for: Duration,
    writing: usize,
}

impl Shared {
    pub(crate) fn new(
        config: Config,
        exchange: Exchange,
        stage: Option<Arc<Stage>>,
        accounts: Accounts,
    ) -> (Arc<Self>, mpsc::UnboundedReceiver<Door>) {
        let (doors, opened) = mpsc::unbounded_channel();
        let shared = Self {
            config,
            exchange,
            stage,
            counters: Counters::default(),
            changed: Notify::new(),
            ledger: Ledger::default(),
            gate: Mutex::new(Gate::new(accounts)),
            doors,
            faults: Mutex::default(),
            is_calm: AtomicBool::new(false),
            flow: Mutex::default(),
        };
        (Arc::new(shared), opened)
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
            faults: lock(&self.faults).clone(),
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
    pub(crate) fn tell_all(&self, control: impl FnMut() -> Control) {
        self.tell(|_, _| true, control);
    }

    /// Tells some sockets something; gives their number.
    pub(crate) fn tell(
        &self,
        is_meant: impl Fn(u64, &str) -> bool,
        mut control: impl FnMut() -> Control,
    ) -> usize {
        let gate = lock(&self.gate);
        let meant = gate.members.iter().filter(|(id, member)| is_meant(**id, &member.api_key));
        // A task that has just ended has no use for it.
        meant.map(|(_, member)| member.controls.send(control())).count()
    }

    /// Gives a fault to an account: to its open sockets, its next handshake or the server.
    pub(crate) fn inject(self: &Arc<Self>, api_key: &str, fault: Fault) -> usize {
        match fault {
            Fault::Restart { down } => {
                self.restart(down);
                let gate = lock(&self.gate);
                gate.members.values().filter(|member| member.api_key == api_key).count()
            }
            fault if fault.awaits_handshake() => {
                self.at_next_handshake(api_key, fault);
                0
            }
            fault => {
                self.tell(|_, key| key == api_key, || Control::Fault(fault.clone(), self.begin()))
            }
        }
    }

    /// Gives a fault to one socket, or to what the account of that socket does next; says whether
    /// the socket is open.
    pub(crate) fn inject_socket(self: &Arc<Self>, id: u64, fault: Fault) -> bool {
        let account = lock(&self.gate).members.get(&id).map(|member| member.api_key.clone());
        let Some(api_key) = account else { return false };
        match fault {
            Fault::Restart { down } => self.restart(down),
            fault if fault.awaits_handshake() => self.at_next_handshake(&api_key, fault),
            fault => {
                let control = || Control::Fault(fault.clone(), self.begin());
                return self.tell(|candidate, _| candidate == id, control) > 0;
            }
        }
        true
    }

    /// Goes away and comes back.
    pub(crate) fn restart(&self, down: Duration) {
        self.note_fault(FaultKind::Restart);
        self.open(Door::Restart(down));
    }

    /// Tells the accepting task something; when it has ended, nothing happens.
    pub(crate) fn open(&self, door: Door) {
        let _ = self.doors.send(door);
    }

    /// Counts a fault that takes effect.
    pub(crate) fn note_fault(&self, kind: FaultKind) {
        *lock(&self.faults).entry(kind).or_insert(0) += 1;
        self.changed.notify_waiters();
    }

    /// Ends faults by chance and what awaits handshakes, and heals all sockets.
    pub(crate) fn calm(&self) {
        self.is_calm.store(true, Ordering::Relaxed);
        self.clear_desks();
        self.tell_all(|| Control::Heal);
    }

    pub(crate) fn is_calm(&self) -> bool {
        self.is_calm.load(Ordering::Relaxed)
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
        if flow.paused_at.is_some() {
            return None;
        }
        flow.writing += 1;
        Some(Writing { shared: Arc::clone(self) })
    }

    pub(crate) fn set_paused(&self, is_paused: bool) {
        let mut flow = lock(&self.flow);
        match (is_paused, flow.paused_at) {
            (true, None) => flow.paused_at = Some(Instant::now()),
            (false, Some(since)) => {
                flow.paused_at = None;
                flow.paused_for += since.elapsed();
            }
            _ => {}
        }
        drop(flow);
        self.changed.notify_waiters();
    }

    /// Gives how long the pauses that have ended took together.
    pub(crate) fn paused_for(&self) -> Duration {
        lock(&self.flow).paused_for
    }

    pub(crate) fn is_paused(&self) -> bool {
        lock(&self.flow).paused_at.is_some()
    }

    /// Says whether heartbeats come from a tape now.
    pub(crate) fn heartbeats_are_replayed(&self) -> bool {
        !self.is_paused() && self.stage.as_ref().is_some_and(|stage| stage.brings_heartbeats())
    }

    /// Says whether no frame of the market is on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        lock(&self.flow).writing == 0
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
    address: SocketAddr,
    shared: Arc<Shared>,
    doors: mpsc::UnboundedReceiver<Door>,
    tape: Option<Records>,
    stopped: oneshot::Receiver<()>,
) {
    let mut server =
        Server { address, shared, clients: JoinSet::new(), plays: JoinSet::new(), doors };
    if let (Some(stage), Some(tape)) = (server.shared.stage.clone(), tape) {
        server.plays.spawn(replay::run(tape, stage, Arc::clone(&server.shared)));
    }
    tokio::select! {
        _ = stopped => {}
        () = server.accept(listener) => {}
    }
    server.clients.shutdown().await;
    server.plays.shutdown().await;
}

struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    clients: JoinSet<()>,
    plays: JoinSet<()>,
    doors: mpsc::UnboundedReceiver<Door>,
}

impl Server {
    /// Accepts connections for ever.
    async fn accept(&mut self, mut listener: TcpListener) {
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) => {
                        // What it costs is latency only.
                        let _ = stream.set_nodelay(true);
                        self.serve(Transport::Tcp(stream));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "connection not accepted");
                        sleep(ACCEPT_BACKOFF).await;
                    }
                },
                Some(door) = self.doors.recv() => match door {
                    Door::Memory(stream) => self.serve(Transport::Memory(stream)),
                    Door::Play(script, begun) => self.play(script, begun),
                    Door::Restart(down) => {
                        drop(listener);
                        listener = self.restart(down).await;
                    }
                },
                Some(_) = self.clients.join_next() => {}
                Some(_) = self.plays.join_next() => {}
            }
        }
    }

    fn serve(&mut self, transport: Transport) {
        self.clients.spawn(reception::serve(transport, Arc::clone(&self.shared)));
    }

    fn play(&mut self, script: FaultScript, begun: Instant) {
        self.plays.spawn(script.play(begun, Arc::clone(&self.shared)));
    }

    /// Drops every socket, refuses connections for a while and then listens again.
    async fn restart(&mut self, down: Duration) -> TcpListener {
        // Bound without listening, the port refuses connections and nobody else can take it.
        let reserved = again(|| reserve(self.address)).await;
        self.shared.kick_all();
        self.clients.shutdown().await;
        let mut is_down = std::pin::pin!(sleep(down));
        loop {
            tokio::select! {
                () = &mut is_down => break,
                Some(door) = self.doors.recv() => match door {
                    // Refused, and as far away as it gets.
                    Door::Memory(_) | Door::Restart(_) => {}
                    Door::Play(script, begun) => self.play(script, begun),
                },
            }
        }
        match reserved.listen(BACKLOG) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::warn!(%error, "port not served again at once");
                again(|| reserve(self.address)?.listen(BACKLOG)).await
            }
        }
    }
}

fn reserve(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    // Sockets just dropped keep the port for a while; on Windows this option means another thing.
    socket.set_reuseaddr(cfg!(not(windows)))?;
    socket.bind(address)?;
    Ok(socket)
}

/// Tries until the operating system agrees.
async fn again<T>(attempt: impl Fn() -> io::Result<T>) -> T {
    loop {
        match attempt() {
            Ok(done) => return done,
            Err(error) => tracing::warn!(%error, "port not available"),
        }
        sleep(ACCEPT_BACKOFF).await;
    }
}
