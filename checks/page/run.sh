#!/usr/bin/env bash
# Opens the page of `kite serve` in Chromium while connections are cut, a client stalls, the disk of
# the recorder fills, NATS is away and the server ends, and checks what the page shows; exits with 1
# at the first difference.
#
#   checks/page/run.sh [DIRECTORY]
#
# Screenshots of a phone and a large screen, light and dark, are written to DIRECTORY, by default
# target/page/screenshots. Needs a Rust toolchain and npm's package index, and root to mount a file
# system in memory: without, the disk stays empty. Node and Chromium are installed if they are
# missing, where that is possible.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
here=checks/page

install=()
command -v npm >/dev/null || install+=(nodejs npm)
# Chromium alone has no fonts, without which the screenshots have no text.
command -v chromium >/dev/null || install+=(chromium fonts-dejavu-core)
if [ "${#install[@]}" -gt 0 ] && command -v apt-get >/dev/null && [ "$(id -u)" -eq 0 ]; then
    apt-get update && apt-get install --yes --no-install-recommends "${install[@]}"
fi
command -v npm >/dev/null || { echo 'Node with npm is not installed' >&2; exit 1; }
command -v chromium >/dev/null || { echo 'Chromium is not installed' >&2; exit 1; }

cargo build --locked -p kiteticker-cli --bin kite
target=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')

# Installed again when the list changes. The list is copied last, so that an installation that was
# interrupted does not count.
page=$target/page
mkdir -p "$page"
if ! cmp -s $here/package-lock.json "$page/node_modules/package-lock.json"; then
    cp $here/package.json $here/package-lock.json "$page"
    npm ci --prefix "$page" --ignore-scripts --no-audit --no-fund --silent
    cp $here/package-lock.json "$page/node_modules"
fi

work=$(mktemp -d)
clean() {
    ! mountpoint -q "$work/disk" || umount "$work/disk"
    rm -rf "$work"
}
trap clean EXIT
mkdir "$work/disk"
mount -t tmpfs -o size=32m tmpfs "$work/disk" 2>/dev/null || echo 'Cannot mount a file system in memory: the disk stays empty.'

NODE_PATH=$page/node_modules node $here/check.cjs "$target/debug/kite" "$(command -v chromium)" "$work" "${1:-$page/screenshots}"
