//! Owned ticks of 200 full packets: kite-wire, hand-written code and the published Rust clients.
//!
//! `cargo bench --manifest-path benches/peers/Cargo.toml`; the table is in benches/RESULTS.md.
//!
//! The peers are called through their public functions: `kiteconnect` returns a new `Vec` of its
//! ticks; 0.4.0 returns one tick per packet, which is pushed to a reused `Vec` here, whereas its
//! parser task allocates a new one.

use std::hint::black_box;

use benches::{Contents, by_hand, frame};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kite_wire::{Frame, Tick};

const PACKETS: u32 = 200;

fn ticks(c: &mut Criterion) {
    let frame = frame(Contents::Full, 0, PACKETS);
    let mut group = c.benchmark_group("owned ticks of 200 full packets");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));

    let mut flat = Vec::with_capacity(PACKETS as usize);
    group.bench_function("by hand", |b| {
        b.iter(|| {
            flat.clear();
            by_hand::full_ticks(black_box(&frame), &mut flat);
            black_box(&mut flat).len()
        });
    });

    let mut ours: Vec<Tick> = Vec::with_capacity(PACKETS as usize);
    group.bench_function("kite-wire", |b| {
        b.iter(|| {
            ours.clear();
            Frame::walk(black_box(&frame)).append_ticks(&mut ours);
            black_box(&mut ours).len()
        });
    });

    let mut old: Vec<kiteticker_0_4::Tick> = Vec::with_capacity(PACKETS as usize);
    group.bench_function("kiteticker-async-manager 0.4.0", |b| {
        b.iter(|| {
            old.clear();
            by_hand::bodies(black_box(&frame), |body| {
                old.extend(kiteticker_0_4::Tick::try_from(body));
            });
            black_box(&mut old).len()
        });
    });

    assert_eq!(kiteconnect::parse_binary(&frame).len(), PACKETS as usize);
    group.bench_function("kiteconnect 1.0.1", |b| {
        b.iter(|| black_box(kiteconnect::parse_binary(black_box(&frame))).len());
    });
    group.finish();
}

criterion_group!(benches, ticks);
criterion_main!(benches);
