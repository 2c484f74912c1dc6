//! Regression tests: interrupted starts and dark instruments.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kite_conn::{Batch, Event, Sink, SpawnError};
use kite_manager::{InPlaceError, ManagerEvent, Seat, StartError, StreamConfig};
use kite_sim::{Fault, Refusal};
use kite_wire::Mode;
use tokio::runtime::Builder;

use crate::stage::{QUICK, agreed, builder, in_time, key, sim, sim_until, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dark_instruments_of_a_parked_connection_move_as_soon_as_there_is_room() {
    let sim = sim(1, |it| it).await;
    let builder = builder(&sim, 1).failover(Some(QUICK));
    let manager = builder.connection(|it| it.instrument_limit = 10).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&kite_sim::universe(30), Mode::Ltp).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    sim.revoke_token(&key(0));
    let id = sim.sockets(&key(0))[0].id;
    sim.inject_socket(id, Fault::Close { code: 1_001, waits: false });
    loop {
        if let ManagerEvent::Dark { .. } = in_time("dark", events.recv()).await.unwrap() {
            break;
        }
    }
    let lost = manager.snapshot().connections.iter().position(|it| it.dark > 0).unwrap();
    let elsewhere: Vec<u32> =
        manager.distribution()[(lost + 1) % 3].keys().copied().take(4).collect();
    manager.unsubscribe(&elsewhere);
    // Nothing else would wake the watchman for half a minute.
    loop {
        let event = tokio::time::timeout(Duration::from_secs(10), events.recv()).await;
        if let Some(ManagerEvent::Moved { moves, .. }) = event.unwrap() {
            assert_eq!(moves.len(), 4);
            break;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_instruments_without_a_live_connection_are_reported_dark() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).failover(Some(QUICK)).connections(1).build().unwrap();
    let mut events = manager.events();
    manager.subscribe(&[512], Mode::Ltp).unwrap();
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    sim.drop_all();
    loop {
        if let ManagerEvent::Dark { .. } = in_time("dark", events.recv()).await.unwrap() {
            break;
        }
    }
    manager.subscribe(&[256], Mode::Quote).unwrap();
    assert_eq!(manager.snapshot().connections[0].dark_tokens, [256, 512]);
    let reported = tokio::time::timeout(Duration::from_secs(3), async {
        loop {
            if let ManagerEvent::Dark { tokens, .. } = events.recv().await.unwrap() {
                return tokens;
            }
        }
    })
    .await;
    assert!(reported.is_ok());
}

struct Panics(bool);
impl Sink for Panics {
    fn on_batch(&mut self, _: &Batch) {}
    fn on_event(&mut self, event: &Event) {
        assert!(!self.0 || !matches!(event, Event::Opening { .. }), "this sink gives up")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_that_panics_while_starting_leaves_no_socket_and_no_run() {
    let sim = sim(1, |it| it).await;
    let first = AtomicBool::new(true);
    let tap =
        move |seat: Seat| Panics(seat.connection == 0 && first.swap(false, Ordering::Relaxed));
    let manager = builder(&sim, 1).tap(tap).build().unwrap();
    let started = in_time("start", manager.start()).await;
    assert!(matches!(started, Err(StartError::Stopped)), "{started:?}");
    until("no socket", || sim.stats().connections_open == 0).await;
    assert!(!manager.is_running());
    in_time("another start", manager.start()).await.unwrap();
}

#[test]
fn a_start_interrupted_by_the_end_of_its_runtime_can_be_repeated() {
    let outside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = outside.block_on(sim(1, |it| it));
    sim.refuse_with(Some(Refusal::new(503, "busy")));
    let manager = outside.block_on(async { builder(&sim, 1).build().unwrap() });
    let inside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    inside.spawn({
        let m = manager.clone();
        async move { m.start().await }
    });
    outside.block_on(sim_until(&sim, "refusal", |sim| !sim.stats().refused.is_empty()));
    inside.shutdown_timeout(Duration::from_secs(5));
    sim.refuse_with(None);
    let inside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    inside.block_on(manager.start()).unwrap();
    assert!(manager.is_live());
}

#[test]
fn a_run_ends_with_its_runtime_and_another_can_be_started() {
    let outside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = outside.block_on(sim(1, |it| it));
    let manager = outside.block_on(async { builder(&sim, 1).build().unwrap() });
    let inside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    inside.block_on(manager.start()).unwrap();
    inside.shutdown_timeout(Duration::from_secs(5));
    let inside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    inside.block_on(manager.start()).unwrap();
    assert!(manager.is_live());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starts_and_stops_from_many_tasks_leave_a_usable_manager() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[256, 512, 768], Mode::Ltp).unwrap();
    let manager = Arc::new(manager);
    let tasks: Vec<_> = (0..4)
        .map(|task| {
            let manager = Arc::clone(&manager);
            tokio::spawn(async move {
                for round in 0..30 {
                    if (task + round) % 2 == 0 {
                        let _ = manager.start().await;
                    } else {
                        manager.stop().await;
                    }
                }
            })
        })
        .collect();
    for task in tasks {
        in_time("a task", task).await.unwrap();
    }
    in_time("stop", manager.stop()).await;
    until("no socket", || sim.stats().connections_open == 0).await;
    in_time("start", manager.start()).await.unwrap();
    agreed(&sim, &manager).await;
    assert!(sim.stats().refused.is_empty());
}

#[test]
fn a_start_on_a_runtime_without_timers_or_io_is_an_error_and_changes_nothing() {
    let outside = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let sim = outside.block_on(sim(1, |it| it));
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[256], Mode::Ltp).unwrap();
    let mut stream = manager.stream(StreamConfig::default()).unwrap();
    for (enable, expected) in [
        (Builder::enable_io as fn(&mut Builder) -> &mut Builder, SpawnError::NoTimers),
        (Builder::enable_time, SpawnError::NoIo),
    ] {
        let runtime = enable(&mut Builder::new_current_thread()).build().unwrap();
        let started = runtime.block_on(manager.start());
        assert!(matches!(&started, Err(StartError::Spawn(it)) if *it == expected), "{started:?}");
        let in_place = runtime.block_on(async { manager.start_in_place() });
        assert_eq!(in_place.unwrap_err(), InPlaceError::Spawn(expected));
        assert!(!manager.is_running() && manager.snapshot().connections.is_empty());
    }
    assert_eq!(sim.stats().connections_total, 0);
    outside.block_on(async {
        in_time("a start elsewhere", manager.start()).await.unwrap();
        in_time("the subscription", stream.recv()).await.expect("the stream belongs to this run");
    });
    // A start that does nothing needs neither.
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(manager.start()).unwrap();
}
