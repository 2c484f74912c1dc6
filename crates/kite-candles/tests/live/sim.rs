//! Bars of the simulator's market over real sockets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use kite_candles::{Bar, CandleStream, Config, Counts, Item, RecordedCandles};
use kite_manager::{
    Credentials, Endpoint, FailoverConfig, LaneConfig, Manager, ManagerBuilder, Mode, Stamp,
    StreamConfig,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, Fault, Refusal, Sim};
use kite_tape::{Fsync, Recorder, RecorderConfig, Reel, Source};

use super::feed::{self, INFY, S, last_states};

/// Timeout for each step, generous for slow machines. A test that waits so long has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// Interval for polling a state that has no notification.
const LOOK_EVERY: Duration = Duration::from_millis(1);

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, wait).await.is_ok(), "timed out waiting for {what}");
}

/// Bars of a second, so that a test has some.
fn config() -> Config {
    let mut config = feed::config();
    config.every = "1s".parse().unwrap();
    // Longer than a move of instruments takes, after which nothing of them counts as missed.
    config.grace = Duration::from_secs(5);
    config
}

/// A market whose clock runs, as the exchange's.
async fn sim(updates_per_second: f64) -> Sim {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let sim = Sim::builder().market_time(now.as_secs() as u32).run_clock(true);
    let sim = sim.updates_per_second(updates_per_second);
    sim.heartbeat_every(Duration::from_millis(20)).start().await.unwrap()
}

fn builder(sim: &Sim, connections: usize) -> ManagerBuilder {
    Manager::builder()
        .endpoint(Endpoint::parse(&sim.endpoint()).unwrap())
        .account("mine", Credentials::new(API_KEY, ACCESS_TOKEN))
        .connections(connections)
        .stagger(Duration::from_millis(1))
        .failover(None)
        .connection(|connection| {
            connection.reconnect.delay = Duration::from_millis(5);
            connection.reconnect.delay_cap = Duration::from_millis(20);
            connection.liveness.silence_threshold = Duration::from_secs(60);
        })
}

/// Reads all bars on a task, until the run ends.
fn read(mut stream: CandleStream) -> tokio::task::JoinHandle<(Vec<Item>, Counts)> {
    tokio::spawn(async move {
        let mut items = Vec::new();
        while let Some(item) = stream.recv().await {
            items.push(item);
        }
        let counts = stream.finish(&mut |item| items.push(item));
        (items, counts)
    })
}

/// Returns the bars of a recording, by token and start.
fn recorded(directory: &Path, config: Config) -> (Vec<Bar>, Counts) {
    let mut candles = RecordedCandles::new([config]).unwrap();
    let mut bars = BTreeMap::new();
    let mut out = |_, item: Item| {
        let bar = *item.bar();
        assert_eq!(bars.insert((bar.instrument_token, bar.start), bar), None);
    };
    for entry in Reel::open([directory]).unwrap().entries() {
        let entry = entry.unwrap();
        candles.on_record(entry.received, entry.kind, &entry.payload, &mut out);
        for packet in entry.frame().into_iter().flat_map(|frame| frame.packets()) {
            candles.on_packet(entry.received, packet, &mut out);
        }
    }
    let counts = candles.finish(&mut out).pop().unwrap();
    (bars.into_values().collect(), counts)
}

fn sums(bars: &[Bar]) -> (u64, u64) {
    let volume = bars.iter().map(|bar| bar.volume.unwrap_or(0)).sum();
    (volume, bars.iter().map(|bar| bar.missed_volume).sum())
}

/// Breaks the socket of a connection, and refuses new ones if asked.
fn kill(sim: &Sim, manager: &Manager, connection: usize, refusal: Option<Refusal>) {
    sim.refuse_with(refusal);
    let instruments = &manager.distribution()[connection];
    let sockets = sim.sockets(API_KEY);
    let is_its = |it: &&kite_sim::SocketRecord| {
        it.end.is_none() && it.subscriptions == *instruments && !instruments.is_empty()
    };
    let socket = sockets.iter().find(is_its).unwrap();
    assert!(sim.inject_socket(socket.id, Fault::Reset { at: 7 }));
}

/// Whether the server has each instrument on one socket, as the manager planned.
fn agree(sockets: &[BTreeMap<u32, Mode>], planned: &[BTreeMap<u32, Mode>]) -> bool {
    planned.iter().all(|of| sockets.contains(of))
        && sockets.iter().map(BTreeMap::len).sum::<usize>()
            == planned.iter().map(BTreeMap::len).sum::<usize>()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bars_of_a_running_feed_are_those_of_its_recording() {
    let directory = tempfile::tempdir().unwrap();
    let config_of_tape = RecorderConfig { fsync: Fsync::Never, ..RecorderConfig::default() };
    let recorder = Recorder::start(directory.path(), config_of_tape).unwrap();
    let tape = recorder.clone();
    let sim = sim(20.0).await;
    let failover = FailoverConfig {
        after: Duration::from_millis(750),
        stable_after: Duration::from_millis(100),
    };
    let manager = builder(&sim, 2)
        .failover(Some(failover))
        .tap(move |seat| tape.sink(Source::of(seat.account_index, seat.connection)))
        .build()
        .unwrap();
    let reading = read(CandleStream::new(&manager, StreamConfig::default(), config()).unwrap());
    manager.subscribe(&kite_sim::universe(20), Mode::Full).unwrap();
    manager.start().await.unwrap();
    let planned = manager.distribution();
    until("a tick of each", || manager.unseen().is_empty()).await;

    let epochs = |at: usize| manager.snapshot().connections[at].epoch;
    // A plain reconnect.
    kill(&sim, &manager, 0, None);
    until("the next socket", || epochs(0) == 2 && manager.unseen().is_empty()).await;
    // A failover, and the way back.
    kill(&sim, &manager, 1, Some(Refusal::new(503, "busy")));
    until("the failover", || manager.distribution()[1].is_empty()).await;
    until("a tick of each", || manager.unseen().is_empty()).await;
    // What the server sends until it has read an unsubscribe command is on the tape, but not in the
    // stream. Nothing is to be sent until then.
    sim.pause().await;
    sim.refuse_with(None);
    until("the return", || manager.distribution() == planned).await;
    until("the server's agreement", || agree(&sim.subscriptions(), &planned)).await;
    sim.resume();
    until("a tick of each", || manager.unseen().is_empty()).await;
    let end = Stamp::now().to_unix_ns() / S + 2;
    until("two more bars", || Stamp::now().to_unix_ns() / S >= end).await;
    manager.stop().await;
    drop(manager);
    let stopped = Stamp::now().to_unix_ns();
    let (items, counts) = reading.await.unwrap();
    recorder.finish().unwrap();

    let (recorded, recorded_counts) = recorded(directory.path(), config());
    let live = last_states(items);
    let (volume, missed) = sums(&live);
    assert_eq!(volume + missed + counts.outside_volume, counts.volume);
    assert!(missed > 0, "two losses");
    assert_eq!((counts.volume, counts.packets), (recorded_counts.volume, recorded_counts.packets));
    assert_eq!(sums(&recorded), (volume, missed));

    // The tape counts a loss from the last record, the feed from the last pong too, and both end in
    // the middle of a bar.
    let exact = |bars: Vec<Bar>| {
        let ended = bars.into_iter().filter(|bar| bar.end.unix_ns() + S < stopped);
        let split = |mut bar: Bar| {
            let missed_ms = std::mem::take(&mut bar.missed_ms);
            (bar, missed_ms)
        };
        ended.map(split).collect::<Vec<_>>()
    };
    let (live, recorded) = (exact(live), exact(recorded));
    assert_eq!(live.len(), recorded.len());
    for ((live, live_ms), (recorded, recorded_ms)) in live.into_iter().zip(recorded) {
        assert_eq!(live, recorded);
        assert!(live_ms.abs_diff(recorded_ms) < 500, "{live_ms} and {recorded_ms} of {live:?}");
    }
}

/// A manager with one connection to a market that moves on request, whose instrument has ticked,
/// and its bars, which have read that.
async fn ticking(sim: &Sim, stream: StreamConfig, grace: Duration) -> (Manager, CandleStream) {
    let manager = builder(sim, 1).latest(true).build().unwrap();
    let mut config = feed::config();
    config.grace = grace;
    let mut bars = CandleStream::new(&manager, stream, config).unwrap();
    manager.subscribe(&[INFY], Mode::Full).unwrap();
    manager.start().await.unwrap();
    until("the snapshot", || newest(&manager).is_some_and(|(_, mode)| mode == Mode::Full)).await;
    let bar = tokio::time::timeout(Duration::ZERO, bars.recv()).await;
    assert!(bar.is_err(), "{bar:?}");
    (manager, bars)
}

/// The volume and mode of the newest packet.
fn newest(manager: &Manager) -> Option<(u32, Mode)> {
    let tick = manager.latest().unwrap().get(INFY)?;
    Some((tick.packet().volume()?, tick.packet().mode()))
}

/// Lets the instrument trade and tick; returns how much was traded.
async fn trade(sim: &Sim, manager: &Manager, steps: u64) -> u64 {
    let (before, _) = newest(manager).unwrap();
    sim.advance_market(&[INFY], steps);
    sim.tick_now(&[INFY]);
    until("the trade", || newest(manager).is_some_and(|(volume, _)| volume > before)).await;
    u64::from(newest(manager).unwrap().0 - before)
}

/// Stops the run and returns the sums of volume and missed volume.
async fn end(manager: Manager, bars: CandleStream) -> (u64, u64) {
    manager.stop().await;
    let (items, counts) = read(bars).await.unwrap();
    let (volume, missed) = sums(&last_states(items));
    assert_eq!(volume + missed, counts.volume);
    (volume, missed)
}

#[tokio::test]
async fn what_is_traded_while_an_instrument_is_not_subscribed_is_missed() {
    let sim = sim(0.0).await;
    let (manager, bars) = ticking(&sim, StreamConfig::default(), Duration::ZERO).await;
    let mut volume = trade(&sim, &manager, 3).await;
    manager.unsubscribe(&[INFY]);
    until("the end of it", || sim.subscriptions().iter().all(BTreeMap::is_empty)).await;
    let (before, _) = newest(&manager).unwrap();
    sim.advance_market(&[INFY], 5);
    manager.subscribe(&[INFY], Mode::Full).unwrap();
    until("the snapshot", || newest(&manager).is_some_and(|(volume, _)| volume > before)).await;
    let missed = u64::from(newest(&manager).unwrap().0 - before);
    volume += trade(&sim, &manager, 2).await;
    assert_eq!(end(manager, bars).await, (volume, missed));
}

#[tokio::test]
async fn what_a_slow_reader_drops_is_missed() {
    let sim = sim(0.0).await;
    let lane = LaneConfig { frames: 2, ..LaneConfig::drop_oldest() };
    let stream = StreamConfig { lane, ..StreamConfig::default() };
    let (manager, bars) = ticking(&sim, stream, Duration::from_secs(2)).await;
    // Nothing is read, so that only the last two frames are left.
    let mut traded = Vec::new();
    for _ in 0..5 {
        traded.push(trade(&sim, &manager, 1).await);
    }
    assert_eq!(end(manager, bars).await, (traded[4], traded[..4].iter().sum()));
}
