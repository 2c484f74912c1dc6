use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::task::AtomicWaker;
use kite_wire::FrameFault;

use super::*;
use crate::clock::Stamp;
use crate::observe::{Counters, Event, EventLane, EventReceiver, GapTracker, Stats};

/// What a sink received: the tokens of a batch, or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Seen {
    Tokens(Vec<u32>),
    Attempt(u32),
    Damaged(u64),
    Skipped { length: usize, packets: u16, suppressed: u64 },
}

fn gaps() -> GapTracker {
    GapTracker::new(None, Arc::default(), Duration::from_secs(10), std::time::SystemTime::now)
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

/// Accepts nothing before its gate opens, and panics on a batch with token 0.
struct Gated(Arc<Gate>);

impl Sink for Gated {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.waker.register(cx.waker());
        if self.0.open.load(Ordering::Acquire) { Poll::Ready(()) } else { Poll::Pending }
    }

    fn on_batch(&mut self, batch: &Batch) {
        let tokens: Vec<u32> = batch.ticks.iter().map(|tick| tick.instrument_token).collect();
        assert!(!tokens.contains(&0), "this sink panics on token 0");
        self.0.batches.lock().unwrap().push((batch.sequence, batch.epoch));
        self.0.seen.lock().unwrap().push(Seen::Tokens(tokens));
    }

    fn on_event(&mut self, event: &Event) {
        let seen = match *event {
            Event::Opening { attempt } => Seen::Attempt(attempt),
            Event::FrameDamaged { suppressed, .. } => Seen::Damaged(suppressed),
            Event::PacketsSkipped { length, packets, suppressed } => {
                Seen::Skipped { length, packets, suppressed }
            }
            ref other => panic!("not sent by these tests: {other:?}"),
        };
        self.0.seen.lock().unwrap().push(seen);
    }
}

struct Bench {
    gate: Arc<Gate>,
    counters: Arc<Counters>,
    events: EventReceiver,
    intake: Intake<Gated>,
}

fn bench() -> Bench {
    let (gate, counters, lane) =
        (Arc::<Gate>::default(), Arc::<Counters>::default(), EventLane::default());
    let events = lane.subscribe();
    let intake =
        Intake::new(Gated(Arc::clone(&gate)), Arc::clone(&counters), lane.sender(1), gaps());
    Bench { gate, counters, events, intake }
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

fn poll_now<S: Sink>(intake: &mut Intake<S>) -> Poll<()> {
    intake.poll_ready(&mut Context::from_waker(std::task::Waker::noop()))
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
fn damaged_frames_are_reported_once_a_second_with_the_number_suppressed() {
    let Bench { gate, counters, mut events, mut intake } = bench();
    for millis in [0, 1, 500, 999, 1_000, 1_500, 60_000] {
        intake.on_frame(cut(frame(&[7, 8])).into(), at(millis), 1);
    }
    let suppressed: Vec<u64> = std::iter::from_fn(|| events.try_recv().ok())
        .map(|tagged| match tagged.event {
            Event::FrameDamaged {
                fault: FrameFault::TruncatedPacket { .. },
                bytes_left: 9,
                suppressed,
            } => suppressed,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(suppressed, [0, 3, 1]);
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
fn packets_of_unknown_length_are_skipped_and_distinguished_from_damage() {
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
    let skipped = |suppressed| Seen::Skipped { length: 5, packets: 1, suppressed };
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
fn an_empty_frame_is_damaged_and_does_not_panic() {
    let Bench { gate, counters, mut intake, .. } = bench();
    intake.on_frame(Bytes::new(), at(0), 1);
    assert_eq!(gate.seen(), [Seen::Damaged(0), Seen::Tokens(vec![])]);
    assert_eq!(read(&counters).heartbeats, 0);
}

#[test]
fn the_intake_is_ready_when_its_sink_is_and_events_do_not_wait() {
    let Bench { gate, mut intake, .. } = bench();
    assert!(poll_now(&mut intake).is_pending());
    intake.on_notice(opening(1));
    assert_eq!(gate.seen(), [Seen::Attempt(1)], "events do not wait");
    gate.open();
    assert!(poll_now(&mut intake).is_ready());
    intake.on_frame(frame(&[1]).into(), at(0), 1);
    assert_eq!(gate.seen().len(), 2);
}

#[test]
fn a_sink_that_has_no_room_when_nothing_waits_for_it_misses_the_rest_and_no_event() {
    let mut bench = bench();
    bench.gate.open();
    assert!(poll_now(&mut bench.intake).is_ready());
    bench.intake.on_frame(frame(&[1]).into(), at(1), 1);
    bench.gate.open.store(false, Ordering::Release);
    assert!(poll_now(&mut bench.intake).is_pending());
    bench.intake.stop_waiting();
    assert!(poll_now(&mut bench.intake).is_ready(), "reading goes on");
    bench.intake.on_frame(frame(&[2, 3]).into(), at(2), 1);
    bench.intake.on_notice(opening(7));
    bench.gate.open();
    assert!(poll_now(&mut bench.intake).is_ready());
    bench.intake.on_frame(cut(frame(&[4, 5])).into(), at(3), 1);
    bench.intake.on_frame(Bytes::from_static(&[0]), at(4), 1);
    assert_eq!(bench.gate.seen(), [Seen::Tokens(vec![1]), Seen::Attempt(7)]);
    let unread = bench.intake.unread();
    assert_eq!((unread.discarded_frames, unread.discarded_ticks), (2, 3), "no heartbeat");
    assert_eq!(bench.counters.read().frames_delivered, 1);
}
