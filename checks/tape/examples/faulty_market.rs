//! Records 3,000 instruments of a market with faults, for the check of bars: a socket that is reset,
//! one whose instruments are handed over to other connections and return, a frame that is cut off, a
//! new day, and a recorder that is stopped and started again.
//!
//! `faulty_market DIRECTORY`
#![expect(clippy::unwrap_used, reason = "a step that fails ends the check")]

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kite_conn::{Credentials, Endpoint};
use kite_manager::{FailoverConfig, Manager};
use kite_sim::{ACCESS_TOKEN, API_KEY, Fault, Refusal, Sim, universe};
use kite_tape::{Recorder, RecorderConfig, Source};
use kite_wire::Mode;

/// Time for the market to trade between two events.
const WHILE: Duration = Duration::from_secs(4);

/// Longest wait for an event.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::main]
async fn main() {
    let directory = std::env::args_os().nth(1).unwrap();
    let now_s = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let sim = Sim::builder().credentials(API_KEY, ACCESS_TOKEN);
    let sim = sim.market_time(now_s.try_into().unwrap()).run_clock(true).start().await.unwrap();
    let first = Recording::start(Path::new(&directory), &sim).await;
    trade().await;
    inject(&sim, 0, Fault::Reset { at: 0 });
    trade().await;
    sim.inject(API_KEY, Fault::TruncatedFrame { cut: 50 });
    trade().await;

    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let before = first.manager.distribution();
    inject(&sim, 1, Fault::Reset { at: 0 });
    first.until(|manager| manager.distribution() != before).await;
    trade().await;
    sim.refuse_with(None);
    first.until(|manager| manager.distribution() == before).await;
    trade().await;
    first.stop().await;

    tokio::time::sleep(WHILE / 2).await;
    let second = Recording::start(Path::new(&directory), &sim).await;
    trade().await;
    sim.next_day();
    trade().await;
    second.stop().await;
    sim.stop().await;
}

async fn trade() {
    tokio::time::sleep(WHILE).await;
}

/// Injects a fault into one of the open sockets with instruments.
fn inject(sim: &Sim, nth: usize, fault: Fault) {
    let open = sim.sockets(API_KEY);
    let open = open.iter().filter(|it| it.end.is_none() && !it.subscriptions.is_empty());
    let socket = open.map(|it| it.id).nth(nth).unwrap();
    assert!(sim.inject_socket(socket, fault));
}

/// A manager and the recorder of its connections.
struct Recording {
    manager: Manager,
    recorder: Recorder,
}

impl Recording {
    async fn start(directory: &Path, sim: &Sim) -> Self {
        let recorder = Recorder::start(directory, RecorderConfig::default()).unwrap();
        let tape = recorder.clone();
        let manager = Manager::builder()
            .account("main", Credentials::new(API_KEY, ACCESS_TOKEN))
            .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
            .failover(Some(FailoverConfig {
                after: Duration::from_secs(1),
                stable_after: Duration::from_secs(1),
            }))
            .connection(|connection| connection.reconnect.delay_cap = Duration::from_secs(1))
            .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
            .build()
            .unwrap();
        let tokens = universe(3_000);
        let (full, rest) = tokens.split_at(2_000);
        let (quote, ltp) = rest.split_at(800);
        for (tokens, mode) in [(full, Mode::Full), (quote, Mode::Quote), (ltp, Mode::Ltp)] {
            manager.subscribe(tokens, mode).unwrap();
        }
        manager.start().await.unwrap();
        let recording = Self { manager, recorder };
        recording.manager.wait_until_live(PATIENCE).await.unwrap();
        recording
    }

    /// Waits for a state of the manager.
    async fn until(&self, holds: impl Fn(&Manager) -> bool) {
        let reached = tokio::time::timeout(PATIENCE, async {
            while !holds(&self.manager) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        reached.await.unwrap();
    }

    async fn stop(self) {
        self.manager.stop().await;
        drop(self.manager);
        self.recorder.finish().unwrap();
    }
}
