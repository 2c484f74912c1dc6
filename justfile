# `just` lists the recipes. Each is one plain command, so none of them needs `just`.

_default:
    @just --list

# The `kite` command; without arguments a demo with the simulator. Needs no account.
kite *args:
    cargo run --release -- {{args}}

# A program of at most 80 lines that uses the library, against the simulator: first_ticks, orders, token_file, sigterm, two_accounts, option_chain, price_alerts, record, replay, vwap, load_parquet.
example name="first_ticks" *args:
    cargo run --example {{name}} -- {{args}}

# All tests, including doc tests.
test *args:
    cargo test --workspace {{args}}

# Everything that must pass before a change is merged.
ci:
    .ci/run

# Benches of the hot paths.
bench *args:
    cargo bench -p benches {{args}}

# Instructions of the hot paths against their baselines; needs valgrind (a minute). `instructions --accept` updates the baselines.
instructions *args="--check":
    benches/instructions.sh {{args}}

# One fuzz target (frame, packet, client, columns, command, contracts, instruments, session, tape, text, websocket) for some seconds; needs nightly and cargo-fuzz.
fuzz target="frame" seconds="60": (corpus "unpack" target)
    cargo +nightly fuzz run {{target}} -- -max_total_time={{seconds}}

# Unpacks or packs the fuzzers' corpus, of the named targets or of all.
corpus action *targets:
    cargo run -q -p fuzz-checks --example corpus -- {{action}} {{targets}}

# Checks every promise of docs/reliability.md under ten thousand faults on real sockets (five minutes).
chaos *args:
    cargo run --release -p kite-chaos -- {{args}}

# Checks what a relay promises, between a faulty server and misbehaving clients (ten minutes).
relay *args:
    cargo run --release -p relay-checks -- {{args}}

# Checks that a published Kite client reads a replayed tape.
published-client:
    cargo test --manifest-path checks/published-client/Cargo.toml

# Connects the official Python and Node clients to `kite sim` and `kite replay`.
clients *scenarios:
    checks/clients/run.sh {{scenarios}}

# Checks the page of `kite serve`; needs Node with npm, and Chromium.
page:
    checks/page/run.sh

# Checks the screens of `kite` in a terminal; needs tmux.
screens:
    checks/terminal/run.sh

# Runs the Python and SQL recipes of the documentation; needs Python and its package index.
recipes:
    checks/recipes/run.sh

# Checks that pyarrow and polars read exported Parquet; needs Python and its package index.
parquet:
    checks/parquet/run.sh

# Measures the cost of recording a day of 9,000 instruments (minutes, 10 GB of disk).
tape-rate *args:
    cargo run --release -p kite-tape --example rate -- {{args}}

# Trading days in simulated time (minutes).
days count="2000":
    KITE_DAYS={{count}} cargo test --release -p kite-conn --lib -- --ignored --nocapture thousands

# Compares decoding with the published Rust clients (minutes).
bench-peers *args:
    cargo bench --manifest-path benches/peers/Cargo.toml {{args}}

# Compares latency from socket to application with a bare loop and a published client (half an hour).
bench-end-to-end *args:
    cargo run --release --manifest-path benches/end-to-end/Cargo.toml -- {{args}}

# Formats all code, including the separate workspaces.
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
