use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use kite_wire::FrameFault;
use tokio::sync::broadcast;

use super::*;
use crate::clock::Stamp;
use crate::observe::{Counters, Event, EventLane, GapTracker, Stats, Tagged};

/// What a sink was given: the tokens of a batch, or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Tokens(Vec<u32>),
    Attempt(u32),
    Damaged(u64),
    Skipped { length: usize, packets: u16, untold: u64 },
}

fn gaps() -> GapTracker {
    GapTracker::new(None, Duration::from_secs(10), std::time::SystemTime::now)
}

fn opening(attempt: u32) -> Notice {
    let instruments = BTreeMap::new();
    Notice { event: Event::Opening { attempt }, at: Stamp::now(), instruments }
}

/// The test's side of a [`Gated`] sink.
#[derive(Debug, Default)]
struct Gate {
    open: AtomicBool,
    waker: AtomicWaker,
    seen: Mutex<Vec<Seen>>,
    batches: Mutex<Vec<(u64, u32)>>,
}

impl Gate {
    fn open(&self) {
        self.open.store(true, Ordering::Release);
        self.waker.wake();
    }

    fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

/// Takes nothing before its gate opens, and panics on a batch with token 0.
struct Gated(Arc<Gate>);

impl Sink for Gated {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        if self.0.open.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        let tokens: Vec<u32> = batch.ticks.iter().map(|tick| tick.instrument_token).collect();
        assert!(!tokens.contains(&0), "the sink of this test gives up here");
        self.0.batches.lock().unwrap().push((batch.sequence, batch.epoch));
        self.0.seen.lock().unwrap().push(Seen::Tokens(tokens));
    }

    fn on_event(&mut self, event: &Event) {
        let seen = match *event {
            Event::Opening { attempt } => Seen::Attempt(attempt),
            Event::FrameDamaged { untold, .. } => Seen::Damaged(untold),
            Event::PacketsSkipped { length, packets, untold } => {
                Seen::Skipped { length, packets, untold }
            }
            ref other => panic!("not sent by these tests: {other:?}"),
        };
        self.0.seen.lock().unwrap().push(seen);
    }
}

struct Bench {
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    told: broadcast::Receiver<Tagged>,
    intake: Intake<Gated>,
}

fn bench() -> Bench {
    let (gate, counters, lane) =
        (Arc::<Gate>::default(), Arc::<Counters>::default(), EventLane::default());
    let told = lane.subscribe();
    let intake =
        Intake::new(Gated(Arc::clone(&gate)), Arc::clone(&counters), lane.sender(1), gaps());
    Bench { gate, counters, told, intake }
}

/// A frame with one packet of eight bytes for each token.
fn frame(tokens: &[u32]) -> Vec<u8> {
    let mut bytes = u16::try_from(tokens.len()).unwrap().to_be_bytes().to_vec();
    for token in tokens {
        bytes.extend_from_slice(&8_u16.to_be_bytes());
        bytes.extend_from_slice(&token.to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 0, 9]);
    }
    bytes
}

fn cut(mut frame: Vec<u8>) -> Vec<u8> {
    frame.pop();
    frame
}

fn at(millis: u64) -> Stamp {
    Stamp::from_nanos(1 + millis * 1_000_000)
}

/// Lets the parser task run until it has nothing left to do.
async fn run_parser() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

fn poll_now<S: Sink>(outlet: &mut Outlet<S>) -> Poll<Result<(), SinkGone>> {
    outlet.poll_ready(&mut Context::from_waker(std::task::Waker::noop()))
}

fn read(counters: &Counters) -> Stats {
    counters.read()
}

#[test]
fn batches_are_numbered_without_gaps_over_all_sockets() {
    let Bench { gate, counters, mut intake, .. } = bench();
    intake.on_frame(frame(&[7, 8]).into(), at(0), 1);
    intake.on_frame(Bytes::from_static(&[0]), at(1), 1);
    intake.on_frame(cut(frame(&[9])).into(), at(2), 2);
    intake.on_frame(frame(&[10]).into(), at(3), 2);
    assert_eq!(*gate.batches.lock().unwrap(), [(1, 1), (2, 1), (3, 2), (4, 2)]);
    let stats = read(&counters);
    assert_eq!((stats.frames_delivered, stats.ticks, stats.heartbeats), (4, 3, 1));
    assert_eq!((stats.damaged_frames, stats.skipped_packets), (1, 0));
    assert!(stats.last_delivery.is_some());
}

#[test]
fn damaged_frames_are_told_once_a_second_with_the_number_untold() {
    let Bench { gate, counters, mut told, mut intake } = bench();
    for millis in [0, 1, 500, 999, 1_000, 1_500, 60_000] {
        intake.on_frame(cut(frame(&[7, 8])).into(), at(millis), 1);
    }
    let untold: Vec<u64> = std::iter::from_fn(|| told.try_recv().ok())
        .map(|tagged| match tagged.event {
            Event::FrameDamaged {
                fault: FrameFault::TruncatedPacket { .. },
                bytes_left: 9,
                untold,
            } => untold,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(untold, [0, 3, 1]);
    assert_eq!(read(&counters).damaged_frames, 7);
    let batches = gate.seen().into_iter().filter(|seen| *seen == Seen::Tokens(vec![7]));
    assert_eq!(batches.count(), 7, "the good packet before the damage is delivered each time");
    let events: Vec<Seen> =
        gate.seen().into_iter().filter(|seen| matches!(seen, Seen::Damaged(_))).collect();
    assert_eq!(events, [0, 3, 1].map(Seen::Damaged));
}

#[test]
fn a_sink_can_have_every_frame_as_it_was_received() {
    #[derive(Default)]
    struct Keeps(Arc<Mutex<Vec<(Bytes, usize)>>>);

    impl Sink for Keeps {
        fn on_batch(&mut self, batch: &Batch) {
            self.0.lock().unwrap().push((batch.frame().clone(), batch.ticks.len()));
        }

        fn on_event(&mut self, _: &Event) {}
    }

    let sink = Keeps::default();
    let kept = Arc::clone(&sink.0);
    let mut intake = Intake::new(sink, Arc::default(), EventLane::default().sender(1), gaps());
    let frames: Vec<Bytes> =
        vec![frame(&[7, 8]).into(), cut(frame(&[7, 8])).into(), Bytes::from_static(&[0])];
    for frame in &frames {
        intake.on_frame(frame.clone(), at(0), 1);
    }
    let kept = kept.lock().unwrap();
    assert_eq!(*kept, frames.iter().cloned().zip([2, 1, 0]).collect::<Vec<_>>());
    let memory = |frame: &Bytes| frame.as_ptr();
    assert!(kept.iter().map(|(frame, _)| memory(frame)).eq(frames.iter().map(memory)));
}

#[test]
fn packets_of_unknown_length_are_skipped_and_told_apart_from_damage() {
    let Bench { gate, counters, mut intake, .. } = bench();
    let mut odd = frame(&[7]);
    odd[1] = 3;
    odd.extend_from_slice(&[0, 5, 1, 2, 3, 4, 5]);
    odd.extend_from_slice(&frame(&[8])[2..]);
    for millis in [0, 10, 1_010] {
        intake.on_frame(odd.clone().into(), at(millis), 1);
    }
    intake.on_frame(cut(frame(&[9])).into(), at(1_011), 1);
    let tokens = || Seen::Tokens(vec![7, 8]);
    let skipped = |untold| Seen::Skipped { length: 5, packets: 1, untold };
    let expected = [
        skipped(0),
        tokens(),
        tokens(),
        skipped(1),
        tokens(),
        Seen::Damaged(0),
        Seen::Tokens(vec![]),
    ];
    assert_eq!(gate.seen(), expected);
    assert_eq!((read(&counters).skipped_packets, read(&counters).damaged_frames), (3, 1));
}

#[test]
fn an_empty_frame_is_damage_and_no_panic() {
    let Bench { gate, counters, mut intake, .. } = bench();
    intake.on_frame(Bytes::new(), at(0), 1);
    assert_eq!(gate.seen(), [Seen::Damaged(0), Seen::Tokens(vec![])]);
    assert_eq!(read(&counters).heartbeats, 0);
}

#[tokio::test]
async fn a_full_queue_holds_back_and_loses_nothing() {
    let Bench { gate, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(4));
    let (mut expected, mut next) = (Vec::new(), 1);
    let mut give = |outlet: &mut Outlet<Gated>, expected: &mut Vec<Seen>| {
        outlet.frame(frame(&[next]).into(), at(0), 1);
        outlet.event(opening(next));
        expected.extend([Seen::Tokens(vec![next]), Seen::Attempt(next)]);
        next += 1;
    };
    while poll_now(&mut outlet).is_ready() {
        give(&mut outlet, &mut expected);
        run_parser().await;
        assert!(expected.len() < 20, "the queue has no end");
    }
    assert!(expected.len() >= 4, "the queue has its length");
    assert!(gate.seen().is_empty());
    // Events come when they come, whatever the queue.
    for attempt in 100..110 {
        outlet.event(opening(attempt));
        expected.push(Seen::Attempt(attempt));
    }
    gate.open();
    for _ in 0..200 {
        std::future::poll_fn(|cx| outlet.poll_ready(cx)).await.unwrap();
        give(&mut outlet, &mut expected);
    }
    outlet.finish(Duration::from_secs(60)).await;
    assert_eq!(gate.seen(), expected);
    assert_eq!(Arc::strong_count(&gate), 1, "the sink is gone with the outlet");
}

#[tokio::test]
async fn a_queue_is_full_by_its_bytes_too_and_events_pass() {
    let Bench { gate, counters, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(1_000));
    let large = frame(&vec![7; 10_000]);
    let give = |outlet: &mut Outlet<Gated>| {
        // As the socket's task does.
        counters.socket.bytes.add(large.len() as u64);
        outlet.frame(large.clone().into(), at(0), 1);
    };
    let mut given = 0;
    while poll_now(&mut outlet).is_ready() {
        give(&mut outlet);
        given += large.len() as u64;
        run_parser().await;
    }
    let full = outlet::MOST_BYTES..outlet::MOST_BYTES + large.len() as u64;
    assert!(full.contains(&given), "{given}");
    assert_eq!(read(&counters).bytes_queued, given);
    outlet.event(opening(5));
    assert!(poll_now(&mut outlet).is_pending(), "the event has gone, a frame may not");
    gate.open();
    std::future::poll_fn(|cx| outlet.poll_ready(cx)).await.unwrap();
    give(&mut outlet);
    outlet.finish(Duration::from_secs(60)).await;
    assert_eq!(read(&counters).bytes_queued, 0);
    assert_eq!(gate.seen().len() as u64, given / large.len() as u64 + 2);
    assert_eq!(gate.seen().iter().rev().nth(1), Some(&Seen::Attempt(5)));
}

#[tokio::test]
async fn events_behind_a_full_queue_arrive_though_no_frame_comes() {
    let Bench { gate, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(1));
    for attempt in 1..=10 {
        outlet.event(opening(attempt));
        run_parser().await;
    }
    gate.open();
    let all: Vec<Seen> = (1..=10).map(Seen::Attempt).collect();
    let arrived = std::future::poll_fn(|cx| {
        outlet.poll_events(cx);
        // The queue wakes this task for each place that becomes free.
        if matches!(&outlet, Outlet::Queue(queue) if queue.events.is_empty()) {
            return Poll::Ready(());
        }
        Poll::Pending
    });
    tokio::time::timeout(Duration::from_secs(60), arrived).await.unwrap();
    run_parser().await;
    assert_eq!(gate.seen(), all);
}

#[tokio::test]
async fn a_sink_that_panics_is_reported_and_harms_nobody_else() {
    let Bench { gate, intake, .. } = bench();
    gate.open();
    let mut outlet = Outlet::new(intake, Some(4));
    std::future::poll_fn(|cx| outlet.poll_ready(cx)).await.unwrap();
    outlet.frame(frame(&[0]).into(), at(0), 1);
    run_parser().await;
    assert!(matches!(poll_now(&mut outlet), Poll::Ready(Err(SinkGone))));
    outlet.frame(frame(&[1]).into(), at(0), 1);
    outlet.event(opening(1));
    assert!(matches!(poll_now(&mut outlet), Poll::Ready(Err(SinkGone))));
    outlet.finish(Duration::from_secs(60)).await;
    assert!(gate.seen().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_panics_behind_a_full_queue_is_reported_too() {
    let Bench { gate, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(1));
    while poll_now(&mut outlet).is_ready() {
        outlet.frame(frame(&[0]).into(), at(0), 1);
        run_parser().await;
    }
    gate.open();
    let begun = tokio::time::Instant::now();
    let ready = std::future::poll_fn(|cx| outlet.poll_ready(cx));
    let gone = tokio::time::timeout(Duration::from_secs(60), ready).await.unwrap();
    assert!(gone.is_err());
    assert_eq!(begun.elapsed(), Duration::ZERO, "it was woken");
}

#[tokio::test(start_paused = true)]
async fn a_sink_that_takes_nothing_does_not_hold_up_the_end() {
    let Bench { gate, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(2));
    while poll_now(&mut outlet).is_ready() {
        outlet.frame(frame(&[1]).into(), at(0), 1);
        run_parser().await;
    }
    let begun = tokio::time::Instant::now();
    outlet.finish(Duration::from_secs(2)).await;
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(Arc::strong_count(&gate), 1, "the sink is gone");
}

#[test]
fn in_place_the_sinks_readiness_is_the_outlets() {
    let Bench { gate, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, None);
    assert!(poll_now(&mut outlet).is_pending());
    outlet.event(opening(1));
    assert_eq!(gate.seen(), [Seen::Attempt(1)], "events do not wait");
    gate.open();
    assert!(poll_now(&mut outlet).is_ready());
    outlet.frame(frame(&[1]).into(), at(0), 1);
    assert_eq!(gate.seen().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_to_a_sink_that_panicked_holds_nobody_back_and_nothing() {
    let Bench { gate, counters, intake, .. } = bench();
    let mut outlet = Outlet::new(intake, Some(64));
    gate.open();
    let large = frame(&vec![7; 60_000]);
    for bytes in [frame(&[0]), large.clone(), large] {
        assert!(poll_now(&mut outlet).is_ready());
        counters.socket.bytes.add(bytes.len() as u64);
        outlet.frame(bytes.into(), at(0), 1);
    }
    assert!(poll_now(&mut outlet).is_pending());
    let since = tokio::time::Instant::now();
    outlet.finish(Duration::from_secs(2)).await;
    assert_eq!((since.elapsed(), read(&counters).bytes_queued), (Duration::ZERO, 0));
}
