#!/usr/bin/env bash
# Exports a tape of every segment and mode, reads it with pyarrow and polars, and compares the sums
# of every column; exits with 1 if any differs. Needs a Rust toolchain, Python 3 with venv, and, the
# first time, network access.
#
#   checks/parquet/run.sh [TICKS]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

ticks=${1:-120000}
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
venv=${KITE_CHECK_VENV:-$target/check-parquet-venv}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! "$venv/bin/python" -c 'import polars, pyarrow' 2>/dev/null; then
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet pyarrow polars
fi

cargo build --release --locked -p kite-export --examples
run() {
    local example=$1
    shift
    "$target/release/examples/$example" "$@"
}

run make_tape "$work/day.ktape" "$ticks"
run sums "$work/day.ktape" symbols >"$work/sums.json"
run export "$work/day.ktape" "$work/decimal.parquet" symbols "events=$work/events.parquet" 2>/dev/null
run export "$work/day.ktape" "$work/float.parquet" float symbols 2>/dev/null
run export "$work/day.ktape" "$work/day.csv" symbols 2>/dev/null
run export "$work/day.ktape" "$work/day.jsonl" symbols 2>/dev/null
"$venv/bin/python" checks/parquet/check.py "$work/sums.json" \
    "$work/decimal.parquet" "$work/float.parquet" "$work/day.csv" "$work/day.jsonl"

# The events file must hold as many events of each kind as the tape.
"$venv/bin/python" - "$work/sums.json" "$work/events.parquet" <<'PYTHON'
import json, sys
import polars
records = json.load(open(sys.argv[1]))["records"]
records.pop("frame")
kinds = polars.read_parquet(sys.argv[2])["kind"].cast(polars.String).value_counts()
found = dict(kinds.iter_rows())
print(f"{'equal' if found == records else 'DIFFERS':8} events.parquet   by polars   {found}")
sys.exit(found != records)
PYTHON
