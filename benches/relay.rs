//! What the relay adds to walking a frame: finding the clients of each packet, and building the
//! frames of which something is cut.
//!
//! `cargo bench -p benches --bench relay`

use std::hint::black_box;

use benches::{Contents, frame};
use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use kite_relay::{Changes, ClientId, Dispatcher, Groups, Queue, QueueConfig};
use kite_wire::{Command, Frame, Mode, ParsedCommand};

/// The instruments of one account.
const INSTRUMENTS: u32 = 9_000;

const PACKETS: u32 = 200;

/// Clients with these modes by instrument.
fn clients(clients: u64, mode_of: impl Fn(u64, u32) -> Option<Mode>) -> Groups {
    let mut groups = Groups::default();
    for client in 0..clients {
        for mode in Mode::ALL {
            let instruments = 0..INSTRUMENTS;
            let tokens = instruments.filter(|&n| mode_of(client, n) == Some(mode));
            let tokens: Vec<u32> = tokens.map(|n| n << 8 | 1).collect();
            let text = Command::Mode(mode, &tokens).to_string();
            if let Ok(command) = ParsedCommand::parse(&text) {
                groups.apply(ClientId(client), &Changes::of(command, |_| None));
            }
        }
    }
    groups
}

/// All frames of one round over all instruments, in full mode.
fn frames() -> Vec<Bytes> {
    let firsts = (0..INSTRUMENTS).step_by(PACKETS as usize);
    firsts.map(|first| frame(Contents::Full, first, PACKETS).into()).collect()
}

fn dispatch(c: &mut Criterion) {
    let frames = frames();
    let mut group = c.benchmark_group("dispatch");
    group.throughput(Throughput::Elements(u64::from(INSTRUMENTS)));
    group.bench_function("walk only", |b| {
        b.iter(|| {
            for bytes in &frames {
                black_box(Frame::walk(black_box(bytes)));
            }
        });
    });
    let all = |mode| move |_: u64, _: u32| Some(mode);
    let cases = [
        ("no client", clients(0, all(Mode::Full))),
        ("whole, 1 client", clients(1, all(Mode::Full))),
        ("whole, 50 equal clients", clients(50, all(Mode::Full))),
        ("every other, 1 client", clients(1, |_, n| (n % 2 == 0).then_some(Mode::Full))),
        ("quote, 1 client", clients(1, all(Mode::Quote))),
        ("ltp, 1 client", clients(1, all(Mode::Ltp))),
        (
            "mixed modes, 1 client",
            clients(1, |_, n| Some(Mode::ALL[n.wrapping_mul(0x9e37_79b9) as usize >> 16 & 1])),
        ),
        ("quote, 10 clients of a tenth", {
            clients(10, |client, n| (u64::from(n % 10) == client).then_some(Mode::Quote))
        }),
        ("quote, 10 clients of nine tenths", {
            clients(10, |client, n| (u64::from(n % 10) != client).then_some(Mode::Quote))
        }),
    ];
    for (name, groups) in &cases {
        let (mut dispatcher, mut shares) = (Dispatcher::default(), Vec::new());
        group.bench_function(*name, |b| {
            b.iter(|| {
                for bytes in &frames {
                    let bytes = black_box(bytes);
                    dispatcher.dispatch(groups, bytes, &Frame::walk(bytes), &mut shares);
                    black_box(&shares);
                    shares.clear();
                }
            });
        });
    }
    group.finish();
}

fn conflate(c: &mut Criterion) {
    let frames = frames();
    let mut queue = Queue::new(QueueConfig::default());
    let mut group = c.benchmark_group("queue");
    group.throughput(Throughput::Elements(u64::from(INSTRUMENTS)));
    group.bench_function("conflate, a client that reads nothing", |b| {
        b.iter(|| {
            for bytes in &frames {
                // The default policy disconnects no client.
                let _ = queue.push(black_box(bytes).clone(), PACKETS as u16);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, dispatch, conflate);
criterion_main!(benches);
