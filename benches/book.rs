//! Adds the 3,000 instruments of one connection to its desired set and encodes their commands.
//!
//! `cargo bench -p benches --bench book`. The connection is never polled, so it opens no
//! socket. Placing instruments on several connections is measured by `balancer`.

use std::fmt::Write;
use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use kite_wire::{Command, Mode};
use kiteticker_async_manager::kite_conn::{
    Connection, ConnectionConfig, Credentials, EventLane, InPlace, MAX_INSTRUMENTS,
};

const INSTRUMENTS: u32 = 3_000;

/// Returns unordered tokens, as in a program's own list.
fn tokens() -> Vec<u32> {
    (0..INSTRUMENTS).map(|n| (n.wrapping_mul(0x9e37_79b9) >> 8) << 8 | 1).collect()
}

fn connection() -> (Connection, InPlace) {
    let credentials = Credentials::new("key", "token");
    #[expect(clippy::expect_used, reason = "the defaults are valid")]
    Connection::in_place(ConnectionConfig::default(), credentials, &EventLane::default(), 1)
        .expect("a valid configuration")
}

fn desired(c: &mut Criterion) {
    let tokens = tokens();
    let (full, _stream) = connection();
    assert!(full.subscribe(&tokens, Mode::Full).is_ok(), "all instruments fit");
    assert_eq!(full.desired().len(), MAX_INSTRUMENTS, "every token is unique");
    let mut group = c.benchmark_group("3,000 instruments");
    group.throughput(Throughput::Elements(u64::from(INSTRUMENTS)));
    group.bench_function("added", |b| {
        b.iter_batched_ref(
            connection,
            |(connection, _)| connection.subscribe(black_box(&tokens), Mode::Full),
            BatchSize::SmallInput,
        );
    });
    group.bench_function("added again", |b| {
        b.iter(|| full.subscribe(black_box(&tokens), Mode::Full));
    });
    group.bench_function("read back", |b| b.iter(|| full.desired().len()));
    group.finish();
}

/// Writes the commands that subscribe a new socket.
fn encode(tokens: &[u32], commands: &mut String) -> usize {
    commands.clear();
    for command in [Command::Subscribe(tokens), Command::Mode(Mode::Full, tokens)] {
        // Writing to a string cannot fail.
        let _ = write!(commands, "{command}");
    }
    commands.len()
}

/// Writes the same commands with a hand-written loop over the digits.
fn encode_by_hand(tokens: &[u32], commands: &mut String) -> usize {
    commands.clear();
    for (head, end) in
        [("{\"a\":\"subscribe\",\"v\":[", "]}"), ("{\"a\":\"mode\",\"v\":[\"full\",[", "]]}")]
    {
        commands.push_str(head);
        for (index, &token) in tokens.iter().enumerate() {
            if index > 0 {
                commands.push(',');
            }
            let (mut digits, mut at, mut left) = (['0'; 10], 10, token);
            while left > 0 || at == 10 {
                at -= 1;
                digits[at] = char::from_digit(left % 10, 10).unwrap_or('0');
                left /= 10;
            }
            commands.extend(&digits[at..]);
        }
        commands.push_str(end);
    }
    commands.len()
}

fn commands(c: &mut Criterion) {
    let tokens = tokens();
    let (mut ours, mut by_hand) = (String::with_capacity(1 << 17), String::with_capacity(1 << 17));
    encode(&tokens, &mut ours);
    encode_by_hand(&tokens, &mut by_hand);
    assert_eq!(ours, by_hand, "equal work on both sides");
    let mut group = c.benchmark_group("commands of 3,000 instruments");
    group.throughput(Throughput::Elements(u64::from(INSTRUMENTS)));
    group.bench_function("by hand", |b| {
        b.iter(|| encode_by_hand(black_box(&tokens), &mut by_hand));
    });
    group.bench_function("Command", |b| b.iter(|| encode(black_box(&tokens), &mut ours)));
    group.finish();
}

criterion_group!(benches, desired, commands);
criterion_main!(benches);
