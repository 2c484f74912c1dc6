#!/usr/bin/env bash
# Records 3,000 instruments of a simulated market with faults for half a minute, makes bars with
# `kite candles`, computes them again with polars from the exported ticks, and compares every column
# of every bar; exits with 1 if any differs. Needs a Rust toolchain, Python 3 with venv, and, the
# first time, network access.
#
#   checks/candles/run.sh
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
venv=${KITE_CHECK_VENV:-$target/check-parquet-venv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$venv/bin/python" -c 'import polars, pyarrow' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet pyarrow polars
fi
cargo build --locked -p kiteticker-cli --bin kite
cargo build --locked -p tape-checks --example faulty_market
kite=$target/debug/kite

# The recording must be of one day in India.
india() { TZ=Asia/Kolkata date "$@"; }
if [ "$(india +%H%M)" -ge 2357 ]; then
    sleep $((60 * (60 - 10#$(india +%M)) + 1))
fi
# It trades at any time of any day.
printf 'all %s 00:00-24:00\n' "$(india +%F)" >"$work/hours"

mkdir "$work/tapes"
"$target/debug/examples/faulty_market" "$work/tapes"
"$kite" export "$work/tapes" --no-depth --quiet \
    --to "$work/ticks.parquet" --events "$work/events.parquet" >/dev/null
"$kite" candles "$work/tapes" --every 1s,5s,1m,1d --sessions "$work/hours" \
    --to "$work/bars.parquet" --json >"$work/summary.json"
"$venv/bin/python" checks/candles/check.py "$work"
