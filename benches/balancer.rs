//! Places the 9,000 instruments of one account on three connections and encodes their commands.
//!
//! `cargo bench -p benches --bench balancer`

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use kite_wire::{Command, Mode};
use kiteticker_async_manager::kite_conn::Credentials;
use kiteticker_async_manager::kite_manager::{Manager, ManagerConfig};

/// The capacity of three connections.
const INSTRUMENTS: u32 = 9_000;

/// Creates a manager that is not started, so it places instruments but opens no socket.
fn manager() -> Manager {
    Manager::new(Credentials::new("key", "token"), ManagerConfig::default())
}

/// Returns unordered tokens of shares and options, as in a program's own list.
fn tokens() -> Vec<u32> {
    let spread = |n: u32| (n.wrapping_mul(0x9e37_79b9) >> 8) << 8 | (1 + n % 2);
    (0..INSTRUMENTS).map(spread).collect()
}

/// Writes the commands that subscribe a new socket to its instruments.
fn encode(tokens: &[u32], commands: &mut String) {
    commands.clear();
    for command in [Command::Subscribe(tokens), Command::Mode(Mode::Full, tokens)] {
        // Writing to a string cannot fail.
        let _ = write!(commands, "{command}");
    }
}

/// Writes the commands of every connection and returns their length in bytes.
fn encode_all(manager: &Manager, commands: &mut String) -> usize {
    let mut bytes = 0;
    for instruments in manager.distribution() {
        let tokens: Vec<u32> = instruments.into_keys().collect();
        encode(&tokens, commands);
        bytes += black_box(&*commands).len();
    }
    bytes
}

fn subscribe(c: &mut Criterion) {
    let tokens = tokens();
    let mut ascending = tokens.clone();
    ascending.sort_unstable();
    let full = manager();
    assert!(full.subscribe(&tokens, Mode::Full).is_ok(), "all instruments fit");
    let counts: Vec<usize> = full.distribution().iter().map(|on| on.len()).collect();
    assert_eq!(counts, [3_000; 3], "every token is unique");

    let mut group = c.benchmark_group("9,000 instruments");
    for (name, tokens) in [("placed", &tokens), ("placed, ascending", &ascending)] {
        group.bench_function(name, |b| {
            b.iter_batched_ref(
                manager,
                |manager| manager.subscribe(black_box(tokens), Mode::Full),
                BatchSize::SmallInput,
            );
        });
    }
    let mut commands = String::with_capacity(1 << 20);
    group.bench_function("placed and encoded", |b| {
        b.iter_batched_ref(
            manager,
            |manager| {
                let placed = manager.subscribe(black_box(&tokens), Mode::Full);
                (placed, encode_all(manager, &mut commands))
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("placed one by one", |b| {
        b.iter_batched_ref(
            manager,
            |manager| {
                for token in &tokens {
                    let _ = manager.subscribe(&[*token], Mode::Full);
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.bench_function("all placed already", |b| {
        b.iter(|| full.subscribe(black_box(&tokens), Mode::Full));
    });
    group.bench_function("another mode and back", |b| {
        b.iter(|| {
            full.set_mode(black_box(&tokens), Mode::Ltp);
            full.set_mode(black_box(&tokens), Mode::Full);
        });
    });
    group.bench_function("one removed and added again", |b| {
        b.iter(|| {
            full.unsubscribe(black_box(&tokens[4_000..4_001]));
            full.subscribe(black_box(&tokens[4_000..4_001]), Mode::Full)
        });
    });
    group.finish();
}

criterion_group!(benches, subscribe);
criterion_main!(benches);
