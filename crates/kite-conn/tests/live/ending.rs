use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use kite_conn::{
    Batch, Connection, ConnectionConfig, Credentials, Event, EventLane, Liveness, LossCause, Phase,
    Reconnect, Sink, SpawnError, SubscribeError,
};
use kite_sim::{Refusal, Sim};
use kite_wire::Mode;
use tokio::runtime::Builder;

use crate::both_ways;
use crate::probe::{Probe, config, connect, credentials, in_time, sim_until};

both_ways![
    closing_finishes_the_handshake_and_ends_task_and_sink,
    closing_against_a_silent_peer_ends_at_the_deadline,
    closing_does_not_wait_for_a_sink_that_accepts_nothing,
    dropping_the_last_handle_closes_gracefully,
    closing_a_parked_connection_ends_it,
    a_sink_that_panics_is_reported_and_ends_the_connection,
    a_sink_that_panics_while_no_socket_is_open_ends_the_connection_too,
    hundreds_of_connections_leave_nothing_behind,
];

fn is_closed(event: &Event) -> bool {
    matches!(event, Event::Closed { .. })
}

async fn closing_finishes_the_handshake_and_ends_task_and_sink() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    let other = connection.clone();
    let begun = Instant::now();
    in_time("the close", async { tokio::join!(connection.close(), other.close()) }).await;
    assert!(begun.elapsed() < config(&sim).liveness.close_deadline, "the handshake was finished");
    probe.look(|seen| {
        assert!(seen.ended, "the sink is gone");
        assert_eq!(seen.count(is_closed), 1);
        assert!(is_closed(seen.events.last().unwrap()));
        assert_eq!(seen.losses(), 0);
    });
    assert_eq!(connection.status().phase, Phase::Closed);
    assert!(connection.stats().up_since.is_none());
    let stats = connection.stats();
    assert_eq!(stats.frames, stats.frames_delivered);
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    // Later requests have no effect.
    assert_eq!(connection.subscribe(&[257], Mode::Full), Err(SubscribeError::Closed));
    connection.unsubscribe(&[256]);
    assert_eq!(connection.desired(), BTreeMap::from([(256, Mode::Full)]), "it can still be read");
    connection.set_credentials(credentials());
    in_time("a second close", connection.close()).await;
    assert_eq!(sim.stats().connections_total, 1);
}

async fn closing_against_a_silent_peer_ends_at_the_deadline() {
    let sim = Sim::builder().start().await.unwrap();
    let close_deadline = Duration::from_millis(200);
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { close_deadline, ..config(&sim).liveness },
        ..config(&sim)
    });
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    sim.go_silent(true);
    let begun = Instant::now();
    in_time("the close", connection.close()).await;
    assert!(begun.elapsed() >= close_deadline, "the deadline was awaited");
    assert!(probe.look(|seen| seen.ended && seen.count(is_closed) == 1));
}

async fn closing_does_not_wait_for_a_sink_that_accepts_nothing() {
    let sim = Sim::builder().updates_per_second(100.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    probe.take_frames(false);
    let ticks = sim.stats().ticks_sent;
    sim_until(&sim, "back-pressure", |sim| sim.stats().ticks_sent > ticks + 50).await;
    let begun = Instant::now();
    let stopped = in_time("the close", connection.close()).await;
    assert!(begun.elapsed() < config(&sim).liveness.close_deadline, "the server answered");
    let taken = probe.look(|seen| seen.ticks.values().map(|sent| sent.ticks).sum::<u64>());
    assert_eq!(taken + stopped.discarded_ticks, sim.stats().ticks_sent);
    assert_eq!(stopped.unread_frames, Some(stopped.discarded_frames));
    assert!(!stopped.clean && stopped.discarded_frames > 40, "{stopped:?}");
    assert!(probe.look(|seen| seen.ended));
    assert_eq!(connection.status().phase, Phase::Closed);
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

async fn dropping_the_last_handle_closes_gracefully() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    let mut status = connection.watch();
    let clone = connection.clone();
    drop(connection);
    probe.until("ticks", |seen| seen.ticks.values().any(|sent| sent.ticks > 5)).await;
    drop(clone);
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    probe.until("the end", |seen| seen.ended).await;
    assert_eq!(probe.look(|seen| (seen.count(is_closed), seen.losses())), (1, 0));
    in_time("the end", async { while status.changed().await.is_ok() {} }).await;
    assert_eq!(status.borrow().phase, Phase::Closed);
}

async fn closing_a_parked_connection_ends_it() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::auth()));
    let (connection, probe) = connect(config(&sim));
    let parked = |event: &Event| matches!(event, Event::Parked(_));
    probe.until("the park", |seen| seen.count(parked) == 1).await;
    in_time("the close", connection.close()).await;
    assert!(probe.look(|seen| seen.ended && seen.count(is_closed) == 1));
}

#[tokio::test]
async fn a_cancelled_close_still_closes() {
    let sim = Sim::builder().start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
    assert!(connection.close().now_or_never().is_none());
    probe.until("the end", |seen| seen.ended).await;
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test]
async fn closing_a_connection_that_is_opening_leaves_no_socket() {
    let sim = Sim::builder().start().await.unwrap();
    for _ in 0..50 {
        let (connection, probe) = connect(config(&sim));
        in_time("the close", connection.close()).await;
        assert!(probe.look(|seen| seen.ended));
    }
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

async fn a_sink_that_panics_is_reported_and_ends_the_connection() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (probe, lane) = (Probe::new(), EventLane::default());
    let mut events = lane.subscribe();
    let config = ConnectionConfig {
        liveness: Liveness { close_deadline: Duration::from_millis(200), ..config(&sim).liveness },
        ..config(&sim)
    };
    let connection = Connection::spawn(config, credentials(), probe.sink(), &lane, 7).unwrap();
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    probe.panic_at_the_next_frame();
    let mut failed = 0;
    in_time("the end", async {
        loop {
            let tagged = events.recv().await.unwrap();
            assert_eq!(tagged.connection, 7);
            match tagged.event {
                Event::DeliveryFailed => failed += 1,
                Event::Closed { .. } => break,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(failed, 1);
    in_time("the close", connection.close()).await;
    assert_eq!(connection.status().phase, Phase::Closed);
    assert!(connection.stats().up_since.is_none());
    assert!(probe.look(|seen| seen.ended));
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

/// Panics at the first retry.
struct PanicsOnRetry;

impl Sink for PanicsOnRetry {
    fn on_batch(&mut self, _: &Batch) {}

    fn on_event(&mut self, event: &Event) {
        assert!(!matches!(event, Event::Retry { .. }), "this sink panics on a retry");
    }
}

async fn a_sink_that_panics_while_no_socket_is_open_ends_the_connection_too() {
    let sim = Sim::builder().start().await.unwrap();
    sim.refuse_with(Some(Refusal::new(502, "")));
    let reconnect_delay = Duration::from_secs(60 * 60);
    let config = ConnectionConfig {
        reconnect: Reconnect {
            delay: reconnect_delay,
            delay_cap: reconnect_delay,
            jitter_seed: 3,
            ..config(&sim).reconnect
        },
        ..config(&sim)
    };
    let lane = EventLane::default();
    let mut events = lane.subscribe();
    let connection = Connection::spawn(config, credentials(), PanicsOnRetry, &lane, 0).unwrap();
    let mut failed = 0;
    in_time("the end", async {
        loop {
            match events.recv().await.unwrap().event {
                Event::DeliveryFailed => failed += 1,
                Event::Closed { .. } => break,
                _ => {}
            }
        }
    })
    .await;
    assert_eq!(failed, 1);
    assert_eq!(connection.status().phase, Phase::Closed);
    assert_eq!(connection.subscribe(&[256], Mode::Full), Err(SubscribeError::Closed));
}

async fn hundreds_of_connections_leave_nothing_behind() {
    let sim = Sim::builder().start().await.unwrap();
    let metrics = tokio::runtime::Handle::current().metrics();
    let before = metrics.num_alive_tasks();
    for round in 0..300 {
        let (connection, probe) = connect(config(&sim));
        connection.subscribe(&[256, 512], Mode::Full).unwrap();
        probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
        if round % 2 == 0 {
            in_time("the close", connection.close()).await;
        } else {
            drop(connection);
        }
        probe.until("the end", |seen| seen.ended).await;
        sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    }
    assert_eq!(sim.stats().refused.len(), 0);
    in_time("the end of all tasks", async {
        while metrics.num_alive_tasks() > before {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[test]
fn a_runtime_that_shuts_down_closes_the_connection() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (connection, probe, _sim) = runtime.block_on(async {
        let sim = Sim::builder().start().await.unwrap();
        let (connection, probe) = connect(config(&sim));
        sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
        (connection, probe, sim)
    });
    drop(runtime);
    assert_eq!(connection.status().phase, Phase::Closed);
    assert!(probe.look(|seen| seen.ended));
}

#[test]
fn a_panic_elsewhere_that_ends_the_runtime_is_not_a_failed_delivery() {
    let lane = EventLane::default();
    let mut events = lane.subscribe();
    let panicked = std::thread::spawn(move || {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        let _connection = runtime.block_on(async {
            let (config, sink) = (ConnectionConfig::default(), Probe::new().sink());
            Connection::spawn(config, credentials(), sink, &lane, 0).unwrap()
        });
        panic!("not the sink's fault");
    });
    assert!(panicked.join().is_err());
    let received: Vec<Event> =
        std::iter::from_fn(|| events.try_recv().ok()).map(|tagged| tagged.event).collect();
    assert!(received.iter().all(|event| !matches!(event, Event::DeliveryFailed)), "{received:?}");
    assert!(matches!(received.last(), Some(Event::Closed { .. })), "{received:?}");
}

#[test]
fn a_runtime_without_timers_or_io_is_an_error() {
    for (enable, expected) in [
        (Builder::enable_io as fn(&mut Builder) -> &mut Builder, SpawnError::NoTimers),
        (Builder::enable_time, SpawnError::NoIo),
    ] {
        let runtime = enable(&mut Builder::new_current_thread()).build().unwrap();
        let (lane, probe) = (EventLane::default(), Probe::new());
        let mut events = lane.subscribe();
        let spawned = runtime.block_on(async {
            Connection::spawn(ConnectionConfig::default(), credentials(), probe.sink(), &lane, 0)
        });
        assert_eq!(spawned.unwrap_err(), expected);
        assert!(events.try_recv().is_err(), "nothing was started");
        assert!(runtime.block_on(async { Connection::runtime() }).is_err());
    }
}

#[test]
fn a_setting_outside_its_range_is_an_error() {
    let config = ConnectionConfig {
        reconnect: Reconnect { delay: Duration::ZERO, ..Default::default() },
        ..Default::default()
    };
    let (sink, lane) = (Probe::new().sink(), EventLane::default());
    let result = Connection::spawn(config, credentials(), sink, &lane, 0);
    let Err(SpawnError::Config(error)) = result else { panic!("{result:?}") };
    assert_eq!(error.to_string(), "reconnect.delay is 0ns; it must be above 0 and at most a day");
}

#[test]
fn without_a_runtime_a_connection_is_an_error() {
    let (config, credentials) = (ConnectionConfig::default(), Credentials::new("k", "t"));
    let (sink, lane) = (Probe::new().sink(), EventLane::default());
    let result = Connection::spawn(config, credentials, sink, &lane, 0);
    assert!(matches!(result, Err(SpawnError::NoRuntime)));
}

#[test]
fn causes_of_loss_are_one_line() {
    let closed = |reason: &str| LossCause::CloseFrame { code: 1_001, reason: reason.to_owned() };
    assert_eq!(closed("").to_string(), "the server closed with code 1001");
    assert_eq!(closed("restart").to_string(), "the server closed with code 1001: restart");
    let silence = LossCause::Silence { silence: Duration::from_millis(20_049) };
    assert_eq!(silence.to_string(), "nothing was received for 20.0s, not even a pong");
}
