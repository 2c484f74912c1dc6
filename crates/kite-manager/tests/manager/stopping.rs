//! The end of a run: a drain delivers everything that was sent, a stop does not wait for unread
//! streams, and both account for every tick.

use std::time::{Duration, Instant};

use kite_manager::{
    Batch, Event, Events, LaneConfig, Manager, ManagerEvent, Mode, Sink, Stopped, StreamConfig,
    StreamItem, TickStream, TryRecvError,
};
use kite_sim::{Fault, Refusal, Sim, universe};

use crate::stage::{builder, in_time, key, sim, sim_until, until};

const LONG: Duration = Duration::from_secs(3_600);

fn short_lanes() -> StreamConfig {
    StreamConfig { lane: LaneConfig { frames: 8, ..Default::default() }, ..Default::default() }
}

/// A run whose stream is full and not read.
async fn full() -> (Sim, Manager, TickStream) {
    let sim = sim(1, |it| it.greet(false).updates_per_second(1_000.0)).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&universe(60), Mode::Quote).unwrap();
    let stream = manager.stream(short_lanes()).unwrap();
    in_time("start", manager.start()).await.unwrap();
    sim_until(&sim, "back-pressure", |sim| sim.stats().frames_sent > 900).await;
    (sim, manager, stream)
}

/// Reads a stream to its end; returns the ticks taken and those reported as dropped.
async fn read(mut stream: TickStream) -> (u64, u64) {
    let (mut taken, mut dropped) = (0, 0);
    while let Some(item) = in_time("an item", stream.recv()).await {
        match item {
            StreamItem::Ticks(tagged) => taken += tagged.batch.ticks.len() as u64,
            StreamItem::Dropped { ticks, .. } => dropped += ticks,
            StreamItem::Conflated { .. } => panic!("this stream blocks"),
            _ => {}
        }
    }
    assert!(matches!(stream.try_recv(), Err(TryRecvError::Ended)));
    (taken, dropped)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_delivers_everything_to_every_stream() {
    let (sim, manager, stream) = full().await;
    let draining = tokio::spawn({
        let manager = manager.clone();
        async move { manager.drain(LONG).await }
    });
    assert_eq!(read(stream).await, (sim.stats().ticks_sent, 0));
    assert_eq!(in_time("the drain", draining).await.unwrap(), Stopped::NOTHING);
    assert!(!manager.is_running());
    // Another run delivers again.
    let stream = manager.stream(short_lanes()).unwrap();
    let before = sim.stats().ticks_sent;
    in_time("start", manager.start()).await.unwrap();
    sim_until(&sim, "ticks", |sim| sim.stats().ticks_sent > before + 100).await;
    manager.begin_drain(LONG);
    assert_eq!(read(stream).await, (sim.stats().ticks_sent - before, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_task_that_reads_the_stream_begins_the_drain_and_reads_on() {
    let (sim, manager, stream) = full().await;
    manager.begin_drain(LONG);
    // The drain does not need the manager.
    drop(manager);
    assert_eq!(read(stream).await, (sim.stats().ticks_sent, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_task_that_polls_a_run_in_place_drains_it_itself() {
    let sim = sim(1, |it| it.greet(false).updates_per_second(1_000.0)).await;
    let manager = builder(&sim, 1).build().unwrap();
    manager.subscribe(&universe(60), Mode::Quote).unwrap();
    let mut stream = manager.start_in_place().unwrap();
    let mut ticks = in_time("a frame", stream.recv()).await.unwrap().batch.ticks.len() as u64;
    while sim.stats().frames_sent < 600 {
        ticks += in_time("a frame", stream.recv()).await.unwrap().batch.ticks.len() as u64;
    }
    manager.begin_drain(LONG);
    while let Some(tagged) = in_time("a frame", stream.recv()).await {
        ticks += tagged.batch.ticks.len() as u64;
    }
    assert_eq!(ticks, sim.stats().ticks_sent);
    assert_eq!(in_time("the end", manager.drain(LONG)).await, Stopped::NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_does_not_wait_for_a_stream_and_what_lies_in_it_can_be_taken() {
    let (sim, manager, stream) = full().await;
    let begun = Instant::now();
    let stopped = in_time("stop", manager.stop()).await;
    let deadline = manager.config().connection.liveness.close_deadline;
    assert!(begun.elapsed() < deadline, "the servers answered");
    let queued = stream.stats().queued_frames;
    assert!(queued >= 24 && stopped.discarded_frames > 600, "{stopped:?}");
    assert_eq!(stopped.unread_frames, Some(queued + stopped.discarded_frames));
    let (taken, dropped) = read(stream).await;
    assert!(taken > 0);
    assert_eq!((taken + dropped, dropped), (sim.stats().ticks_sent, stopped.discarded_ticks));
    assert_eq!(in_time("another stop", manager.stop()).await, stopped, "of the last run");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_cuts_a_drain_short_and_a_dropped_stream_holds_up_neither() {
    let (sim, manager, stream) = full().await;
    manager.begin_drain(LONG);
    manager.begin_drain(LONG);
    let stopped = in_time("stop", manager.stop()).await;
    assert!(stopped.discarded_frames > 0, "{stopped:?}");
    let (taken, dropped) = read(stream).await;
    assert_eq!(taken + dropped, sim.stats().ticks_sent);

    let (_sim, manager, stream) = full().await;
    manager.begin_drain(LONG);
    drop(stream);
    assert_eq!(in_time("the drain", manager.drain(LONG)).await, Stopped::NOTHING);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_without_an_open_socket_ends_immediately() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    let drained = async || in_time("the drain", manager.drain(LONG)).await;
    assert_eq!(drained().await, Stopped::NOTHING, "nothing was started");

    // Opening.
    for _ in 0..3 {
        sim.at_next_handshake(&key(0), Fault::HangingHandshake);
    }
    let starting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.start().await }
    });
    sim_until(&sim, "handshakes", |sim| !sim.stats().faults.is_empty()).await;
    assert_eq!(drained().await, Stopped::NOTHING);
    assert!(in_time("the start", starting).await.unwrap().is_err());
    sim.calm();

    // Waiting for the next attempt, and parked.
    for refusal in [Refusal::kite(503, "later").retry_after("60"), Refusal::auth()] {
        let manager = builder(&sim, 1).build().unwrap();
        let stream = manager.stream(StreamConfig::default()).unwrap();
        in_time("start", manager.start()).await.unwrap();
        sim.refuse_with(Some(refusal));
        sim.drop_all();
        until("the loss", || !manager.is_live()).await;
        assert!(in_time("the drain", manager.drain(LONG)).await.clean);
        assert_eq!(read(stream).await, (0, 0));
        sim.refuse_with(None);
    }
}

/// Reads a listener to its end; returns its last event.
async fn last_of(mut events: Events) -> Option<ManagerEvent> {
    let mut last = None;
    while let Some(event) = in_time("an event", events.recv()).await {
        assert!(!matches!(last, Some(ManagerEvent::Stopped(_))), "{event:?} after the end");
        last = Some(event);
    }
    assert!(matches!(events.try_recv(), Err(TryRecvError::Ended)));
    last
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_loop_over_stream_events_and_orders_ends_with_the_run() {
    let (sim, manager, mut stream) = full().await;
    let (mut events, mut orders) = (manager.events(), manager.orders());
    sim.send_order(serde_json::json!({"order_id": "1", "status": "COMPLETE"}));
    let (mut ticks, mut updates, mut last) = (0, 0, None);
    manager.begin_drain(LONG);
    in_time("the end of the loop", async {
        loop {
            tokio::select! {
                Some(item) = stream.recv() => if let StreamItem::Ticks(tagged) = item {
                    ticks += tagged.batch.ticks.len() as u64;
                },
                Some(event) = events.recv() => last = Some(event),
                Some(_) = orders.recv() => updates += 1,
                else => break,
            }
        }
    })
    .await;
    // The order follows everything that the lanes held back.
    assert_eq!((ticks, updates), (sim.stats().ticks_sent, 1));
    assert!(matches!(last, Some(ManagerEvent::Stopped(end)) if end == Stopped::NOTHING));
    assert!(!manager.is_running());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_belongs_to_one_run() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).build().unwrap();
    let mut before = manager.events();
    in_time("a stop of nothing", manager.stop()).await;
    assert_eq!(before.try_recv().unwrap_err(), TryRecvError::Empty, "its run comes");
    in_time("start", manager.start()).await.unwrap();
    let during = (manager.events(), manager.orders());
    let stopped = in_time("stop", manager.stop()).await;
    let after = manager.events();
    for events in [before, during.0] {
        let last = last_of(events).await;
        assert!(matches!(&last, Some(ManagerEvent::Stopped(end)) if *end == stopped), "{last:?}");
    }
    let mut orders = during.1;
    assert!(in_time("the end", orders.recv()).await.is_none());
    in_time("another start", manager.start()).await.unwrap();
    drop(manager);
    assert!(matches!(last_of(after).await, Some(ManagerEvent::Stopped(end)) if end.clean));
}

/// Panics at the first frame.
struct Panics;

impl Sink for Panics {
    fn on_batch(&mut self, _: &Batch) {
        panic!("this sink panics");
    }

    fn on_event(&mut self, _: &Event) {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listeners_end_with_a_run_whose_connections_have_all_failed() {
    let sim = sim(1, |it| it).await;
    let manager = builder(&sim, 1).tap(|_| Panics).build().unwrap();
    let events = manager.events();
    in_time("start", manager.start()).await.ok();
    let last = last_of(events).await;
    let Some(ManagerEvent::Stopped(stopped)) = last else { panic!("{last:?}") };
    assert_eq!((stopped.clean, stopped.unread_frames), (false, None));
    assert!(!manager.is_live());
}
