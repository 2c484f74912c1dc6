//! The tolerated length of a silence, and what does not count as silence of the peer.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use kite_conn::{
    Connection, ConnectionConfig, Event, EventLane, LaneConfig, LaneItem, Liveness, LossCause, lane,
};
use kite_sim::{API_KEY, Fault, Sim, SimBuilder, universe};
use kite_wire::Mode;

use crate::both_ways;
use crate::probe::{Probe, Seen, config, connect, credentials, in_time, sim_until};
use crate::story::{changes, expect_events, gaps, mixed, story};

const THRESHOLD: Duration = Duration::from_millis(200);
/// How late a busy machine may be.
const SLACK: Duration = Duration::from_millis(250);

both_ways![
    a_half_open_socket_is_detected_at_twice_the_threshold,
    a_snapshot_that_takes_many_times_the_threshold_arrives_whole,
    a_feed_of_pongs_is_tolerated_longer_each_time_until_one_flows,
    heartbeats_alone_are_stale_and_do_not_reconnect,
    a_request_is_delivered_once_a_server_that_stopped_reading_resumes,
];

fn sim() -> SimBuilder {
    Sim::builder().greet(false).heartbeat_every(Duration::from_millis(20)).updates_per_second(20.0)
}

async fn a_half_open_socket_is_detected_at_twice_the_threshold() {
    let sim = sim().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    connection.apply(changes(&mixed(30))).unwrap();
    for epoch in 1..=4 {
        probe.until("ticks", |seen| seen.epoch == epoch && seen.ticks.len() == 30).await;
        let pings = sim.stats().pings_received;
        sim.inject(API_KEY, if epoch % 2 == 1 { Fault::HalfOpen } else { Fault::Stalls });
        probe.until("the gap", |seen| gaps(seen).len() == epoch as usize).await;
        let gap = probe.look(|seen| gaps(seen).pop().unwrap());
        let detection = gap.lost.since(gap.last_heard);
        assert!(detection >= 2 * THRESHOLD, "{detection:?}");
        assert!(detection < 2 * THRESHOLD + SLACK, "{detection:?}");
        if epoch % 2 == 1 {
            assert_eq!(sim.stats().pings_received, pings + 1, "pinged once");
        }
    }
    let silences = probe.look(|seen| {
        seen.count(|event| {
            matches!(event, Event::Down { cause: LossCause::Silence { silence }, .. }
                if *silence >= 2 * THRESHOLD)
        })
    });
    assert_eq!(silences, 4);
    connection.close().await;
}

async fn a_snapshot_that_takes_many_times_the_threshold_arrives_whole() {
    let sim = sim().updates_per_second(0.0).start().await.unwrap();
    let bytes_per_second = NonZeroU32::new(50_000).unwrap();
    sim.at_next_handshake(API_KEY, Fault::SlowLink { bytes_per_second });
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    let started = Instant::now();
    let tokens = universe(500);
    connection.subscribe(&tokens, Mode::Full).unwrap();
    // Kite sends one for the bare subscribe, in quote mode, and one for the mode.
    let whole = |seen: &Seen| {
        seen.ticks.len() == tokens.len() && seen.ticks.values().all(|sent| sent.ticks == 2)
    };
    probe.until("both snapshots", whole).await;
    // 93,000 bytes, which the simulator sends in 1.9 s.
    assert!(started.elapsed() >= 8 * THRESHOLD, "{:?}", started.elapsed());
    // The heartbeats that the frame delayed follow.
    let beats = probe.look(|seen| seen.heartbeats);
    probe.until("heartbeats", |seen| seen.heartbeats > beats).await;
    assert_eq!(probe.look(story), ["opening 1", "up 1"]);
    connection.close().await;
}

async fn a_feed_of_pongs_is_tolerated_longer_each_time_until_one_flows() {
    let sim = sim().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    connection.subscribe(&[257], Mode::Full).unwrap();
    probe.until("ticks", |seen| !seen.ticks.is_empty()).await;
    sim.at_next_handshake(API_KEY, Fault::PongsOnly);
    sim.inject(API_KEY, Fault::PongsOnly);
    let silent = ["feed silent", "down 1: feed silence", "retry 2", "opening 2", "up 2"];
    let longer = ["feed silent", "gap 1→2", "down 2: feed silence", "retry 3", "opening 3", "up 3"];
    expect_events(&probe, 2, &silent).await;
    expect_events(&probe, 7, &longer).await;
    expect_events(&probe, 13, &["gap 2→3"]).await;
    let graces = |probe: &Probe| -> Vec<Duration> {
        let grace = |event: &Event| match event {
            Event::FeedSilent { grace, silence } => {
                assert!(*silence >= 2 * THRESHOLD && *silence < 2 * THRESHOLD + SLACK);
                Some(*grace)
            }
            _ => None,
        };
        probe.look(|seen| seen.events.iter().filter_map(grace).collect())
    };
    let found = graces(&probe);
    assert_eq!(found[0], Duration::ZERO, "{found:?}");
    assert!(found[1] > THRESHOLD && found[1] <= 2 * THRESHOLD, "{found:?}");
    // After a feed that flowed for twice the threshold, the tolerance starts over.
    let beats = sim.stats().heartbeats_sent;
    sim_until(&sim, "a flow", |sim| sim.stats().heartbeats_sent > beats + 60).await;
    sim.at_next_handshake(API_KEY, Fault::PongsOnly);
    sim.close_all(1_001);
    let silent = |seen: &Seen| story(seen).contains(&"down 4: feed silence".into());
    probe.until("another silence", silent).await;
    assert_eq!(graces(&probe)[2], Duration::ZERO);
    connection.close().await;
}

async fn heartbeats_alone_are_stale_and_do_not_reconnect() {
    let sim = sim().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness {
            silence_threshold: THRESHOLD,
            stale_after: THRESHOLD,
            ..config(&sim).liveness
        },
        ..config(&sim)
    });
    // Without subscriptions nothing is stale.
    let beats = |count: u64| {
        let beats = sim.stats().heartbeats_sent + count;
        sim_until(&sim, "heartbeats", move |sim| sim.stats().heartbeats_sent >= beats)
    };
    beats(30).await;
    assert_eq!(probe.look(story), ["opening 1", "up 1"]);
    connection.subscribe(&[257, 513], Mode::Full).unwrap();
    probe.until("ticks", |seen| seen.ticks.len() == 2).await;
    sim.inject(API_KEY, Fault::HeartbeatsOnly);
    // Waits for six times the silence that would end the socket.
    beats(120).await;
    expect_events(&probe, 2, &["stale"]).await;
    sim.heal(API_KEY);
    expect_events(&probe, 2, &["stale", "resumed"]).await;
    probe.look(|seen| {
        let [Event::TicksStale { silence, instruments: 2 }, Event::TicksResumed { silence: whole }] =
            &seen.events[2..]
        else {
            panic!("{seen:?}")
        };
        assert!(*silence >= THRESHOLD && *silence < THRESHOLD + SLACK, "{silence:?}");
        assert!(*whole >= 10 * THRESHOLD, "{whole:?}");
    });
    assert_eq!(connection.stats().losses, 0);
    connection.close().await;
}

async fn a_request_is_delivered_once_a_server_that_stopped_reading_resumes() {
    let sim = sim().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    let before = mixed(30);
    connection.apply(changes(&before)).unwrap();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [before.clone()]).await;
    sim.inject(API_KEY, Fault::StopsReading);
    sim_until(&sim, "the fault", |sim| !sim.stats().faults.is_empty()).await;
    let tokens: Vec<u32> = before.keys().copied().collect();
    connection.unsubscribe(&tokens[..10]);
    connection.subscribe(&tokens[5..20], Mode::Quote).unwrap();
    let beats = sim.stats().heartbeats_sent;
    sim_until(&sim, "time", |sim| sim.stats().heartbeats_sent > beats + 30).await;
    assert_eq!(sim.subscriptions(), [before]);
    sim.heal(API_KEY);
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    assert_eq!(probe.look(story), ["opening 1", "up 1"], "a peer whose feed flows is not dead");
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_accepts_no_bytes_is_replaced_even_if_its_feed_flows() {
    let sim = sim().start().await.unwrap();
    let (connection, probe) = connect(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
    sim.inject(API_KEY, Fault::StopsReading);
    let tokens = universe(3_000);
    in_time("the loss", async {
        // Until the buffers of both ends are full.
        for mode in Mode::ALL.into_iter().cycle() {
            connection.subscribe(&tokens, mode).unwrap();
            let beats = probe.look(|seen| seen.heartbeats);
            probe.until("a heartbeat", |seen| seen.heartbeats > beats).await;
            if probe.look(|seen| seen.losses()) > 0 {
                break;
            }
        }
    })
    .await;
    probe.look(|seen| {
        let blocked = |event: &Event| {
            matches!(event, Event::Down { cause: LossCause::WriteBlocked { blocked }, .. }
                if *blocked >= 2 * THRESHOLD && *blocked < 2 * THRESHOLD + SLACK)
        };
        assert_eq!(seen.count(blocked), 1, "{:?}", story(seen));
    });
    let desired = connection.desired();
    sim_until(&sim, "all", |sim| sim.subscriptions() == [desired.clone()]).await;
    connection.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_blocks_for_many_times_the_threshold_does_not_end_the_socket() {
    let sim = sim().start().await.unwrap();
    let (sink, mut lane) = lane(LaneConfig { frames: 2, ..LaneConfig::default() }).unwrap();
    let event_lane = EventLane::default();
    let mut events = event_lane.subscribe();
    let config = ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    };
    let connection = Connection::spawn(config, credentials(), sink, &event_lane, 0).unwrap();
    connection.apply(changes(&mixed(30))).unwrap();
    in_time("the socket", lane.recv()).await.unwrap();
    // Ten times the silence that would end the socket.
    let beats = sim.stats().heartbeats_sent;
    sim_until(&sim, "time", |sim| sim.stats().heartbeats_sent >= beats + 200).await;
    assert_eq!(lane.stats().queued_frames, 2);
    let mut sequence = 0;
    for _ in 0..40 {
        let item = in_time("a tick", lane.recv()).await.unwrap();
        let LaneItem::Batch(batch) = item else { panic!("{item:?}") };
        assert!(batch.sequence > sequence && batch.epoch == 1);
        sequence = batch.sequence;
    }
    assert_eq!(connection.stats().losses, 0);
    let words: Vec<String> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|tagged| crate::story::word(&tagged.event))
        .collect();
    assert_eq!(words, ["opening 1", "up 1"]);

    // After the pause the socket is watched again.
    sim.inject(API_KEY, Fault::HalfOpen);
    let loss = async {
        loop {
            tokio::select! {
                item = lane.recv() => assert!(item.is_some()),
                event = events.recv() => {
                    if let Event::Down { cause, .. } = event.unwrap().event {
                        break cause;
                    }
                }
            }
        }
    };
    let cause = in_time("the loss", loss).await;
    assert!(matches!(cause, LossCause::Silence { .. }), "{cause}");
    drop(lane);
    connection.close().await;
}
