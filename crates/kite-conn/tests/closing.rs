//! No task and no socket is left, no matter how often and in which state connections end.
//!
//! A separate program with one test, because the sockets of the whole process are counted.
#![expect(clippy::unwrap_used, reason = "a step that fails ends the test")]

#[path = "live/probe.rs"]
#[expect(dead_code, reason = "the other test program uses all of it")]
mod probe;

use std::time::Duration;

use kite_conn::{
    Connection, ConnectionConfig, EventLane, LaneConfig, Liveness, Phase, TokenSource, lane,
};
use kite_sim::{API_KEY, Fault, Refusal, Sim, universe};
use kite_wire::Mode;

use self::probe::{config, connect, credentials, in_time, sim_until};

/// Checks that nothing is left open.
struct Leaks<'a> {
    sim: &'a Sim,
    tasks: usize,
    files: Option<usize>,
}

/// Returns the number of files this process has open, if the system reports it.
fn open_files() -> Option<usize> {
    Some(std::fs::read_dir("/proc/self/fd").ok()?.count())
}

fn tasks() -> usize {
    tokio::runtime::Handle::current().metrics().num_alive_tasks()
}

impl<'a> Leaks<'a> {
    fn watch(sim: &'a Sim) -> Self {
        Self { sim, tasks: tasks(), files: open_files() }
    }

    async fn none(&self, what: &str) {
        let open = |sim: &Sim| sim.stats().connections_open == 0;
        sim_until(self.sim, &format!("{what}: no socket"), open).await;
        // The simulator's own tasks end when they notice that the client is gone.
        in_time(&format!("{what}: no task, no file"), async {
            while tasks() > self.tasks || open_files() > self.files {
                tokio::task::yield_now().await;
            }
        })
        .await;
    }
}

async fn close(connection: Connection, what: &str) {
    in_time(&format!("{what}: the close"), connection.close()).await;
    assert_eq!(connection.status().phase, Phase::Closed, "{what}");
}

async fn phase(connection: &Connection, phase: Phase) {
    let mut status = connection.watch();
    let reached = in_time(&format!("{phase:?}"), status.wait_for(|it| it.phase == phase)).await;
    assert_eq!(reached.unwrap().phase, phase);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_any_connection() {
    let sim = Sim::builder().greet(false).updates_per_second(50.0).start().await.unwrap();
    let leaks = Leaks::watch(&sim);
    thousands_of_closes(&sim, &leaks).await;
    a_hundred_abrupt_ends(&sim, &leaks).await;
    every_phase(&sim, &leaks).await;
    every_consumer(&sim, &leaks).await;
}

async fn thousands_of_closes(sim: &Sim, leaks: &Leaks<'_>) {
    for round in 0..2_000 {
        let (connection, probe) = connect(config(sim));
        if round % 4 < 2 {
            connection.subscribe(&[257], Mode::Ltp).unwrap();
            probe.until("a tick", |seen| !seen.ticks.is_empty()).await;
        } else {
            phase(&connection, Phase::Live).await;
        }
        close(connection, "live").await;
        assert!(probe.look(|seen| seen.ended && seen.losses() == 0));
    }
    leaks.none("two thousand closes").await;
    let stats = sim.stats();
    assert_eq!(stats.connections_total, 2_000);
    let refused = stats.refused.values().sum::<u64>();
    assert_eq!(refused, 0, "every slot was free in time");
    sim.forget_ended(API_KEY);
}

async fn a_hundred_abrupt_ends(sim: &Sim, leaks: &Leaks<'_>) {
    // Sockets dropped by the server, then handles by the application.
    for round in 0..100 {
        let (connection, probe) = connect(config(sim));
        phase(&connection, Phase::Live).await;
        match round % 4 {
            0 => sim.drop_all(),
            1 => {
                sim.inject(API_KEY, Fault::Reset { at: 1 });
            }
            2 => {
                sim.inject(API_KEY, Fault::Close { code: 1_011, waits: false });
            }
            _ => {}
        }
        drop(connection);
        probe.until("the end", |seen| seen.ended).await;
    }
    leaks.none("a hundred abrupt ends").await;

    // A runtime's end drops the connection's task at any await.
    for _ in 0..20 {
        let sim_endpoint = config(sim);
        let ended = tokio::task::spawn_blocking(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let (connection, probe) = connect(sim_endpoint);
                phase(&connection, Phase::Live).await;
                (connection, probe)
            })
        });
        let (connection, probe) = ended.await.unwrap();
        assert_eq!(connection.status().phase, Phase::Closed);
        assert!(probe.look(|seen| seen.ended));
    }
    leaks.none("runtimes that end").await;
}

async fn every_phase(sim: &Sim, leaks: &Leaks<'_>) {
    let gone = async |what: &str| {
        sim_until(sim, what, |sim| sim.stats().connections_open == 0).await;
    };
    let config = || config(sim);
    let late = Duration::from_millis(300);
    for fault in [Fault::HangingHandshake, Fault::SlowHandshake { delay: late }] {
        sim.at_next_handshake(API_KEY, fault.clone());
        let struck = sim.stats().faults.get(&fault.kind()).copied().unwrap_or(0) + 1;
        let (connection, _probe) = connect(config());
        sim_until(sim, "a handshake", |sim| sim.stats().faults.get(&fault.kind()) == Some(&struck))
            .await;
        assert_eq!(connection.status().phase, Phase::Opening);
        close(connection, "opening").await;
    }

    sim.refuse_with(Some(Refusal::kite(503, "later").retry_after("3600")));
    let (connection, _probe) = connect(config());
    phase(&connection, Phase::Waiting).await;
    close(connection, "waiting").await;

    sim.refuse_with(Some(Refusal::auth()));
    let (connection, _probe) = connect(config());
    phase(&connection, Phase::Parked).await;
    close(connection, "parked").await;

    let token_source = Some(TokenSource::new(|_| {
        std::future::pending::<Result<kite_conn::Credentials, std::io::Error>>()
    }));
    let (connection, _probe) = connect(ConnectionConfig { token_source, ..config() });
    phase(&connection, Phase::Renewing).await;
    close(connection, "renewing").await;
    sim.refuse_with(None);

    // A close frame that is never answered.
    let close_deadline = Duration::from_millis(50);
    let (connection, _probe) = connect(ConnectionConfig {
        liveness: Liveness { close_deadline, ..config().liveness },
        ..config()
    });
    phase(&connection, Phase::Live).await;
    sim.inject(API_KEY, Fault::Stalls);
    close(connection, "stalled").await;
    gone("stalled: no socket").await;

    // A server that accepts no bytes.
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { close_deadline, ..config().liveness },
        ..config()
    });
    phase(&connection, Phase::Live).await;
    sim.inject(API_KEY, Fault::StopsReading);
    let tokens = universe(3_000);
    for mode in Mode::ALL.into_iter().cycle().take(300) {
        connection.subscribe(&tokens, mode).unwrap();
        tokio::task::yield_now().await;
    }
    close(connection, "write-blocked").await;
    // With a full buffer the server cannot see that the client is gone.
    sim.heal(API_KEY);
    gone("write-blocked: no socket").await;
    assert!(probe.look(|seen| seen.ended));
    leaks.none("every phase").await;
}

async fn every_consumer(sim: &Sim, leaks: &Leaks<'_>) {
    let close_deadline = Duration::from_millis(50);
    let config = ConnectionConfig {
        liveness: Liveness { close_deadline, ..config(sim).liveness },
        ..config(sim)
    };
    let (connection, probe) = connect(config.clone());
    connection.subscribe(&universe(100), Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    probe.take_frames(false);
    let frames = sim.stats().frames_sent + 50;
    sim_until(sim, "back-pressure", |sim| sim.stats().frames_sent > frames).await;
    close(connection, "a sink that accepts nothing").await;
    assert!(probe.look(|seen| seen.ended));

    let (sink, mut items) = lane(LaneConfig { frames: 2, ..Default::default() }).unwrap();
    let events = EventLane::default();
    let connection = Connection::spawn(config.clone(), credentials(), sink, &events, 0).unwrap();
    connection.subscribe(&universe(100), Mode::Full).unwrap();
    in_time("a tick", items.recv()).await.unwrap();
    let frames = sim.stats().frames_sent + 50;
    sim_until(sim, "back-pressure", |sim| sim.stats().frames_sent > frames).await;
    close(connection, "a lane that is not read").await;
    while items.recv().await.is_some() {}
    assert_eq!(items.stats().queued_frames, 0);
    leaks.none("every consumer").await;
}
