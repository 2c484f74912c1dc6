#!/usr/bin/env bash
# Builds the Python package into an environment of its own, checks its types and stubs, and runs its
# tests; exits with 1 at the first step that fails.
#
#   python/check.sh [PYTEST ARGUMENT...]
#
# Needs a Rust toolchain, Python 3.11 or later with venv, and Python's package index. The
# environment is kept in target/python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python3 -c 'import ensurepip, sys, venv; assert sys.version_info >= (3, 11)' || { echo 'Python 3.11 or later with venv is not installed' >&2; exit 1; }
cargo build --locked -p kiteticker-cli -p kite-export --example recipe_tape --bin kite
target=$(cargo metadata --format-version 1 --no-deps | python3 -c 'import json, sys; print(json.load(sys.stdin)["target_directory"])')

# Installed again when the list changes. It is copied last, so that an installation that was
# interrupted does not count.
work=$target/python
venv=$work/venv
mkdir -p "$work"
pip=("$venv/bin/pip" --quiet --disable-pip-version-check)
if ! cmp -s python/tests/requirements.txt "$work/requirements.txt"; then
    rm -rf "$venv"
    python3 -m venv "$venv"
    "${pip[@]}" install --requirement python/tests/requirements.txt
    cp python/tests/requirements.txt "$work"
fi
export PATH="$venv/bin:$PATH" CARGO_TARGET_DIR=$target
cargo clippy --manifest-path python/Cargo.toml --workspace --all-targets --locked -- -D warnings
cargo test --manifest-path python/Cargo.toml --package kiteticker-feed --locked

# The lines of README.md, but for the profile, which builds faster. First the wheel, alone in an
# environment, then from the checkout.
rm -rf "$work/wheels" "$work/alone"
(cd python && maturin build --profile dev --out "$work/wheels")
python3 -m venv "$work/alone"
"$work/alone/bin/pip" --quiet --disable-pip-version-check install --no-index "$work"/wheels/*.whl
"$work/alone/bin/python" -B -X dev -W error python/tests/new_user.py
"${pip[@]}" install --no-build-isolation --no-deps --force-reinstall \
    --config-settings=build-args='--profile dev' ./python

# From elsewhere, so that the installed package is what is imported.
cd "$work"
mypy --strict --package kiteticker
stubtest kiteticker
KITE=$target/debug/kite exec python -B -m pytest -p no:cacheprovider --numprocesses 4 \
    --rootdir "$OLDPWD/python" "$OLDPWD/python/tests" "$@"
