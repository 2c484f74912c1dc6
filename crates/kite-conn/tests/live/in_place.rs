//! Connections without a task, whose stream drives the socket. Covers only what is special to them.
//! The other behaviour is covered by the tests that run both ways.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::{Either, select};
use futures_util::{FutureExt, StreamExt};
use kite_conn::{
    Batch, Connection, ConnectionConfig, Event, EventLane, EventReceiver, InPlace, LaneConfig,
    LaneItem, Liveness, LossCause, Overflow, Phase, SubscribeError, lane,
};
use kite_sim::{API_KEY, Chain, Fault, Sent, Sim, universe};
use kite_wire::Mode;

use crate::probe::{Probe, config, credentials, in_time, sim_until};
use crate::story::{changes, mixed, word};

const BEAT: Duration = Duration::from_millis(20);
const THRESHOLD: Duration = Duration::from_millis(300);

type Events = EventReceiver;

fn in_place(config: ConnectionConfig) -> (Connection, InPlace, Events) {
    let lane = EventLane::default();
    let events = lane.subscribe();
    let (connection, stream) = Connection::in_place(config, credentials(), &lane, 7).unwrap();
    (connection, stream, events)
}

/// Totals of what a stream yields.
#[derive(Debug, Default)]
struct Received {
    ticks: BTreeMap<u32, Sent>,
    sockets: BTreeMap<u32, (usize, Chain)>,
    sequence: u64,
}

impl Received {
    fn add(&mut self, batch: &Batch) {
        assert!(batch.sequence > self.sequence, "out of order");
        assert!(batch.frame().len() > 1, "a heartbeat");
        self.sequence = batch.sequence;
        let (frames, chain) = self.sockets.entry(batch.epoch).or_default();
        *frames += 1;
        chain.add(batch.frame());
        for packet in batch.ticks.packets() {
            self.ticks.entry(packet.instrument_token()).or_default().add(packet.as_bytes());
        }
    }

    /// Receives frames until a condition holds, which is checked after each.
    async fn until(&mut self, what: &str, stream: &mut InPlace, holds: impl Fn(&Self) -> bool) {
        in_time(what, async {
            while !holds(self) {
                self.add(&stream.recv().await.unwrap());
            }
        })
        .await;
    }

    /// Receives frames while waiting for something else.
    async fn during<T>(&mut self, stream: &mut InPlace, other: impl Future<Output = T>) -> T {
        let mut other = std::pin::pin!(other.fuse());
        loop {
            let receiving = std::pin::pin!(stream.recv());
            match select(&mut other, receiving).await {
                Either::Left((output, _)) => return output,
                Either::Right((batch, _)) => self.add(&batch.unwrap()),
            }
        }
    }
}

fn words(events: &mut Events) -> Vec<String> {
    std::iter::from_fn(|| events.try_recv().ok())
        .map(|tagged| {
            assert_eq!(tagged.connection, 7);
            word(&tagged.event)
        })
        .collect()
}

/// Waits for some heartbeats without polling the stream.
async fn away(sim: &Sim, beats: u64) {
    let beats = sim.stats().heartbeats_sent + beats;
    sim_until(sim, "time", |sim| sim.stats().heartbeats_sent >= beats).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_stream_yields_what_was_sent_in_order_and_nothing_happens_without_it() {
    let sim = Sim::builder().greet(false).heartbeat_every(BEAT).updates_per_second(20.0);
    let sim = sim.start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(config(&sim));
    let desired = mixed(300);
    connection.apply(changes(&desired)).unwrap();
    assert_eq!((connection.status().phase, words(&mut events).len()), (Phase::Opening, 0));
    assert_eq!(sim.stats().connections_total, 0, "the stream was not polled");
    let mut received = Received::default();
    let enough = sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > 3_000);
    received.during(&mut stream, enough).await;
    assert_eq!(sim.subscriptions(), [desired]);
    received.during(&mut stream, sim.pause()).await;
    let sent = sim.sent();
    received.until("every tick", &mut stream, |received| received.ticks == sent).await;
    let record = &sim.sockets(API_KEY)[0];
    assert_eq!(received.sockets[&1], (record.frames(), record.chain()));
    let stats = connection.stats();
    assert_eq!((stats.connects, stats.losses, stats.errors), (1, 0, 0));
    assert_eq!(stats.frames, stats.frames_delivered);
    assert_eq!(stats.ticks, sim.stats().ticks_sent);
    assert!(stats.heartbeats > 0 && stats.frames == stats.heartbeats + record.frames() as u64);
    assert_eq!(words(&mut events), ["opening 1", "up 1"]);
    in_time("the close", stream.close()).await;
    assert_eq!(words(&mut events), ["closed"]);
    assert_eq!(connection.status().phase, Phase::Closed);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_socket_is_replaced_with_every_mode_and_one_gap() {
    let sim = Sim::builder().greet(false).updates_per_second(20.0).start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(config(&sim));
    let desired = mixed(500);
    connection.apply(changes(&desired)).unwrap();
    let mut received = Received::default();
    for epoch in 1..=3 {
        let agreed = sim_until(&sim, "modes", |sim| sim.subscriptions() == [desired.clone()]);
        received.during(&mut stream, agreed).await;
        let ticks = |received: &Received| received.sockets.get(&epoch).is_some_and(|it| it.0 > 3);
        received.until("ticks", &mut stream, ticks).await;
        sim.drop_all();
    }
    received.until("ticks", &mut stream, |received| received.sockets.contains_key(&4)).await;
    let settled = async {
        let mut gaps = 0;
        while gaps < 3 {
            gaps += usize::from(matches!(events.recv().await.unwrap().event, Event::Gap(_)));
        }
    };
    received.during(&mut stream, in_time("three gaps", settled)).await;
    assert_eq!(sim.subscriptions(), [desired]);
    assert_eq!((connection.stats().losses, connection.status().epoch), (3, 4));
    assert!(!words(&mut events).iter().any(|word| word.starts_with("gap")), "one for each loss");
    stream.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_detected_and_replaced_by_polling_alone() {
    let sim = Sim::builder().heartbeat_every(BEAT).start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(ConnectionConfig {
        liveness: Liveness { silence_threshold: THRESHOLD, ..config(&sim).liveness },
        ..config(&sim)
    });
    connection.subscribe(&[257], Mode::Full).unwrap();
    let mut received = Received::default();
    received.until("ticks", &mut stream, |received| !received.ticks.is_empty()).await;
    sim.inject(API_KEY, Fault::HalfOpen);
    let loss = async {
        loop {
            if let Event::Down { cause, .. } = events.recv().await.unwrap().event {
                break cause;
            }
        }
    };
    let cause = received.during(&mut stream, in_time("the loss", loss)).await;
    assert!(matches!(cause, LossCause::Silence { silence } if silence >= 2 * THRESHOLD), "{cause}");
    assert!(sim.stats().pings_received > 0);
    received
        .until("another socket", &mut stream, |received| received.sockets.contains_key(&2))
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consumer_that_was_away_reads_before_it_checks_for_silence() {
    let sim = Sim::builder().greet(false).heartbeat_every(BEAT).updates_per_second(20.0);
    let sim = sim.start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(ConnectionConfig {
        liveness: Liveness {
            silence_threshold: THRESHOLD,
            stale_after: BEAT * 3,
            ..config(&sim).liveness
        },
        ..config(&sim)
    });
    connection.apply(changes(&mixed(30))).unwrap();
    let mut received = Received::default();
    received.until("ticks", &mut stream, |received| received.ticks.len() == 30).await;
    away(&sim, 20).await;
    received.add(&in_time("a frame", stream.recv()).await.unwrap());
    // Events so far may be due to a slow machine. Frames now wait, so that the consumer is away and
    // not the server, at every point of a turn.
    words(&mut events);
    let mut pings = sim.stats().pings_received;
    for beats in [4; 40].into_iter().chain([20]) {
        away(&sim, beats).await;
        let Some(batch) = stream.recv().now_or_never().flatten() else {
            // The machine is so busy that nothing has arrived, so this silence is real.
            received.add(&in_time("a frame", stream.recv()).await.unwrap());
            words(&mut events);
            pings = sim.stats().pings_received;
            continue;
        };
        received.add(&batch);
        assert_eq!(words(&mut events), [""; 0]);
        assert_eq!(
            sim.stats().pings_received,
            pings,
            "a server that has sent frames is not pinged"
        );
    }
    received.during(&mut stream, sim.pause()).await;
    let sent = sim.sent();
    received.until("every tick", &mut stream, |received| received.ticks == sent).await;
    assert_eq!(connection.stats().losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_consumer_throttles_the_server_and_loses_nothing() {
    let sim = Sim::builder().updates_per_second(100.0).start().await.unwrap();
    let (connection, mut stream, _events) = in_place(config(&sim));
    connection.subscribe(&universe(3_000), Mode::Full).unwrap();
    let mut received = Received::default();
    received.until("ticks", &mut stream, |received| received.ticks.len() == 3_000).await;
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
    assert_eq!(stats.frames, stats.frames_delivered, "nothing waits in the client");
    received.during(&mut stream, sim.pause()).await;
    let sent = sim.sent();
    received.until("every tick", &mut stream, |received| received.ticks == sent).await;
    assert_eq!(connection.stats().losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_is_sent_while_frames_never_end() {
    let sim = Sim::builder().updates_per_second(1_000.0).start().await.unwrap();
    let (connection, mut stream, _events) = in_place(config(&sim));
    connection.subscribe(&universe(100), Mode::Full).unwrap();
    let mut received = Received::default();
    received.until("ticks", &mut stream, |received| received.ticks.len() == 100).await;
    // Until more frames wait than are received below.
    let frames = sim.stats().frames_sent;
    sim_until(&sim, "back-pressure", |sim| sim.stats().frames_sent > frames + 50).await;
    connection.subscribe(&[999_937], Mode::Ltp).unwrap();
    for _ in 0..2 {
        let batch = stream.recv().now_or_never().flatten();
        assert!(batch.is_some(), "the socket has frames");
    }
    let has_arrived = |sim: &Sim| sim.subscriptions()[0].contains_key(&999_937);
    sim_until(&sim, "the request", has_arrived).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_by_another_task_completes_once_the_stream_has_ended() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    in_time("a tick", stream.recv()).await.unwrap();
    let closing = tokio::spawn({
        let connection = connection.clone();
        async move { connection.close().await }
    });
    let rest = in_time("the end", (&mut stream).fold(0, async |count, _| count + 1)).await;
    in_time("the close", closing).await.unwrap();
    assert!(stream.recv().await.is_none() && stream.sink_mut().is_none(), "it stays ended");
    assert_eq!(connection.stats().frames - connection.stats().heartbeats, 1 + rest);
    assert_eq!(words(&mut events).last().unwrap(), "closed");
    assert_eq!(connection.subscribe(&[257], Mode::Full), Err(SubscribeError::Closed));
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    assert_eq!(connection.stats().losses, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_stream_frees_its_socket_and_closes_its_connection() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    in_time("a tick", stream.recv()).await.unwrap();
    drop(stream);
    assert_eq!(connection.status().phase, Phase::Closed);
    assert_eq!(words(&mut events).last().unwrap(), "closed");
    in_time("the close", connection.close()).await;
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;

    // A stream that was never polled has nothing to free.
    let (connection, stream, mut events) = in_place(config(&sim));
    drop(stream);
    in_time("the close", connection.close()).await;
    assert_eq!(words(&mut events), ["closed"]);
    assert_eq!(sim.stats().connections_total, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_last_handle_ends_the_stream() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    in_time("a tick", stream.recv()).await.unwrap();
    drop(connection);
    in_time("the end", async { while stream.recv().await.is_some() {} }).await;
    assert_eq!(words(&mut events).last().unwrap(), "closed");
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

#[test]
fn creation_needs_no_runtime_and_names_a_bad_setting() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let sim = runtime.block_on(Sim::builder().start()).unwrap();
    let (connection, mut stream, _events) = in_place(config(&sim));
    connection.subscribe(&[256], Mode::Full).unwrap();
    runtime.block_on(async {
        let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
        let before = tasks();
        in_time("a tick", stream.recv()).await.unwrap();
        // The simulator has one task for the socket and one for writing.
        let of_the_sim = tasks() - before;
        stream.close().await;
        in_time("the simulator's end", async {
            while tasks() > before {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let (connection, _probe) = crate::probe::connect(config(&sim));
        sim_until(&sim, "a socket", |sim| sim.stats().connections_open == 1).await;
        assert_eq!(tasks() - before, of_the_sim + 1, "a spawned connection has one more");
        connection.close().await;
    });
    let bad = ConnectionConfig { instrument_limit: 0, ..ConnectionConfig::default() };
    let error = Connection::in_place(bad, credentials(), &EventLane::default(), 0).unwrap_err();
    assert_eq!(error.field, "instrument_limit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sink_beside_a_stream_receives_everything_and_can_block_it() {
    let sim = Sim::builder().updates_per_second(50.0).start().await.unwrap();
    let (first, mut block) = lane(LaneConfig { frames: 2, ..LaneConfig::default() }).unwrap();
    let loose = LaneConfig { overflow: Overflow::DropOldest, ..LaneConfig::default() };
    let (second, mut drops) = lane(loose).unwrap();
    let probe = Probe::new();
    let sink = (probe.sink(), (first, second));
    let (connection, mut stream) =
        Connection::in_place_with(config(&sim), credentials(), sink, &EventLane::default(), 0)
            .unwrap();
    connection.subscribe(&universe(10), Mode::Quote).unwrap();
    for _ in 0..2 {
        let batch = in_time("a frame", stream.recv()).await.unwrap();
        probe.look(|seen| assert_eq!(seen.frames, batch.sequence));
        assert!(drops.try_recv().is_ok());
    }
    // The lane that blocks is full by now.
    let frames = sim.stats().frames_sent;
    sim_until(&sim, "more", |sim| sim.stats().frames_sent > frames + 10).await;
    let mut waiting = Box::pin(stream.recv());
    assert!((&mut waiting).now_or_never().is_none());
    assert!(matches!(block.try_recv(), Ok(LaneItem::Up { .. })));
    block.try_recv().unwrap();
    assert!(in_time("a frame", waiting).await.is_some());
    assert_eq!(stream.sink_mut().unwrap().1.0.stats().delivered_frames, 1);
    // Otherwise the close would wait for it until the deadline.
    drop(block);
    in_time("the close", stream.close()).await;
    assert!(probe.look(|seen| seen.ended));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn large_frames_are_read_before_a_silence_is_checked() {
    let sim = Sim::builder().greet(false).heartbeat_every(BEAT).updates_per_second(20.0);
    let sim = sim.start().await.unwrap();
    let (connection, mut stream, mut events) = in_place(ConnectionConfig {
        liveness: Liveness {
            silence_threshold: THRESHOLD,
            stale_after: BEAT * 3,
            ..config(&sim).liveness
        },
        ..config(&sim)
    });
    connection.subscribe(&universe(250), Mode::Full).unwrap();
    let mut received = Received::default();
    received.until("ticks", &mut stream, |received| received.ticks.len() == 250).await;
    away(&sim, 20).await;
    received.add(&in_time("a frame", stream.recv()).await.unwrap());
    words(&mut events);
    for _ in 0..12 {
        away(&sim, 18).await;
        let Some(batch) = stream.recv().now_or_never().flatten() else {
            // The machine is so busy that nothing has arrived, so this silence is real.
            received.add(&in_time("a frame", stream.recv()).await.unwrap());
            words(&mut events);
            continue;
        };
        received.add(&batch);
        assert!(words(&mut events).is_empty());
        // All but a few, so that the system's buffers are never full: the server's heartbeats, which
        // measure the time, would wait too.
        while sim.stats().frames_sent > received.sockets[&1].0 as u64 + 4 {
            received.add(&in_time("a frame", stream.recv()).await.unwrap());
        }
        words(&mut events);
    }
}
