//! Decoding a frame of 200 full packets, side by side with a loop over offsets by hand.

use std::hint::black_box;

use benches::full_frame;
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kite_wire::{Frame, Tick, TickBatch};

const PACKETS: u32 = 200;

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Token, last price, volume, best bid and ask by offsets: what a careful hand would write.
fn by_hand(frame: &[u8]) -> u64 {
    let count = u16::from_be_bytes([frame[0], frame[1]]);
    let mut at = 2;
    let mut sum = 0_u64;
    for _ in 0..count {
        let length = usize::from(u16::from_be_bytes([frame[at], frame[at + 1]]));
        let body = &frame[at + 2..at + 2 + length];
        if length == 184 {
            for offset in [0, 4, 16, 68, 128] {
                sum = sum.wrapping_add(u64::from(u32_at(body, offset)));
            }
        }
        at += 2 + length;
    }
    sum
}

/// The same through the public views.
fn by_views(frame: &[u8]) -> u64 {
    let mut sum = 0_u64;
    for packet in Frame::walk(frame).packets() {
        let Some(full) = packet.full() else { continue };
        let segment = full.segment();
        let depth = full.depth();
        let prices = [
            full.last_price().raw(),
            depth.bids()[0].price(segment).raw(),
            depth.asks()[0].price(segment).raw(),
        ];
        for value in [full.instrument_token(), full.volume()] {
            sum = sum.wrapping_add(u64::from(value));
        }
        for price in prices {
            sum = sum.wrapping_add(u64::from(price.cast_unsigned()));
        }
    }
    sum
}

fn decode(c: &mut Criterion) {
    let frame = full_frame(PACKETS);
    assert_eq!(by_hand(&frame), by_views(&frame), "both sides do the same work");
    let mut group = c.benchmark_group("200 full packets");
    group.throughput(Throughput::Elements(u64::from(PACKETS)));
    group.bench_function("walk", |b| b.iter(|| Frame::walk(black_box(&frame)).packets().len()));
    group.bench_function("five fields by hand", |b| b.iter(|| by_hand(black_box(&frame))));
    group.bench_function("five fields by views", |b| b.iter(|| by_views(black_box(&frame))));
    let mut ticks: Vec<Tick> = Vec::with_capacity(PACKETS as usize);
    group.bench_function("owned ticks into a Vec", |b| {
        b.iter(|| {
            ticks.clear();
            ticks.extend(Frame::walk(black_box(&frame)).packets().map(Tick::from));
            ticks.len()
        });
    });
    let shared = Bytes::from(frame.clone());
    group.bench_function("batch of the facade, every tick", |b| {
        b.iter(|| {
            let Ok(batch) = TickBatch::new(black_box(&shared).clone()) else { return 0.0 };
            let batch = kiteticker_async_manager::TickBatch::from(batch);
            batch.iter().filter_map(|tick| tick.content.last_price).sum::<f64>()
        });
    });
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
