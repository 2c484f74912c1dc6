use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use kite_conn::{
    Admission, AdmissionFuture, Connection, ConnectionConfig, Event, Liveness, LossCause,
    OpenError, Pacer, Phase, SubscribeError,
};
use kite_sim::{Sim, universe};
use kite_wire::Mode;

use crate::both_ways;
use crate::probe::{config, connect, credentials, in_time, sim_until};

both_ways![
    instruments_requested_during_the_handshake_count_as_requested,
    every_tick_arrives_exactly_once,
    a_lost_socket_restores_every_instrument_in_its_mode,
    a_close_by_the_server_is_reported_with_its_code_and_reconnects,
    a_half_open_socket_is_detected_and_replaced,
    a_slow_sink_is_not_a_dead_peer_and_loses_nothing,
    a_flood_faster_than_the_sink_is_throttled_and_loses_nothing,
    a_peer_that_died_during_a_pause_is_detected_after_it,
    pongs_without_a_feed_are_reported_and_tolerated_longer_each_time,
];

/// Returns `count` instruments, alternating between the three modes.
fn mixed(count: usize) -> BTreeMap<u32, Mode> {
    universe(count).into_iter().zip(Mode::ALL.into_iter().cycle()).collect()
}

fn changes(modes: &BTreeMap<u32, Mode>) -> impl Iterator<Item = (u32, Option<Mode>)> {
    modes.iter().map(|(&token, &mode)| (token, Some(mode)))
}

async fn every_tick_arrives_exactly_once() {
    let sim = Sim::builder().updates_per_second(20.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    let desired = mixed(300);
    connection.apply(changes(&desired)).unwrap();
    assert_eq!(connection.desired(), desired);
    sim_until(&sim, "some ticks", |sim| sim.stats().ticks_sent > 3_000).await;
    assert_eq!(sim.subscriptions(), [desired]);
    in_time("a pause", sim.pause()).await;
    let sent = sim.sent();
    probe.until("every tick", |seen| seen.ticks == sent).await;

    let (status, stats) = (connection.status(), connection.stats());
    assert_eq!((status.phase, status.epoch), (Phase::Live, 1));
    assert!(status.last_failure.is_none() && status.parked.is_none());
    assert_eq!((stats.connects, stats.losses, stats.errors), (1, 0, 0));
    assert!(stats.up_since.is_some() && stats.last_message >= stats.up_since);
    assert_eq!(stats.ticks, sent.values().map(|sent| sent.ticks).sum::<u64>());
    assert!(stats.mean_latency() > Duration::ZERO);
    assert_eq!(probe.look(|seen| seen.count(|event| matches!(event, Event::Text { .. }))), 2);
    connection.close().await;
}

async fn a_lost_socket_restores_every_instrument_in_its_mode() {
    let sim = Sim::builder().greet(false).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    let desired = mixed(500);
    connection.apply(changes(&desired)).unwrap();
    for epoch in 1..=5 {
        sim_until(&sim, "subscriptions", |sim| sim.subscriptions() == [desired.clone()]).await;
        probe.until("ticks of this socket", |seen| seen.epoch == epoch).await;
        assert_eq!(connection.status().epoch, epoch);
        sim.drop_all();
        probe.until("the loss", |seen| seen.losses() == epoch as usize).await;
    }
    sim_until(&sim, "subscriptions", |sim| sim.subscriptions() == [desired.clone()]).await;
    assert_eq!(connection.stats().losses, 5);
    // The events of a loss and the recovery, in order.
    let story: Vec<String> = probe.look(|seen| {
        let events = seen.events.iter().skip_while(|event| !matches!(event, Event::Down { .. }));
        events.take(4).map(|event| format!("{event:?}")).collect()
    });
    let starts = ["Down { epoch: 1", "Retry { attempt: 2", "Opening { attempt: 2", "Up { epoch: 2"];
    assert_eq!(story.len(), starts.len());
    for (event, start) in story.iter().zip(starts) {
        assert!(event.starts_with(start), "{story:?}");
    }
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_made_while_the_server_is_away_are_sent_when_it_is_back() {
    let sim = Sim::builder().start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256, 257, 258], Mode::Full).unwrap();
    sim_until(&sim, "subscriptions", |sim| sim.subscriptions().iter().any(|s| s.len() == 3)).await;
    sim.refuse_with(Some(kite_sim::Refusal::new(502, "<html>")));
    sim.drop_all();
    probe
        .until("a refusal", |seen| seen.count(|e| matches!(e, Event::OpenFailed { .. })) > 0)
        .await;
    connection.unsubscribe(&[256]);
    connection.subscribe(&[257], Mode::Ltp).unwrap();
    connection.subscribe(&[512], Mode::Quote).unwrap();
    let desired = BTreeMap::from([(257, Mode::Ltp), (258, Mode::Full), (512, Mode::Quote)]);
    assert_eq!(connection.desired(), desired);
    sim.refuse_with(None);
    sim_until(&sim, "the new set", |sim| sim.subscriptions() == [desired.clone()]).await;
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_from_many_tasks_end_in_their_union() {
    let sim = Sim::builder().updates_per_second(0.0).start().await.unwrap();
    let (connection, _probe) = connect(config(&sim));
    let tasks: Vec<_> = universe(400)
        .chunks(50)
        .map(|tokens| (connection.clone(), tokens.to_vec()))
        .map(|(connection, tokens)| {
            tokio::spawn(async move {
                for token in tokens {
                    connection.subscribe(&[token], Mode::Quote).unwrap();
                    tokio::task::yield_now().await;
                    connection.subscribe(&[token], Mode::Full).unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let desired: BTreeMap<u32, Mode> =
        universe(400).into_iter().map(|token| (token, Mode::Full)).collect();
    assert_eq!(connection.desired(), desired);
    sim_until(&sim, "the union", |sim| sim.subscriptions() == [desired.clone()]).await;
    connection.close().await;
}

#[tokio::test]
async fn a_request_above_the_limit_is_rejected_as_a_whole_before_it_is_sent() {
    let sim = Sim::builder().updates_per_second(0.0).start().await.unwrap();
    let (connection, _probe) = connect(config(&sim));
    let tokens = universe(3_001);
    connection.subscribe(&tokens[..2_990], Mode::Quote).unwrap();
    let error = connection.subscribe(&tokens[2_980..], Mode::Full).unwrap_err();
    let SubscribeError::Capacity(room) = error else { panic!("{error:?}") };
    assert_eq!((room.asked, room.free, room.limit), (11, 10, 3_000));
    assert_eq!(connection.desired().len(), 2_990);
    assert!(connection.desired().values().all(|&mode| mode == Mode::Quote));
    connection.subscribe(&tokens[2_980..3_000], Mode::Quote).unwrap();
    sim_until(&sim, "all", |sim| sim.subscriptions().iter().any(|s| s.len() == 3_000)).await;
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_credentials_do_not_affect_an_open_socket() {
    let sim = Sim::builder().updates_per_second(100.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    connection.set_credentials(credentials().with_access_token("of tomorrow"));
    let frames = probe.look(|seen| seen.frames);
    probe.until("more ticks", |seen| seen.frames > frames + 20).await;
    assert_eq!((connection.stats().connects, connection.stats().losses), (1, 0));
    connection.close().await;
}

async fn a_close_by_the_server_is_reported_with_its_code_and_reconnects() {
    let sim = Sim::builder().start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    sim.close_all(1_001);
    let closed = |event: &Event| matches!(event, Event::Down { cause: LossCause::CloseFrame { code: 1_001, reason }, .. } if reason.is_empty());
    probe.until("the close frame", |seen| seen.count(closed) == 1).await;
    probe.until("ticks again", |seen| seen.epoch == 2).await;
    connection.close().await;
}

async fn a_half_open_socket_is_detected_and_replaced() {
    let beat = Duration::from_millis(20);
    let sim = Sim::builder().heartbeat_every(beat).start().await.unwrap();
    let silence_threshold = Duration::from_millis(100);
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold, ..config(&sim).liveness },
        ..config(&sim)
    });
    let desired = mixed(30);
    connection.apply(changes(&desired)).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 30).await;
    let before = (connection.status().epoch, probe.look(|seen| seen.losses()));
    let pings = sim.stats().pings_received;
    sim.go_silent(true);
    probe.until("the loss", |seen| seen.losses() > before.1).await;
    let cause = probe.look(|seen| {
        seen.events.iter().rev().find_map(|event| match event {
            Event::Down { cause, .. } => Some(cause.clone()),
            _ => None,
        })
    });
    match cause {
        Some(LossCause::Silence { silence }) => {
            assert!(silence >= 2 * silence_threshold, "{silence:?}");
        }
        other => panic!("{other:?}"),
    }
    assert!(sim.stats().pings_received > pings, "it was pinged");
    probe.until("ticks of another socket", |seen| seen.epoch > before.0).await;
    sim_until(&sim, "subscriptions", |sim| sim.subscriptions().contains(&desired)).await;
    connection.close().await;
}

async fn a_slow_sink_is_not_a_dead_peer_and_loses_nothing() {
    let beat = Duration::from_millis(20);
    let sim = Sim::builder().heartbeat_every(beat).start().await.unwrap();
    let silence_threshold = Duration::from_millis(300);
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold, ..config(&sim).liveness },
        ..config(&sim)
    });
    connection.apply(changes(&mixed(30))).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 30).await;
    probe.take_frames(false);
    // Heartbeats for three times as long as would end the socket.
    let beats = sim.stats().heartbeats_sent;
    sim_until(&sim, "90 beats", |sim| sim.stats().heartbeats_sent >= beats + 90).await;
    let stats = connection.stats();
    assert_eq!(stats.losses, 0);
    assert!(stats.frames - stats.frames_delivered <= 1, "{stats:?}");
    probe.take_frames(true);
    in_time("a pause", sim.pause()).await;
    let sent = sim.sent();
    probe.until("every tick", |seen| seen.ticks == sent).await;
    assert_eq!(connection.stats().losses, 0);
    connection.close().await;
}

async fn a_flood_faster_than_the_sink_is_throttled_and_loses_nothing() {
    let sim = Sim::builder().updates_per_second(100.0).start().await.unwrap();
    let (connection, probe) = connect(config(&sim));
    connection.subscribe(&universe(3_000), Mode::Full).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 3_000).await;
    probe.take_frames(false);
    // 300,000 ticks per second are due. Once none are sent any more, TCP holds the server back.
    in_time("back-pressure", async {
        loop {
            let sent = sim.stats().ticks_sent;
            let another = sim.wait_until(|sim| sim.stats().ticks_sent > sent);
            if tokio::time::timeout(Duration::from_millis(300), another).await.is_err() {
                break;
            }
        }
    })
    .await;
    let stats = connection.stats();
    assert!(stats.frames - stats.frames_delivered <= 1, "{stats:?}");
    probe.take_frames(true);
    in_time("a pause", sim.pause()).await;
    let sent = sim.sent();
    probe.until("every tick", |seen| seen.ticks == sent).await;
    assert_eq!(connection.stats().losses, 0);
    connection.close().await;
}

async fn a_peer_that_died_during_a_pause_is_detected_after_it() {
    let beat = Duration::from_millis(20);
    let sim = Sim::builder().heartbeat_every(beat).start().await.unwrap();
    let silence_threshold = Duration::from_millis(300);
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold, ..config(&sim).liveness },
        ..config(&sim)
    });
    probe.until("heartbeats", |seen| seen.heartbeats > 3).await;
    probe.take_frames(false);
    let beats = sim.stats().heartbeats_sent;
    sim_until(&sim, "20 beats", |sim| sim.stats().heartbeats_sent >= beats + 20).await;
    sim.go_silent(true);
    let pings = sim.stats().pings_received;
    probe.take_frames(true);
    let silent =
        |event: &Event| matches!(event, Event::Down { cause: LossCause::Silence { .. }, .. });
    probe.until("the loss", |seen| seen.count(silent) > 0).await;
    assert!(sim.stats().pings_received > pings, "it was pinged");
    connection.close().await;
}

async fn pongs_without_a_feed_are_reported_and_tolerated_longer_each_time() {
    let sim = Sim::builder().no_heartbeats().start().await.unwrap();
    let silence_threshold = Duration::from_millis(100);
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold, ..config(&sim).liveness },
        ..config(&sim)
    });
    let dead =
        |event: &Event| matches!(event, Event::Down { cause: LossCause::FeedSilence { .. }, .. });
    probe.until("two silent feeds", |seen| seen.count(dead) == 2).await;
    let silence = |event: &Event| match event {
        Event::FeedSilent { grace, .. } => Some((*grace, None)),
        Event::Down { cause: LossCause::FeedSilence { silence }, .. } => {
            Some((Duration::ZERO, Some(*silence)))
        }
        _ => None,
    };
    let silences: Vec<_> = probe.look(|seen| seen.events.iter().filter_map(silence).collect());
    let [(first_grace, None), (_, Some(first)), (second_grace, None), (_, Some(second))] =
        silences[..4]
    else {
        panic!("{silences:?}")
    };
    assert!(first >= 2 * silence_threshold && second >= 4 * silence_threshold, "{silences:?}");
    assert!(first_grace < second_grace, "{silences:?}");
    assert!(sim.stats().pings_received >= 3, "the path was verified meanwhile");
    assert!(connection.stats().round_trip.is_some());
    connection.close().await;
}

/// A thread that does not return to the runtime must not end the socket either.
#[test]
fn a_delayed_runtime_reads_what_arrived_before_it_checks_for_silence() {
    let threads =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let beat = Duration::from_millis(20);
    let sim = threads.block_on(Sim::builder().heartbeat_every(beat).start()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let silence_threshold = Duration::from_millis(300);
        let (connection, probe) = connect(ConnectionConfig {
            liveness: Liveness { silence_threshold, ..config(&sim).liveness },
            ..config(&sim)
        });
        probe.until("heartbeats", |seen| seen.heartbeats > 3).await;
        for token in 256..260 {
            std::thread::sleep(3 * silence_threshold);
            // A request wakes the connection along with what arrived meanwhile.
            connection.subscribe(&[token], Mode::Full).unwrap();
            let before = probe.look(|seen| seen.heartbeats);
            probe.until("more heartbeats", |seen| seen.heartbeats > before).await;
        }
        assert_eq!(probe.look(|seen| seen.losses()), 0);
        connection.close().await;
    });
}

/// Requests instruments at the moment a handshake is done.
#[derive(Debug, Clone, Default)]
struct Requests(Arc<OnceLock<Connection>>);

impl Pacer for Requests {
    fn admit(&self) -> AdmissionFuture {
        let requests = self.clone();
        Box::pin(async {
            while requests.0.get().is_none() {
                tokio::task::yield_now().await;
            }
            Box::new(requests) as Box<dyn Admission>
        })
    }
}

impl Admission for Requests {
    fn on_opened(&mut self) {
        let connection = self.0.get().unwrap();
        connection.subscribe(&[256, 257, 513], Mode::Full).unwrap();
    }

    fn on_failed(&mut self, error: &OpenError) {
        panic!("{error}");
    }
}

async fn instruments_requested_during_the_handshake_count_as_requested() {
    let sim = Sim::builder().start().await.unwrap();
    let requests = Requests::default();
    let pacer: Arc<dyn Pacer> = Arc::new(requests.clone());
    let (connection, probe) = connect(ConnectionConfig { pacer: Some(pacer), ..config(&sim) });
    requests.0.set(connection.clone()).unwrap();
    probe.until("the socket", |seen| seen.events.len() >= 2).await;
    probe.look(|seen| {
        let up = &seen.events[1];
        assert!(matches!(up, Event::Up { epoch: 1, instruments: 3 }), "{up:?}");
    });
    in_time("the close", connection.close()).await;
}
