#!/usr/bin/env bash
# Sets the wall clock back and forward during a recording, and checks every recorded time; exits
# with 1 if one is wrong. The clock is faketime's: the machine's own is left alone. Needs a Rust
# toolchain and Debian's package `faketime`, which it installs if it may.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

library() {
    find /usr/lib -path '*/faketime/libfaketimeMT.so.1' -print -quit
}
faketime=$(library)
if [ -z "$faketime" ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update && apt-get install --yes --no-install-recommends libfaketime
    faketime=$(library)
fi
[ -n "$faketime" ] || { echo 'libfaketime is not installed' >&2; exit 1; }

cargo build --locked -p clock-check
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo '+0' >"$work/offset"
# The monotonic clock is not faked, as a clock that is set does not move it.
env LD_PRELOAD="$faketime" DONT_FAKE_MONOTONIC=1 FAKETIME_NO_CACHE=1 \
    FAKETIME_TIMESTAMP_FILE="$work/offset" "$target/debug/clock-check"
