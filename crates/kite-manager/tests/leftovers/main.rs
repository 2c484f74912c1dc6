//! A manager leaves no task, socket or file descriptor behind. These tests have their own process
//! and run one at a time, so that no other test affects the counts.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

use std::time::Duration;

use kite_conn::{Credentials, Endpoint, Phase};
use kite_manager::{Manager, StreamConfig, TickStream};
use kite_sim::{ACCESS_TOKEN, API_KEY, Fault, Refusal, Sim};
use kite_wire::Mode;
use parking_lot::{Mutex, MutexGuard};
use tokio::runtime::{Builder, Runtime};

/// Timeout for each step, generous for slow machines.
const PATIENCE: Duration = Duration::from_secs(30);

/// A simulator on its own runtime, so that the manager's runtime has no other tasks.
struct Stage {
    sim: Sim,
    outside: Runtime,
    /// Where the manager's tasks run.
    inside: Runtime,
    /// Files open before the manager's runtime was made, and after.
    files: [usize; 2],
    _turn: MutexGuard<'static, ()>,
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

#[cfg(target_os = "linux")]
fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[cfg(not(target_os = "linux"))]
fn open_files() -> usize {
    0
}

impl Stage {
    fn new(accounts: usize) -> Self {
        static TURN: Mutex<()> = Mutex::new(());
        let turn = TURN.lock();
        let outside = runtime();
        let builder = (1..accounts).fold(Sim::builder(), |builder, account| {
            builder.account(format!("{API_KEY}{account}"), ACCESS_TOKEN)
        });
        let sim = outside.block_on(builder.updates_per_second(50.0).start()).unwrap();
        let without = open_files();
        let inside = runtime();
        Self { sim, outside, inside, files: [without, open_files()], _turn: turn }
    }

    fn manager_of(&self, account: usize) -> Manager {
        let key = if account == 0 { API_KEY.to_owned() } else { format!("{API_KEY}{account}") };
        let builder = Manager::builder()
            .account("mine", Credentials::new(key, ACCESS_TOKEN))
            .endpoint(Endpoint::parse(&self.sim.endpoint()).unwrap())
            .stagger(Duration::ZERO)
            .latest(true)
            .connection(|it| {
                it.transport.connect_timeout = PATIENCE;
                it.reconnect.delay = Duration::from_millis(5);
            });
        let manager = builder.build().unwrap();
        manager.subscribe(&[256, 512, 768], Mode::Quote).unwrap();
        manager
    }

    fn manager(&self) -> Manager {
        self.manager_of(0)
    }

    fn sim_until(&self, what: &str, holds: impl FnMut(&Sim) -> bool) {
        let waiting = async { tokio::time::timeout(PATIENCE, self.sim.wait_until(holds)).await };
        assert!(
            self.outside.block_on(waiting).is_ok(),
            "timed out waiting for {what}; {:?}",
            self.sim.stats()
        );
    }

    /// Waits until no task and no socket is left while the managers still exist, then drops the
    /// managers and the runtime.
    fn assert_nothing_left<T>(self, managers: T) {
        in_time(&self.inside, "all tasks to end", async {
            while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        self.sim_until("all sockets to be closed", |sim| sim.stats().connections_open == 0);
        let [without, with] = self.files;
        files_are(&self.outside, with);
        drop(managers);
        drop(self.inside);
        files_are(&self.outside, without);
    }
}

fn files_are(runtime: &Runtime, files: usize) {
    in_time(runtime, "all files to be closed", async {
        while open_files() != files {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
}

fn in_time<F: Future>(runtime: &Runtime, what: &str, future: F) -> F::Output {
    let output = runtime.block_on(async { tokio::time::timeout(PATIENCE, future).await });
    let Ok(output) = output else { panic!("timed out waiting for {what}") };
    output
}

/// Reads a stream to its end; returns the number of ticks.
async fn drain(mut stream: TickStream) -> usize {
    let mut ticks = 0;
    while let Some(item) = stream.recv().await {
        if let kite_manager::StreamItem::Ticks(it) = item {
            ticks += it.batch.ticks.len();
        }
    }
    ticks
}

#[test]
fn a_stop_leaves_nothing() {
    let stage = Stage::new(1);
    let manager = stage.manager();
    let stream = manager.stream(StreamConfig::default()).unwrap();
    in_time(&stage.inside, "a run", async {
        manager.start().await.unwrap();
        manager.wait_until_live(PATIENCE).await.unwrap();
        let draining = tokio::spawn(drain(stream));
        stage.sim.wait_until(|sim| sim.stats().ticks_sent > 20).await;
        manager.stop().await;
        assert!(draining.await.unwrap() > 0);
    });
    assert!(!manager.is_running() && !manager.is_live());
    stage.assert_nothing_left(manager);
}

#[test]
fn two_hundred_starts_and_stops_leave_nothing() {
    let stage = Stage::new(1);
    let manager = stage.manager();
    for _ in 0..200 {
        in_time(&stage.inside, "a cycle", async {
            manager.start().await.unwrap();
            manager.stop().await;
        });
    }
    assert_eq!(stage.sim.stats().connections_total, 600);
    assert!(stage.sim.stats().refused.is_empty(), "{:?}", stage.sim.stats());
    stage.assert_nothing_left(manager);
}

#[test]
fn a_manager_dropped_while_it_starts_leaves_nothing() {
    let stage = Stage::new(1);
    let manager = stage.manager();
    let stream = manager.stream(StreamConfig::default()).unwrap();
    for _ in 0..3 {
        stage.sim.at_next_handshake(API_KEY, Fault::HangingHandshake);
    }
    let starting = stage.inside.spawn(async move { manager.start().await });
    stage.sim_until("a handshake that hangs", |sim| !sim.stats().faults.is_empty());
    starting.abort();
    assert_eq!(in_time(&stage.inside, "the stream's end", drain(stream)), 0);
    stage.assert_nothing_left(starting);
}

#[test]
fn a_manager_dropped_while_live_leaves_nothing() {
    let stage = Stage::new(1);
    let manager = stage.manager();
    let (mut events, mut orders) = (manager.events(), manager.orders());
    let latest = manager.latest().unwrap();
    let stream = manager.stream(StreamConfig::default()).unwrap();
    in_time(&stage.inside, "start", manager.start()).unwrap();
    let draining = stage.inside.spawn(drain(stream));
    stage.sim_until("ticks", |sim| sim.stats().ticks_sent > 20);
    // Another clone keeps it running.
    let other = manager.clone();
    drop(manager);
    assert!(other.is_live());
    drop(other);
    in_time(&stage.inside, "all receivers to end", async {
        assert!(draining.await.unwrap() > 0);
        while events.recv().await.is_some() {}
        while orders.recv().await.is_some() {}
    });
    assert!(latest.get(256).is_some());
    stage.assert_nothing_left((events, orders, latest));
}

#[test]
fn a_run_ends_with_its_runtime_and_another_runtime_can_start_a_new_one() {
    let mut stage = Stage::new(1);
    let manager = stage.manager();
    let stream = manager.stream(StreamConfig::default()).unwrap();
    in_time(&stage.inside, "start", manager.start()).unwrap();
    stage.sim_until("ticks", |sim| sim.stats().ticks_sent > 20);
    std::mem::replace(&mut stage.inside, runtime()).shutdown_timeout(PATIENCE);
    stage.sim_until("all sockets to be closed", |sim| sim.stats().connections_open == 0);
    assert!(!manager.is_live());
    let phases = manager.snapshot().connections;
    assert!(phases.iter().all(|it| it.phase == Phase::Closed));
    // A stream ends on whichever runtime reads it.
    in_time(&stage.outside, "the stream's end", drain(stream));
    in_time(&stage.inside, "stop", manager.stop());
    in_time(&stage.inside, "another start", manager.start()).unwrap();
    assert!(manager.is_live());
    in_time(&stage.inside, "stop", manager.stop());
    stage.assert_nothing_left(manager);
}

#[test]
fn fifty_concurrent_managers_leave_nothing() {
    let stage = Stage::new(50);
    let mut managers: Vec<Manager> = (0..50).map(|account| stage.manager_of(account)).collect();
    in_time(&stage.inside, "all starts", async {
        for manager in &managers {
            manager.start().await.unwrap();
        }
        for manager in &managers {
            manager.wait_until_live(PATIENCE).await.unwrap();
        }
    });
    assert_eq!(stage.sim.stats().connections_open, 150);
    // Some are stopped, the others dropped.
    in_time(&stage.inside, "some managers to stop", async {
        for manager in &managers[..25] {
            manager.stop().await;
        }
    });
    stage.sim_until("75 sockets to be left", |sim| sim.stats().connections_open == 75);
    assert!(managers[25..].iter().all(Manager::is_live));
    managers.truncate(25);
    stage.assert_nothing_left(managers);
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let stage = Stage::new(1);
    let manager = stage.manager();
    stage.sim.refuse_with(Some(Refusal::auth()));
    let refused = in_time(&stage.inside, "the refusal", manager.start());
    assert!(matches!(refused, Err(kite_manager::StartError::Refused { connections: 3, .. })));
    assert!(!manager.is_running());
    stage.sim.refuse_with(None);
    in_time(&stage.inside, "a start", manager.start()).unwrap();
    in_time(&stage.inside, "a stop", manager.stop());
    stage.assert_nothing_left(manager);
}
