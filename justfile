# `just` lists the recipes. Each is one plain command, so none of them needs `just`.

_default:
    @just --list

# The `kite` command; without arguments a demo over the simulator. Needs no account.
kite *args:
    cargo run --release -- {{args}}

# A program of at most 80 lines over the library, against the simulator: first_ticks, orders, token_file, sigterm, two_accounts, record, replay, load_parquet.
example name="first_ticks" *args:
    cargo run --example {{name}} -- {{args}}

# All tests, doc tests included.
test *args:
    cargo test --workspace {{args}}

# Everything that must be green before a change goes in.
ci:
    .ci/run

# Benches of the hot paths.
bench *args:
    cargo bench -p benches {{args}}

# Instructions of the hot paths against their baselines; needs valgrind (a minute). `instructions --accept` sets these.
instructions *args="--check":
    benches/instructions.sh {{args}}

# One fuzz target (frame, packet, command, instruments, session, tape, text, websocket) for some seconds; needs nightly and cargo-fuzz.
fuzz target="frame" seconds="60": (corpus "unpack" target)
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# The fuzzers' corpus: `unpack` or `pack` it, that of one target or of all.
corpus action *targets:
    cargo run -q -p fuzz-checks --example corpus -- {{action}} {{targets}}

# Ten thousand faults on real sockets, against every promise of docs/reliability.md (five minutes).
chaos *args:
    cargo run --release -p kite-chaos -- {{args}}

# A replayed tape, as a published client of Kite's reads it.
published-client:
    cargo test --manifest-path checks/published-client/Cargo.toml

# The screens of `kite` in a terminal; needs tmux.
screens:
    checks/terminal/run.sh

# Exported Parquet read by pyarrow and polars; needs Python and its package index.
parquet:
    checks/parquet/run.sh

# What recording a day of nine thousand instruments costs (minutes, 10 GB of disk).
tape-rate *args:
    cargo run --release -p kite-tape --example rate -- {{args}}

# Trading days in simulated time (minutes).
days count="2000":
    KITE_DAYS={{count}} cargo test --release -p kite-conn --lib -- --ignored --nocapture thousands

# Decoding against the published Rust clients, which are built for it (minutes).
bench-peers *args:
    cargo bench --manifest-path benches/peers/Cargo.toml {{args}}

# From the socket to the application, against a bare loop and a published client (half an hour).
bench-end-to-end *args:
    cargo run --release --manifest-path benches/end-to-end/Cargo.toml -- {{args}}

# Formats all code, that of the workspaces apart too.
fmt:
    cargo fmt --all
    cargo fmt --manifest-path fuzz/Cargo.toml
    cargo fmt --manifest-path benches/end-to-end/Cargo.toml
    cargo fmt --manifest-path benches/peers/Cargo.toml
    cargo fmt --manifest-path checks/no-std/Cargo.toml
    cargo fmt --manifest-path checks/published-client/Cargo.toml

# Clippy with warnings denied.
lint:
    cargo clippy --workspace --all-targets --locked -- -D warnings

# Documentation of the workspace's own crates, with warnings denied.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
