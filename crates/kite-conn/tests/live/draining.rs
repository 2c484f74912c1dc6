//! A connection that ends while its consumer is slow: a drain delivers what the server has sent, a
//! close does not wait for it, and both account for every frame.

use std::time::{Duration, Instant};

use kite_conn::{
    Connection, ConnectionConfig, EventLane, InPlace, Lane, LaneConfig, LaneItem, Liveness,
    Overflow, Phase, Stopped, lane,
};
use kite_sim::{API_KEY, Fault, Sim, universe};
use kite_wire::Mode;

use crate::probe::{config, credentials, in_time, sim_until};

const FRAMES: usize = 8;
const LONG: Duration = Duration::from_secs(3_600);

/// A connection whose lane is full and whose consumer takes nothing yet.
struct Full {
    sim: Sim,
    connection: Connection,
    lane: Lane,
}

impl Full {
    async fn new() -> Self {
        let sim = Sim::builder().greet(false).updates_per_second(1_000.0).start().await.unwrap();
        let overflow = Overflow::Block;
        let (sink, lane) =
            lane(LaneConfig { frames: FRAMES, overflow, ..Default::default() }).unwrap();
        let events = EventLane::default();
        let connection = Connection::spawn(config(&sim), credentials(), sink, &events, 0).unwrap();
        connection.subscribe(&universe(40), Mode::Quote).unwrap();
        sim_until(&sim, "back-pressure", |sim| sim.stats().frames_sent > 300).await;
        Self { sim, connection, lane }
    }

    /// Takes everything that is left; returns the ticks taken, and the frames and ticks dropped.
    async fn take_all(&mut self) -> (u64, u64, u64) {
        let (mut ticks, mut frames_dropped, mut ticks_dropped) = (0, 0, 0);
        while let Some(item) = in_time("an item", self.lane.recv()).await {
            match item {
                LaneItem::Batch(batch) => {
                    assert_eq!(frames_dropped, 0, "what was discarded is at the end");
                    ticks += batch.ticks.len() as u64;
                }
                LaneItem::Dropped { frames, ticks, .. } => {
                    (frames_dropped, ticks_dropped) = (frames, ticks);
                }
                _ => {}
            }
        }
        (ticks, frames_dropped, ticks_dropped)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_delivers_everything_that_was_sent() {
    let mut full = Full::new().await;
    let draining = tokio::spawn({
        let connection = full.connection.clone();
        async move { connection.drain(LONG).await }
    });
    let (ticks, dropped, _) = full.take_all().await;
    assert_eq!((ticks, dropped), (full.sim.stats().ticks_sent, 0));
    let stopped = in_time("the drain", draining).await.unwrap();
    assert_eq!(stopped, Stopped::NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_waits_for_no_consumer_and_what_lies_in_its_lane_can_be_taken() {
    let mut full = Full::new().await;
    let begun = Instant::now();
    let stopped = in_time("the close", full.connection.close()).await;
    assert!(begun.elapsed() < config(&full.sim).liveness.close_deadline, "the server answered");
    let queued = full.lane.stats().queued_frames;
    assert!(queued >= FRAMES as u64 && stopped.discarded_frames > 200, "{stopped:?}");
    assert_eq!(stopped.unread_frames, Some(queued + stopped.discarded_frames));
    assert!(!stopped.clean);
    let (ticks, frames_dropped, ticks_dropped) = full.take_all().await;
    assert_eq!(
        (frames_dropped, ticks_dropped),
        (stopped.discarded_frames, stopped.discarded_ticks)
    );
    assert_eq!(ticks + ticks_dropped, full.sim.stats().ticks_sent);
    assert_eq!(full.connection.status().stopped, Some(stopped));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_that_no_consumer_takes_counts_what_was_sent_at_its_deadline() {
    let mut full = Full::new().await;
    let stopped = in_time("the drain", full.connection.drain(Duration::from_millis(50))).await;
    let queued = full.lane.stats().queued_frames;
    assert_eq!(stopped.unread_frames, Some(queued + stopped.discarded_frames));
    assert!(stopped.discarded_frames > 200, "{stopped:?}");
    let (ticks, _, ticks_dropped) = full.take_all().await;
    assert_eq!(ticks + ticks_dropped, full.sim.stats().ticks_sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_goes_on_after_the_last_handle_was_dropped() {
    let mut full = Full::new().await;
    full.connection.begin_drain(LONG);
    let mut status = full.connection.watch();
    let other = Connection::spawn(config(&full.sim), credentials(), (), &EventLane::default(), 1);
    full.connection = other.unwrap();
    let (ticks, dropped, _) = full.take_all().await;
    assert_eq!((ticks, dropped), (full.sim.stats().ticks_sent, 0));
    in_time("the end", async { while status.changed().await.is_ok() {} }).await;
    assert_eq!(status.borrow().stopped, Some(Stopped::NOTHING));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_close_cuts_a_drain_short() {
    let mut full = Full::new().await;
    full.connection.begin_drain(LONG);
    let stopped = in_time("the close", full.connection.close()).await;
    assert!(stopped.discarded_frames > 0, "{stopped:?}");
    let (ticks, _, ticks_dropped) = full.take_all().await;
    assert_eq!(ticks + ticks_dropped, full.sim.stats().ticks_sent);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_end_its_socket_ends_a_drain_at_the_deadline() {
    let sim = Sim::builder().start().await.unwrap();
    let connection =
        Connection::spawn(config(&sim), credentials(), (), &EventLane::default(), 0).unwrap();
    let mut status = connection.watch();
    in_time("a socket", status.wait_for(|it| it.phase == Phase::Live)).await.unwrap();
    sim.inject(API_KEY, Fault::HalfOpen);
    let begun = Instant::now();
    let deadline = Duration::from_millis(100);
    let stopped = in_time("the drain", connection.drain(deadline)).await;
    assert!(begun.elapsed() >= deadline);
    assert_eq!((stopped.clean, stopped.unread_frames), (false, None));
    let words = "stopped, a socket was cut before the server ended it";
    assert_eq!(stopped.to_string(), words);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_that_polls_a_connection_in_place_drains_it_itself() {
    let sim = Sim::builder().greet(false).updates_per_second(1_000.0).start().await.unwrap();
    let (connection, mut stream) = in_place(&sim);
    let mut ticks = in_time("a frame", stream.recv()).await.unwrap().ticks.len() as u64;
    sim_until(&sim, "more", |sim| sim.stats().frames_sent > 300).await;
    connection.begin_drain(LONG);
    while let Some(batch) = in_time("a frame", stream.recv()).await {
        ticks += batch.ticks.len() as u64;
    }
    assert_eq!(ticks, sim.stats().ticks_sent);
    assert_eq!(connection.ended().await, Stopped::NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_a_stream_in_place_counts_what_it_discards() {
    let sim = Sim::builder().greet(false).updates_per_second(1_000.0).start().await.unwrap();
    let (connection, mut stream) = in_place(&sim);
    let ticks = in_time("a frame", stream.recv()).await.unwrap().ticks.len() as u64;
    sim_until(&sim, "more", |sim| sim.stats().frames_sent > 300).await;
    let stopped = in_time("the close", stream.close()).await;
    assert_eq!(ticks + stopped.discarded_ticks, sim.stats().ticks_sent);
    assert_eq!(stopped.unread_frames, Some(stopped.discarded_frames));
    assert_eq!(connection.status().stopped, Some(stopped));
}

fn in_place(sim: &Sim) -> (Connection, InPlace) {
    let liveness = Liveness { close_deadline: LONG, ..config(sim).liveness };
    let config = ConnectionConfig { liveness, ..config(sim) };
    let events = EventLane::default();
    let (connection, stream) = Connection::in_place(config, credentials(), &events, 0).unwrap();
    connection.subscribe(&universe(40), Mode::Quote).unwrap();
    (connection, stream)
}
