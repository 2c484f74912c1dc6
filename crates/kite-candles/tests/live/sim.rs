//! Bars of the simulator's market over real sockets.

use std::collections::BTreeMap;
use std::time::Duration;

use kite_candles::{Bar, CandleStream, Counts, Item};
use kite_manager::{
    Credentials, Endpoint, LaneConfig, Manager, ManagerBuilder, Mode, StreamConfig,
};
use kite_sim::{ACCESS_TOKEN, API_KEY, Sim};

use super::feed::{self, INFY, last_states};

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

fn sums(bars: &[Bar]) -> (u64, u64) {
    let volume = bars.iter().map(|bar| bar.volume.unwrap_or(0)).sum();
    (volume, bars.iter().map(|bar| bar.missed_volume).sum())
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
