//! The cost of handing a checked frame to its consumers.
//!
//! `cargo bench -p benches --bench delivery`. Everything runs on one thread, which excludes the
//! cost of waking another. Each frame is handed over and received; its contents are not read. The
//! hub of a manager cannot be reached without sockets; `benches/instructions.sh stream/200x1`
//! counts its instructions.

use std::hint::black_box;

use benches::{Contents, frame};
use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kite_wire::TickBatch;
use kiteticker_async_manager::TickerMessage;
use kiteticker_async_manager::kite_conn::{
    Batch, Event, Lane, LaneConfig, LaneItem, LaneSink, Overflow, Sink, Stamp, lane,
};
use tokio::sync::{broadcast, mpsc};

const PACKETS: u32 = 200;
/// The capacity of the default lane in frames.
const SLOTS: usize = 64;

fn batch() -> Batch {
    // An encoded frame is undamaged.
    let ticks = TickBatch::new(Bytes::from(frame(Contents::Full, 0, PACKETS)));
    Batch::new(ticks.unwrap_or_else(|damaged| damaged.batch), Stamp::now(), 1, 1)
}

fn group<'c>(c: &'c mut Criterion, name: &str) -> BenchmarkGroup<'c, WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    group
}

fn ends(overflow: Overflow) -> (LaneSink, Lane) {
    let config = LaneConfig { frames: SLOTS, overflow, ..LaneConfig::default() };
    #[expect(clippy::expect_used, reason = "the bounds are valid")]
    lane(config).expect("a valid configuration")
}

fn ticks_in(item: &LaneItem) -> usize {
    match item {
        LaneItem::Batch(batch) | LaneItem::Conflated { batch, .. } => batch.ticks.len(),
        _ => 0,
    }
}

const OVERFLOWS: [Overflow; 3] = [Overflow::Block, Overflow::DropOldest, Overflow::Conflate];

fn through_a_lane(c: &mut Criterion) {
    let batch = batch();
    let mut group = group(c, "a frame through a lane");
    let (sender, mut receiver) = mpsc::channel::<Batch>(SLOTS);
    group.bench_function("by hand, a tokio channel", |b| {
        b.iter(|| {
            let _ = sender.try_send(black_box(&batch).clone());
            receiver.try_recv().map_or(0, |batch| batch.ticks.len())
        });
    });
    for overflow in OVERFLOWS {
        let (mut sink, mut lane) = ends(overflow);
        group.bench_function(format!("{overflow:?}"), |b| {
            b.iter(|| {
                sink.on_batch(black_box(&batch));
                lane.try_recv().map_or(0, |item| ticks_in(&item))
            });
        });
    }
    group.finish();
}

fn into_a_full_lane(c: &mut Criterion) {
    let batch = batch();
    let mut group = group(c, "a frame into a full lane");
    for overflow in [Overflow::DropOldest, Overflow::Conflate] {
        let (mut sink, lane) = ends(overflow);
        for _ in 0..SLOTS {
            sink.on_batch(&batch);
        }
        group.bench_function(format!("{overflow:?}"), |b| {
            b.iter(|| sink.on_batch(black_box(&batch)));
        });
        drop(lane);
    }
    group.finish();
}

/// Counts the ticks that it receives.
#[derive(Default)]
struct Count(usize);

impl Sink for Count {
    fn on_batch(&mut self, batch: &Batch) {
        self.0 += batch.ticks.len();
    }

    fn on_event(&mut self, _: &Event) {}
}

fn to_sinks(c: &mut Criterion) {
    let batch = batch();
    let mut group = group(c, "a frame to counting sinks");
    let mut one = Count::default();
    group.bench_function("one", |b| b.iter(|| one.on_batch(black_box(&batch))));
    let mut two = (Count::default(), Count::default());
    group.bench_function("a pair", |b| b.iter(|| two.on_batch(black_box(&batch))));
    let pair = || (Count::default(), Count::default());
    let mut four = (pair(), pair());
    group.bench_function("a pair of pairs", |b| b.iter(|| four.on_batch(black_box(&batch))));
    group.finish();
}

/// The rings of the facade are broadcast channels whose messages are references to the frame.
fn through_a_channel(c: &mut Criterion) {
    let batch = batch();
    let mut group = group(c, "a frame through a broadcast channel");
    for receivers in [1, 16] {
        let (sender, first) = broadcast::channel::<TickerMessage>(SLOTS);
        let mut all: Vec<_> = (1..receivers).map(|_| sender.subscribe()).collect();
        all.push(first);
        group.bench_function(format!("messages, to {receivers}"), |b| {
            b.iter(|| {
                let ticks = black_box(&batch).ticks.clone();
                let _ = sender.send(TickerMessage::Ticks(ticks.into()));
                let received = all.iter_mut().map(|receiver| match receiver.try_recv() {
                    Ok(TickerMessage::Ticks(ticks)) => ticks.len(),
                    _ => 0,
                });
                received.sum::<usize>()
            });
        });
        let (sender, first) = broadcast::channel::<Bytes>(SLOTS);
        let mut all: Vec<_> = (1..receivers).map(|_| sender.subscribe()).collect();
        all.push(first);
        group.bench_function(format!("raw, to {receivers}"), |b| {
            b.iter(|| {
                let _ = sender.send(black_box(&batch).frame().clone());
                all.iter_mut().map(|it| it.try_recv().map_or(0, |it| it.len())).sum::<usize>()
            });
        });
    }
    // The cost per receiver if the message held its ticks instead of a reference to the frame.
    let ticks = kiteticker_async_manager::TickBatch::from(batch.ticks).to_vec();
    group.bench_function("by hand, a copy of the ticks", |b| {
        b.iter(|| black_box(black_box(&ticks).clone()).len());
    });
    group.finish();
}

criterion_group!(benches, through_a_lane, into_a_full_lane, to_sinks, through_a_channel);
criterion_main!(benches);
