//! Decoding and encoding, compared with code written by hand from the protocol's offsets.
//!
//! `cargo bench -p benches --bench decode`; the results are in benches/RESULTS.md.

use std::hint::black_box;

use benches::{Contents, by_hand, five_fields, frame, tick};
use bytes::Bytes;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kite_wire::{Frame, FrameEncoder, Scan, Tick, TickBatch};

/// Packets in a frame.
const PACKETS: u32 = 200;
/// Enough frames to exceed the caches: 67 MB of full packets.
const MANY: u32 = 1_800;

fn walked(frame: &[u8]) -> u64 {
    five_fields(Frame::walk(frame).packets())
}

fn scanned(frame: &[u8]) -> u64 {
    five_fields(Scan::new(frame))
}

fn group<'c>(
    c: &'c mut Criterion,
    name: &str,
    packets: u32,
) -> BenchmarkGroup<'c, criterion::measurement::WallTime> {
    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(u64::from(packets)));
    group
}

fn views(c: &mut Criterion) {
    for contents in Contents::ALL {
        let frame = frame(contents, 0, PACKETS);
        assert_eq!(by_hand::five_fields(&frame), walked(&frame), "equal work on both sides");
        let mut group = group(c, &format!("five fields, {contents:?}"), PACKETS);
        group.bench_function("by hand", |b| b.iter(|| by_hand::five_fields(black_box(&frame))));
        group.bench_function("frame", |b| b.iter(|| walked(black_box(&frame))));
        group.bench_function("scan", |b| b.iter(|| scanned(black_box(&frame))));
        group.finish();
    }
    let frames: Vec<_> = (0..MANY).map(|n| frame(Contents::Full, n * PACKETS, PACKETS)).collect();
    let mut group = group(c, "five fields, Full, beyond the caches", MANY * PACKETS);
    group.sample_size(20);
    group.bench_function("by hand", |b| {
        b.iter(|| frames.iter().map(|frame| by_hand::five_fields(frame)).fold(0, u64::wrapping_add))
    });
    group.bench_function("frame", |b| {
        b.iter(|| frames.iter().map(|frame| walked(frame)).fold(0, u64::wrapping_add))
    });
    group.bench_function("scan", |b| {
        b.iter(|| frames.iter().map(|frame| scanned(frame)).fold(0, u64::wrapping_add))
    });
    group.finish();
}

fn walk(c: &mut Criterion) {
    for contents in [Contents::Full, Contents::Mixed] {
        let frame = frame(contents, 0, PACKETS);
        let mut group = group(c, &format!("walk, {contents:?}"), PACKETS);
        group.bench_function("by hand", |b| {
            b.iter(|| {
                let mut packets = 0;
                by_hand::bodies(black_box(&frame), |body| packets += body.len());
                packets
            });
        });
        group.bench_function("walk", |b| b.iter(|| Frame::walk(black_box(&frame)).packets().len()));
        group.finish();
    }
}

fn ticks(c: &mut Criterion) {
    let frame = frame(Contents::Full, 0, PACKETS);
    let mut group = group(c, "owned ticks into a Vec", PACKETS);
    let mut flat = Vec::with_capacity(PACKETS as usize);
    group.bench_function("by hand", |b| {
        b.iter(|| {
            flat.clear();
            by_hand::full_ticks(black_box(&frame), &mut flat);
            black_box(&mut flat).len()
        });
    });
    let mut ticks: Vec<Tick> = Vec::with_capacity(PACKETS as usize);
    group.bench_function("frame", |b| {
        b.iter(|| {
            ticks.clear();
            Frame::walk(black_box(&frame)).append_ticks(&mut ticks);
            black_box(&mut ticks).len()
        });
    });
    group.bench_function("scan", |b| {
        b.iter(|| {
            ticks.clear();
            Scan::new(black_box(&frame)).append_ticks(&mut ticks);
            black_box(&mut ticks).len()
        });
    });
    group.bench_function("extend over the iterator", |b| {
        b.iter(|| {
            ticks.clear();
            ticks.extend(Frame::walk(black_box(&frame)).packets().map(Tick::from));
            black_box(&mut ticks).len()
        });
    });
    group.finish();
}

/// Reads every tick whole, without keeping it.
fn each_tick(c: &mut Criterion) {
    let frame = frame(Contents::Full, 0, PACKETS);
    let Ok(batch) = TickBatch::new(Bytes::copy_from_slice(&frame)) else { return };
    let mut group = group(c, "owned ticks, one at a time", PACKETS);
    group.bench_function("by hand", |b| {
        b.iter(|| {
            by_hand::each_full_tick(black_box(&frame), |tick| {
                black_box(&tick);
            });
        });
    });
    group.bench_function("for_each", |b| {
        b.iter(|| {
            black_box(&batch).iter().for_each(|tick| {
                black_box(&tick);
            });
        });
    });
    group.bench_function("for loop", |b| {
        b.iter(|| {
            for tick in black_box(&batch) {
                black_box(&tick);
            }
        });
    });
    group.finish();
}

/// Iterates over a frame as a user of the facade's message channel does.
fn facade(c: &mut Criterion) {
    let shared = Bytes::from(frame(Contents::Full, 0, PACKETS));
    let mut group = group(c, "last price of every tick", PACKETS);
    group.bench_function("by hand", |b| {
        b.iter(|| {
            let mut sum = 0.0;
            by_hand::bodies(black_box(&shared), |body| {
                let raw = i32::from_be_bytes([body[4], body[5], body[6], body[7]]);
                sum += f64::from(raw) / 100.0;
            });
            sum
        });
    });
    group.bench_function("for tick in &ticks", |b| {
        b.iter(|| {
            let Ok(batch) = TickBatch::new(black_box(&shared).clone()) else { return 0.0 };
            let batch = kiteticker_async_manager::TickBatch::from(batch);
            batch.iter().filter_map(|tick| tick.content.last_price).sum::<f64>()
        });
    });
    group.finish();
}

fn encode(c: &mut Criterion) {
    let frame = frame(Contents::Full, 0, PACKETS);
    let ticks: Vec<Tick> = (0..PACKETS).map(|n| tick(Contents::Full, n)).collect();
    let mut flat = Vec::new();
    by_hand::full_ticks(&frame, &mut flat);
    let mut buffer = vec![0; frame.len()];
    assert_eq!(by_hand::encode(&flat, &mut buffer), frame.len());
    assert_eq!(buffer, frame, "equal work on both sides");
    let mut group = group(c, "encode full packets", PACKETS);
    group.bench_function("by hand", |b| {
        b.iter(|| by_hand::encode(black_box(&flat), &mut buffer));
    });
    group.bench_function("FrameEncoder", |b| {
        b.iter(|| {
            let Ok(mut frame) = FrameEncoder::new(&mut buffer) else { return 0 };
            for tick in black_box(&ticks) {
                let _ = frame.push(tick);
            }
            frame.finish().len()
        });
    });
    group.finish();
}

criterion_group!(benches, views, walk, ticks, each_tick, facade, encode);
criterion_main!(benches);
