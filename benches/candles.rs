//! Bars from packets, compared with reading the five fields that bars are made of.
//!
//! `cargo bench -p benches --bench candles`; the results are in docs/candles.md.

use std::hint::black_box;

use benches::market::{INSTRUMENTS, ROUNDS, frames, read};
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use kite_candles::{Candles, Config};
use kite_wire::Scan;

fn bars(frames: &[(u64, Vec<u8>)], candles: Candles) -> u64 {
    let (mut candles, mut sum) = (candles, 0_u64);
    let mut out = |item: kite_candles::Item| sum += u64::from(item.bar().packets);
    for (at, frame) in frames {
        candles.advance(*at, &mut out);
        for packet in Scan::new(frame) {
            candles.on_packet(packet, *at, &mut out);
        }
    }
    candles.finish(&mut out);
    sum
}

fn candles(c: &mut Criterion) {
    let frames = frames(ROUNDS);
    let config = |every: &str| {
        let mut config = Config::default();
        config.every = every.parse().unwrap_or(config.every);
        config
    };
    let mut group: BenchmarkGroup<'_, _> = c.benchmark_group("candles");
    group.throughput(Throughput::Elements(u64::from(INSTRUMENTS * ROUNDS))).sample_size(20);
    group.bench_function("five fields", |b| {
        b.iter(|| {
            let read = black_box(&frames).iter().map(|(_, frame)| read(Scan::new(frame)));
            read.fold(0, u64::wrapping_add)
        });
    });
    for every in ["1m", "1s"] {
        group.bench_function(format!("bars of {every}, recorded"), |b| {
            b.iter(|| Candles::batch(config(every)).map(|it| bars(black_box(&frames), it)));
        });
    }
    group.bench_function("bars of 1m, live", |b| {
        b.iter(|| Candles::live(config("1m")).map(|it| bars(black_box(&frames), it)));
    });
    group.finish();
}

criterion_group!(benches, candles);
criterion_main!(benches);
