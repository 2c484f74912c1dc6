//! Runs without tasks for their connections; one stream drives all sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::FutureExt;
use kite_conn::{Overflow, Phase, SpawnError};
use kite_manager::{
    HealthLevel, InPlaceError, InPlaceStream, Manager, StreamConfig, StreamItem, TaggedBatch,
};
use kite_sim::Fault;
use kite_wire::Mode;

use crate::stage::{
    agreed, all_delivered, builder, in_time, key, live, name, sim, sim_until, socket, until,
};
use crate::taking::{drive, take};

fn in_place(manager: &Manager) -> InPlaceStream {
    manager.start_in_place().unwrap()
}

async fn up(manager: &Manager) {
    in_time("up", manager.wait_until_live(Duration::from_secs(20))).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_place_delivers_every_tick_in_order_and_all_else_works_as_usual() {
    let sim = sim(2, |it| it).await;
    let manager = builder(&sim, 2).latest(true).build().unwrap();
    let mut orders = manager.orders();
    let beside = take(manager.stream(StreamConfig::default()).unwrap());
    let tokens = kite_sim::universe(120);
    manager.subscribe(&tokens, Mode::Full).unwrap();
    let stream = in_place(&manager);
    assert!(manager.is_running() && !manager.is_live());
    assert_eq!(sim.stats().connections_total, 0, "not polled yet");
    assert!(matches!(manager.start_in_place(), Err(InPlaceError::Running)));
    in_time("a start that does nothing", manager.start()).await.unwrap();
    assert_eq!(sim.stats().connections_total, 0);
    let taking = drive(stream);
    up(&manager).await;
    agreed(&sim, &manager).await;
    sim.send_order(serde_json::json!({ "order_id": "7", "status": "OPEN" }));
    in_time("the order", orders.recv()).await.unwrap();
    sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > 3_000).await;
    let later = take(manager.stream(StreamConfig::default()).unwrap());
    until("a tick of the late one", || later.look(|taken| taken.delivered > 0)).await;
    sim.pause().await;
    all_delivered(&sim, &manager).await;
    let sent = sim.sent();
    for all in [&taking, &beside] {
        until("every tick", || all.look(|taken| taken.ticks == sent)).await;
    }
    for (slot, here) in manager.distribution().iter().enumerate() {
        let record = socket(&sim, slot / 3, here);
        let taken = taking.look(|taken| taken.socket(name(slot / 3), slot % 3, 1));
        assert_eq!(taken, (record.frames(), record.chain()));
    }
    let latest = manager.latest().unwrap();
    for token in tokens {
        assert_eq!(latest.get(token).unwrap().tick(), sim.instrument(token).tick(Mode::Full));
    }
    let snapshot = manager.snapshot();
    assert_eq!((live(&snapshot), snapshot.instruments), (6, 120));
    let health = snapshot.health(Duration::from_secs(20));
    assert_eq!(health.level(), HealthLevel::Healthy);
    assert!(snapshot.connections.iter().any(|it| it.figures.frames_per_second > 0.0));
    in_time("stop", manager.stop()).await;
    for all in [&taking, &beside, &later] {
        until("the end", || all.look(|taken| taken.ended)).await;
    }
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_busy_connection_does_not_starve_the_others() {
    let sim = sim(1, |it| it.updates_per_second(0.0)).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&kite_sim::universe(90), Mode::Full).unwrap();
    let planned = manager.distribution();
    let mut stream = in_place(&manager);
    let mut firsts = BTreeMap::<usize, usize>::new();
    while firsts.len() < 3 {
        let ticks = in_time("snapshots", stream.recv()).await.unwrap();
        *firsts.entry(ticks.connection).or_default() += 1;
    }
    while stream.recv().now_or_never().is_some() {}
    // Far more frames are queued on the first than on the others.
    let busy: Vec<u32> = planned[0].keys().copied().collect();
    let frames = sim.stats().frames_sent;
    for _ in 0..100 {
        sim.tick_now(&busy);
    }
    for quiet in [&planned[1], &planned[2]] {
        sim.tick_now(&quiet.keys().copied().take(1).collect::<Vec<_>>());
    }
    sim_until(&sim, "frames", |sim| sim.stats().frames_sent >= frames + 102).await;
    let mut order = Vec::new();
    in_time("all", async {
        while order.len() < 102 {
            let TaggedBatch { connection, batch, .. } = stream.recv().await.unwrap();
            assert!(!batch.ticks.is_empty());
            order.push(connection);
        }
    })
    .await;
    for quiet in [1, 2] {
        let place = order.iter().position(|connection| *connection == quiet).unwrap();
        assert!(place < 20, "the frame of connection {quiet} came at index {place}");
    }
    in_time("close", stream.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polling_alone_reconnects_a_lost_connection() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&kite_sim::universe(30), Mode::Quote).unwrap();
    let planned = manager.distribution();
    let taking = drive(in_place(&manager));
    up(&manager).await;
    agreed(&sim, &manager).await;
    assert!(sim.inject_socket(socket(&sim, 0, &planned[1]).id, Fault::Reset { at: 7 }));
    until("another socket", || taking.look(|taken| taken.socket(name(0), 1, 2).0 > 0)).await;
    agreed(&sim, &manager).await;
    let losses: Vec<u64> =
        manager.snapshot().connections.iter().map(|it| it.figures.sockets_lost()).collect();
    assert_eq!(losses, [0, 1, 0]);
    sim.pause().await;
    let record = socket(&sim, 0, &planned[1]);
    until("all of it", || {
        taking.look(|taken| taken.socket(name(0), 1, 2)) == (record.frames(), record.chain())
    })
    .await;
    in_time("stop", manager.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_blocking_stream_holds_a_run_in_place_back() {
    let sim = sim(1, |it| it.updates_per_second(200.0)).await;
    let manager = builder(&sim, 1).connections(1).build().unwrap();
    let config = |overflow| {
        let mut config = StreamConfig::default();
        (config.lane.frames, config.lane.overflow) = (2, overflow);
        config
    };
    let mut loose = manager.stream(config(Overflow::DropOldest)).unwrap();
    let mut tight = manager.stream(config(Overflow::Block)).unwrap();
    manager.subscribe(&kite_sim::universe(10), Mode::Ltp).unwrap();
    let mut stream = in_place(&manager);
    for _ in 0..2 {
        in_time("a frame", stream.recv()).await.unwrap();
    }
    let frames = sim.stats().frames_sent;
    sim_until(&sim, "more", |sim| sim.stats().frames_sent > frames + 10).await;
    assert!(stream.recv().now_or_never().is_none(), "the lane that blocks is full");
    // An item that is not a frame takes no room.
    let up = in_time("the socket", tight.recv()).await;
    assert!(matches!(up, Some(StreamItem::Up { .. })), "{up:?}");
    assert!(stream.recv().now_or_never().is_none(), "the lane that blocks is still full");
    in_time("an item", tight.recv()).await.unwrap();
    in_time("a frame", stream.recv()).await.unwrap();
    drop(tight);
    for _ in 0..20 {
        in_time("a frame", stream.recv()).await.unwrap();
    }
    assert!(in_time("an item", loose.recv()).await.is_some());
    assert!(loose.stats().dropped_frames > 0);
    in_time("close", stream.close()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_in_place_ends_with_its_stream_and_another_can_begin() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[256, 512, 768], Mode::Quote).unwrap();
    let closed = |manager: &Manager| {
        assert!(!manager.is_running());
        let connections = manager.snapshot().connections;
        assert!(connections.iter().all(|it| it.phase == Phase::Closed));
    };
    // With close frames.
    let mut stream = in_place(&manager);
    in_time("a tick", stream.recv()).await.unwrap();
    let beside = take(manager.stream(StreamConfig::default()).unwrap());
    in_time("close", stream.close()).await;
    closed(&manager);
    until("the end beside it", || beside.look(|taken| taken.ended)).await;
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    // By dropping the stream.
    let mut stream = in_place(&manager);
    in_time("a tick", stream.recv()).await.unwrap();
    drop(stream);
    closed(&manager);
    in_time("a stop of nothing", manager.stop()).await;
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    sim.forget_ended(&key(0));
    // A stream that outlives its run does not affect the next one.
    let mut stream = in_place(&manager);
    in_time("a tick", stream.recv()).await.unwrap();
    let stopping = tokio::spawn({
        let manager = manager.clone();
        async move { manager.stop().await }
    });
    in_time("the end", async { while stream.recv().await.is_some() {} }).await;
    in_time("stop", stopping).await.unwrap();
    closed(&manager);
    in_time("a detached start", manager.start()).await.unwrap();
    drop(stream);
    assert!(manager.is_running() && manager.is_live());
    assert!(matches!(manager.start_in_place(), Err(InPlaceError::Running)));
    in_time("stop", manager.stop()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropping_the_manager_closes_the_sockets_and_ends_the_stream() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&[256, 512, 768], Mode::Quote).unwrap();
    let mut stream = in_place(&manager);
    in_time("a tick", stream.recv()).await.unwrap();
    drop(manager);
    in_time("the end", async { while stream.recv().await.is_some() {} }).await;
    sim_until(&sim, "no socket", |sim| sim.stats().connections_open == 0).await;
    let ends: Vec<_> = sim.sockets(&key(0)).into_iter().map(|it| it.end).collect();
    assert!(ends.iter().all(Option::is_some), "{ends:?}");
}

#[test]
fn a_failed_start_in_place_names_the_cause_and_changes_nothing() {
    let manager = Manager::builder()
        .account("mine", kite_conn::Credentials::new("key", "token"))
        .build()
        .unwrap();
    let refused = manager.start_in_place().unwrap_err();
    assert_eq!(refused, InPlaceError::Spawn(SpawnError::NoRuntime));
    assert!(!manager.is_running());
    let config = kite_manager::ManagerConfig { connections: 9, ..Default::default() };
    let manager = Manager::new(kite_conn::Credentials::new("key", "token"), config);
    assert!(matches!(manager.start_in_place(), Err(InPlaceError::Config(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_in_place_marks_first_packets_if_asked() {
    let sim = sim(1, |it| it).await;
    sim.pause().await;
    let manager = builder(&sim, 1).connections(1).build().unwrap();
    manager.set_subscriptions([(256, Mode::Full), (512, Mode::Quote)]).unwrap();
    let mut stream = in_place(&manager);
    stream.mark_first();
    let mut words = async |last: &str| -> Vec<String> {
        let mut words = Vec::new();
        while words.last().is_none_or(|word| word != last) {
            let ticks = in_time("a frame", stream.recv()).await.unwrap();
            words.extend(ticks.packets().map(|packet| {
                let mark = if ticks.is_first(&packet) { "!" } else { "" };
                format!("{} {}{mark}", packet.instrument_token(), packet.mode())
            }));
        }
        words
    };
    let snapshots = ["256 quote!", "512 quote!", "256 full!"];
    assert_eq!(words("256 full!").await, snapshots);
    sim.tick_now(&[256, 512]);
    assert_eq!(words("512 quote").await, ["256 full", "512 quote"]);
    manager.set_mode(&[512], Mode::Ltp);
    assert_eq!(words("512 ltp!").await, ["512 ltp!"]);
    sim.drop_all();
    let again = ["256 quote!", "512 quote!", "512 ltp!", "256 full!"];
    assert_eq!(words("256 full!").await, again);
}
