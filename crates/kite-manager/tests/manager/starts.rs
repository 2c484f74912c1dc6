//! Starts and stops over real WebSockets.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use kite_conn::{Batch, Credentials, Endpoint, Event, Sink};
use kite_manager::{Manager, ManagerConfig, ManagerEvent, StartError, Tap};
use kite_sim::{ACCESS_TOKEN, API_KEY, Refusal, Sent, Sim};
use kite_wire::Mode;

/// Timeout that no step here reaches.
const DEADLINE: Duration = Duration::from_secs(20);

async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(value) = tokio::time::timeout(DEADLINE, future).await else {
        panic!("waited {DEADLINE:?} for {what}");
    };
    value
}

/// Tallies received ticks as the simulator tallies sent ones.
#[derive(Debug, Clone, Default)]
struct Tally(Arc<Mutex<BTreeMap<u32, Sent>>>);

impl Sink for Tally {
    fn on_batch(&mut self, batch: &Batch) {
        let mut tally = self.0.lock().unwrap();
        for packet in batch.ticks.packets() {
            tally.entry(packet.instrument_token()).or_default().add(packet.as_bytes());
        }
    }

    fn on_event(&mut self, _: &Event) {}
}

fn config(sim: &Sim, connect_timeout: Duration) -> ManagerConfig {
    let mut config = ManagerConfig::default();
    config.connection.endpoint = Endpoint::parse(&sim.endpoint()).unwrap();
    config.connection.transport.connect_timeout = connect_timeout;
    config.connection.reconnect.delay = Duration::from_millis(5);
    config
}

fn credentials() -> Credentials {
    Credentials::new(API_KEY, ACCESS_TOKEN)
}

fn manager(sim: &Sim, connect_timeout: Duration) -> Manager {
    Manager::new(credentials(), config(sim, connect_timeout))
}

fn held(sim: &Sim) -> BTreeMap<u32, Mode> {
    sim.subscriptions().into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tap_receives_every_tick_of_all_connections() {
    let sim = Sim::builder().updates_per_second(20.0).start().await.unwrap();
    let tally = Tally::default();
    let mut config = config(&sim, DEADLINE);
    let tapped = tally.clone();
    config.taps.push(Tap::new(move |_| tapped.clone()));
    let manager = Manager::new(credentials(), config);
    let instruments = kite_sim::universe(600);
    manager.subscribe(&instruments, Mode::Full).unwrap();
    within("start", manager.start()).await.unwrap();
    within("ticks", sim.wait_until(|sim| sim.stats().ticks_sent > 3_000)).await;
    sim.pause().await;
    let sent = sim.sent();
    within("the last tick", async {
        while *tally.0.lock().unwrap() != sent {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let counted: u64 = manager.snapshot().connections.iter().map(|one| one.figures.ticks).sum();
    assert_eq!(counted, sim.stats().ticks_sent);
    within("stop", manager.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_a_cancelled_one_waits_for_the_same_connections() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let manager = manager(&sim, DEADLINE);
    let opened = async {
        let start = manager.start();
        tokio::select! {
            started = start => panic!("nothing is up: {started:?}"),
            () = sim.wait_until(|sim| !sim.stats().refused.is_empty()) => {}
        }
    };
    within("the first refusal", opened).await;
    sim.refuse_with(None);
    within("start", manager.start()).await.unwrap();
    assert!(manager.is_live());
    assert_eq!(manager.snapshot().connections.len(), 3);
    assert!(sim.stats().connections_open <= 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_after_begin_parks_the_connections_until_there_is_a_new_one() {
    let sim = Sim::builder().start().await.unwrap();
    let manager = Manager::new(Credentials::new(API_KEY, "of yesterday"), config(&sim, DEADLINE));
    manager.subscribe(&[256, 512, 768], Mode::Full).unwrap();
    let mut events = manager.events();
    manager.begin().unwrap();
    let mut parked = 0;
    while parked < 3 {
        let event = within("a refusal", events.recv()).await.expect("the run goes on");
        let is_parked = matches!(event, ManagerEvent::Connection { event: Event::Parked(_), .. });
        parked += usize::from(is_parked);
    }
    assert!(manager.is_running());
    manager.begin().unwrap();
    within("a start of what is begun", manager.start()).await.unwrap();
    manager.set_access_token(ACCESS_TOKEN);
    let wanted = [256, 512, 768].map(|token| (token, Mode::Full)).into();
    within("the server's agreement", sim.wait_until(|sim| held(sim) == wanted)).await;
}

#[test]
fn begin_needs_a_runtime_and_valid_settings() {
    let outside = Manager::new(credentials(), ManagerConfig::default()).begin();
    assert!(matches!(outside, Err(StartError::Spawn(_))), "{outside:?}");
    let config = ManagerConfig { connections: 0, ..ManagerConfig::default() };
    let invalid = Manager::new(credentials(), config).begin();
    assert!(matches!(invalid, Err(StartError::Config(_))), "{invalid:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_while_running_succeeds_even_in_an_outage() {
    let sim = Sim::builder().start().await.unwrap();
    let manager = manager(&sim, Duration::from_millis(300));
    within("start", manager.start()).await.unwrap();
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    sim.drop_all();
    within("the outage", sim.wait_until(|sim| !sim.stats().refused.is_empty())).await;
    within("start", manager.start()).await.unwrap();
    assert!(manager.is_running());
    sim.refuse_with(None);
    within("the end of it", sim.wait_until(|sim| sim.stats().connections_open == 3)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_from_another_clone_ends_a_start() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let manager = manager(&sim, DEADLINE);
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    within("a refusal", sim.wait_until(|sim| !sim.stats().refused.is_empty())).await;
    within("stop", manager.stop()).await;
    let started = within("the start", starting).await.unwrap();
    assert!(matches!(started, Err(StartError::Stopped)), "{started:?}");
    assert!(!manager.is_running());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_subscribes_and_unsubscribes_leave_one_state_everywhere() {
    let sim = Sim::builder().start().await.unwrap();
    let manager = manager(&sim, DEADLINE);
    within("start", manager.start()).await.unwrap();
    let tokens = kite_sim::universe(60);
    let tasks = (0..4_usize).map(|task| {
        let (manager, tokens) = (manager.clone(), tokens.clone());
        tokio::spawn(async move {
            for round in 0..200 {
                let from = (task * 17 + round * 7) % 50;
                let some = &tokens[from..from + 10];
                match (task + round) % 4 {
                    0 => manager.unsubscribe(some),
                    1 => manager.set_mode(some, Mode::Full),
                    _ => manager.subscribe(some, Mode::Ltp).unwrap(),
                }
                tokio::task::yield_now().await;
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within("a task", task).await.unwrap();
    }
    let wanted: Vec<BTreeMap<u32, Mode>> = manager.distribution();
    let all: BTreeMap<u32, Mode> = wanted.iter().flatten().map(|(&t, &m)| (t, m)).collect();
    assert_eq!(
        wanted.iter().map(BTreeMap::len).sum::<usize>(),
        all.len(),
        "each on one connection"
    );
    within("the server's agreement", sim.wait_until(|sim| held(sim) == all)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn subscriptions_made_between_two_runs_are_sent_in_the_second() {
    let sim = Sim::builder().start().await.unwrap();
    let manager = manager(&sim, DEADLINE);
    manager.subscribe(&[256, 512], Mode::Full).unwrap();
    within("start", manager.start()).await.unwrap();
    within("stop", manager.stop()).await;
    manager.subscribe(&[768], Mode::Ltp).unwrap();
    manager.unsubscribe(&[256]);
    manager.set_mode(&[512], Mode::Quote);
    within("another start", manager.start()).await.unwrap();
    let wanted = BTreeMap::from([(512, Mode::Quote), (768, Mode::Ltp)]);
    within("the new set", sim.wait_until(|sim| held(sim) == wanted)).await;
    within("stop", manager.stop()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn starts_and_stops_from_many_tasks_end_in_the_state_of_the_last_one() {
    let sim = Sim::builder().start().await.unwrap();
    let manager = manager(&sim, DEADLINE);
    manager.subscribe(&[256, 512, 768], Mode::Ltp).unwrap();
    let tasks = (0..4).map(|task| {
        let manager = manager.clone();
        tokio::spawn(async move {
            for round in 0..20 {
                if (task + round) % 2 == 0 {
                    // Another task may stop it.
                    let _ = manager.start().await;
                } else {
                    manager.stop().await;
                }
            }
        })
    });
    for task in tasks.collect::<Vec<_>>() {
        within("a task", task).await.unwrap();
    }
    within("stop", manager.stop()).await;
    within("no socket", sim.wait_until(|sim| sim.stats().connections_open == 0)).await;
    within("start", manager.start()).await.unwrap();
    let wanted = [256, 512, 768].map(|token| (token, Mode::Ltp)).into();
    within("the server's agreement", sim.wait_until(|sim| held(sim) == wanted)).await;
    assert!(sim.stats().refused.is_empty(), "{:?}", sim.stats());
}
