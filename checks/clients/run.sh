#!/usr/bin/env bash
# Connects the official Python and Node clients, unmodified, to the servers of `kite`, and checks
# what they receive and report; exits with 1 at the first difference.
#
#   checks/clients/run.sh [--large] [SCENARIO...]
#
# Needs a Rust toolchain, Python 3 with venv, Python's and npm's package indexes. Node is installed
# if it is missing, where that is possible. The clients are kept in target/clients.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=checks/clients

if ! command -v npm >/dev/null && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    # Some packages of Node contain npm and conflict with Debian's.
    apt-get update && apt-get install --yes --no-install-recommends nodejs
    command -v npm >/dev/null || apt-get install --yes --no-install-recommends npm
fi
command -v npm >/dev/null || { echo 'Node with npm is not installed' >&2; exit 1; }
python3 -c 'import ensurepip, venv' || { echo 'Python 3 with venv is not installed' >&2; exit 1; }

cargo build --locked -p kiteticker-cli --bin kite
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# The clients are installed again when their lists change. The lists are copied last, so that an
# installation that was interrupted does not count.
clients=$target/clients
mkdir -p "$clients"
if ! cmp -s $here/requirements.txt "$clients/requirements.txt" || ! "$clients/venv/bin/python" -c 'import kiteconnect' 2>/dev/null; then
    rm -rf "$clients/venv"
    python3 -m venv "$clients/venv"
    "$clients/venv/bin/pip" install --quiet --disable-pip-version-check --requirement $here/requirements.txt
    cp $here/requirements.txt "$clients"
fi
if ! cmp -s $here/package-lock.json "$clients/node_modules/package-lock.json"; then
    cp $here/package.json $here/package-lock.json "$clients"
    npm ci --prefix "$clients" --ignore-scripts --no-audit --no-fund --silent
    cp $here/package-lock.json "$clients/node_modules"
fi

NODE_PATH=$clients/node_modules exec "$clients/venv/bin/python" -B $here/check.py "$target/debug/kite" "$@"
