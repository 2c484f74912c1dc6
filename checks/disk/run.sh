#!/usr/bin/env bash
# Records into a file system of 1 MB until it is full and beyond, packs the tape while it is full, and
# checks what is reported and what is on the tapes; exits with 1 if something is wrong. Needs a Rust toolchain and Python 3, and
# root to mount a file system in memory; is skipped without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

work=$(mktemp -d)
clean() {
    mountpoint -q "$work/disk" && umount "$work/disk"
    rm -rf "$work"
}
trap clean EXIT
mkdir "$work/disk"
if ! mount -t tmpfs -o size=1m tmpfs "$work/disk" 2>/dev/null; then
    echo 'Skipped: cannot mount a file system in memory.'
    exit 0
fi

cargo build --locked -p kiteticker-cli
kite=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/kite

status=0
report=$("$kite" record --sim --rate 200 --mode full --zstd-level 0 --for 8s --json \
    --to "$work/disk/tapes" 2>"$work/errors") || status=$?
errors=$(cat "$work/errors")

fail() {
    printf '%s\n%s\n%s\n' "$1" "$report" "$errors" >&2
    exit 1
}

[ "$status" -eq 1 ] || fail "the status on a full disk is $status, not 1"
grep -q 'No space left on device.*lost so far' "$work/errors" || fail 'the full disk was not reported while it lasted'
"$kite" inspect --json "$work/disk/tapes" >"$work/found" || fail 'the tapes are damaged'
python3 - "$report" "$work/found" <<'PYTHON' || fail 'the report and the tapes differ'
import json, sys
report, found = json.loads(sys.argv[1]), json.load(open(sys.argv[2]))
lost = sum(gap["frames"] for gap in found["gaps"] if gap["reason"] == "write_failed")
print(f"full disk: {report['frames']} frames on the tapes, {report['lost']} lost, gaps of {lost}")
assert lost == report["lost"] > 0
assert [report[it] for it in ("frames", "ticks", "heartbeats")] == [found[it] for it in ("frames", "ticks", "heartbeats")]
PYTHON

echo 'A full disk is reported, and its gap is on the tape.'

# What is left of the disk, so that no packed tape fits.
dd if=/dev/zero of="$work/disk/rest" bs=1k status=none 2>/dev/null || true
cp "$work"/disk/tapes/*.ktape "$work/original"
status=0
report=$("$kite" pack --json "$work/disk/tapes" 2>"$work/errors") || status=$?
errors=$(cat "$work/errors")
[ "$status" -eq 3 ] || fail "the status of packing on a full disk is $status, not 3"
grep -q 'cannot pack .*No space left on device' <(tr '\n' ' ' <"$work/errors") || fail 'packing did not report the full disk'
cmp -s "$work"/disk/tapes/*.ktape "$work/original" || fail 'the tape that could not be packed has changed'
rm "$work/disk/rest"
"$kite" inspect --json "$work/disk/tapes" >"$work/before" || fail 'the original cannot be read'
report=$("$kite" pack --json "$work/disk/tapes" 2>"$work/errors") || fail 'the tape cannot be packed once there is room'
"$kite" inspect --json "$work/disk/tapes" >"$work/after" || fail 'the packed tape cannot be read'
python3 - "$work/before" "$work/after" <<'PYTHON' || fail 'the packed tape has other records'
import json, sys
before, after = (json.load(open(path)) for path in sys.argv[1:])
for key in ("frames", "ticks", "heartbeats", "gaps"):
    assert before[key] == after[key], key
PYTHON
left=$(find "$work/disk" -name '*.part')
[ -z "$left" ] || fail "packing left $left"

echo 'Packing on a full disk keeps the original, and works once there is room.'
