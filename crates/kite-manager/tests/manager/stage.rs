//! The setup of every test: a simulator with accounts, managers for it, and waits with a time
//! limit.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_conn::{Credentials, Endpoint};
use kite_manager::{AccountId, FailoverConfig, Manager, ManagerBuilder, Seat, Snapshot};
use kite_sim::{Sim, SimBuilder, SocketRecord};
use kite_wire::Mode;

/// Timeout for each step, generous for slow machines. A test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Interval for polling a state that has no notification.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// A quick failover, but longer than `start` takes on a slow machine, since a connection that is
/// not up by then is handed over.
pub(crate) const QUICK: FailoverConfig =
    FailoverConfig { after: Duration::from_millis(750), stable_after: Duration::from_millis(100) };

/// Returns the name of an account.
pub(crate) fn name(account: usize) -> AccountId {
    format!("account-{account}").into()
}

pub(crate) fn key(account: usize) -> String {
    format!("key-{account}")
}

pub(crate) fn secret(account: usize) -> String {
    format!("secret-{account}")
}

pub(crate) fn credentials(account: usize) -> Credentials {
    Credentials::new(key(account), secret(account))
}

/// Starts a simulator with `accounts` accounts.
pub(crate) async fn sim(accounts: usize, change: impl FnOnce(SimBuilder) -> SimBuilder) -> Sim {
    let builder = Sim::builder()
        .credentials(key(0), secret(0))
        .heartbeat_every(Duration::from_millis(20))
        .updates_per_second(20.0);
    let all = (1..accounts).fold(builder, |builder, it| builder.account(key(it), secret(it)));
    change(all).start().await.unwrap()
}

/// Returns a builder with `accounts` accounts whose connections fail and recover in milliseconds,
/// without failover, and with a silence threshold that a slow machine does not reach.
pub(crate) fn builder(sim: &Sim, accounts: usize) -> ManagerBuilder {
    let builder = Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .stagger(Duration::from_millis(1))
        .failover(None)
        .connection(|connection| {
            connection.transport.connect_timeout = PATIENCE;
            connection.reconnect.delay = Duration::from_millis(5);
            connection.reconnect.delay_cap = Duration::from_millis(20);
            connection.liveness.silence_threshold = Duration::from_secs(60);
            connection.reconnect.jitter_seed = 1;
        });
    (0..accounts).fold(builder, |builder, it| builder.account(name(it), credentials(it)))
}

pub(crate) fn seat_name(seat: &Seat) -> (AccountId, usize) {
    (seat.account.clone(), seat.connection)
}

/// Awaits a future with a time limit.
pub(crate) async fn in_time<F: Future>(what: &str, future: F) -> F::Output {
    let Ok(output) = tokio::time::timeout(PATIENCE, future).await else {
        panic!("timed out waiting for {what}")
    };
    output
}

/// Waits for a state that has no notification.
pub(crate) async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    in_time(what, async {
        while !holds() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    })
    .await;
}

/// Waits for a state of the simulator.
pub(crate) async fn sim_until(sim: &Sim, what: &str, holds: impl FnMut(&Sim) -> bool) {
    let reached = tokio::time::timeout(PATIENCE, sim.wait_until(holds)).await;
    assert!(reached.is_ok(), "timed out waiting for {what}; {:?}", sim.stats());
}

/// Waits until the manager has delivered everything that was sent. Updates must be paused, and no
/// socket lost.
pub(crate) async fn all_delivered(sim: &Sim, manager: &Manager) {
    until("all delivered", || {
        let connections = manager.snapshot().connections;
        let ticks: u64 = connections.iter().map(|it| it.figures.ticks).sum();
        ticks == sim.stats().ticks_sent
            && connections.iter().all(|it| it.figures.frames == it.figures.frames_delivered)
    })
    .await;
}

/// Waits until the server has each instrument on the connection the manager chose, and on no other.
pub(crate) async fn agreed(sim: &Sim, manager: &Manager) {
    let sorted = |mut all: Vec<BTreeMap<u32, Mode>>| {
        // A connection without instruments may be up or not.
        all.retain(|it| !it.is_empty());
        all.sort_by_key(|it| it.keys().next().copied());
        all
    };
    until("the server's agreement", || {
        sorted(sim.subscriptions()) == sorted(manager.distribution())
    })
    .await;
}

/// Returns the open socket of an account that has these instruments.
#[track_caller]
pub(crate) fn socket(sim: &Sim, account: usize, instruments: &BTreeMap<u32, Mode>) -> SocketRecord {
    let all = sim.sockets(&key(account));
    let found = all.iter().find(|it| it.end.is_none() && it.subscriptions == *instruments);
    let Some(found) = found else {
        panic!("no socket has these {} instruments: {all:?}", instruments.len())
    };
    found.clone()
}

/// Returns the number of live connections.
pub(crate) fn live(snapshot: &Snapshot) -> usize {
    let phases = snapshot.connections.iter().map(|it| it.phase);
    phases.filter(|phase| *phase == kite_conn::Phase::Live).count()
}

/// Pseudo-random numbers that depend only on the seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed >> 33) as usize % end
    }
}
