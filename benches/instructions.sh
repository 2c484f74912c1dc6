#!/usr/bin/env bash
# Prints the instructions a packet of each decoding workload takes. Needs valgrind.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

cargo build --quiet --release -p benches --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions
packets=200000 # 1,000 rounds of 200

count() {
    valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" 2>&1 |
        sed -n 's/.*Collected : //p'
}

nothing=$(count nothing)
for workload in fields-{by-hand,frame,scan}{,-mixed} ticks-{by-hand,frame,scan} encode-by-hand encode; do
    all=$(count "$workload")
    awk -v n="$workload" -v c="$((all - nothing))" -v p="$packets" 'BEGIN { printf "%-24s %7.1f\n", n, c / p }'
done
