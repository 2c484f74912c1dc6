#!/usr/bin/env bash
# Runs every Python and SQL recipe of the documentation against an exported tape of known contents,
# and compares what they compute with values worked out by hand; exits with 1 if any differs.
#
#   checks/recipes/run.sh
#
# Needs a Rust toolchain, Python 3 with venv, and Python's package index. The environment is
# temporary, unless KITE_RECIPES_VENV names a directory to keep it in.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
venv=${KITE_RECIPES_VENV:-$work/venv}
python3 -c 'import ensurepip, venv' || { echo 'Python 3 with venv is not installed' >&2; exit 1; }
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
pip=("$venv/bin/pip" --quiet --disable-pip-version-check)
"${pip[@]}" install --requirement checks/recipes/requirements.txt

cargo build --locked -p kiteticker-cli -p kite-export --example recipe_tape --bin kite
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')
kite=$target/debug/kite
# The package is built with the commands, in the same directory.
PATH=$(realpath "$venv/bin"):$PATH CARGO_TARGET_DIR=$target "${pip[@]}" install --no-build-isolation --no-deps \
    --config-settings=build-args='--profile dev' ./python

data=$work/data
mkdir "$data"
"$target/debug/examples/recipe_tape" "$data/day.ktape"
cp checks/recipes/instruments.csv "$data"
export_to() {
    "$kite" export "$data/day.ktape" --instruments-file "$data/instruments.csv" --quiet --to "$@"
}
export_to "$data/day.parquet" --events "$data/events.parquet"
export_to "$data/ist.parquet" --times us --time-zone ist
export_to "$data/ticks" --partition-by date,symbol
export_to "$data/day.csv"
export_to "$data/day.jsonl"

"$venv/bin/python" checks/recipes/check.py "$data" "$kite"
