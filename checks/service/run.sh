#!/usr/bin/env bash
# Checks docs/kite.service with systemd's own tool, where there is one: that systemd knows all of it,
# and that the service is confined.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if ! command -v systemd-analyze >/dev/null; then
    echo 'Skipped: needs systemd-analyze.'
    exit 0
fi

directory=$(mktemp -d)
trap 'rm -rf "$directory"' EXIT
# The command need not be installed here.
sed 's|/usr/local/bin/kite|/bin/true|' docs/kite.service >"$directory/kite.service"
found=$(SYSTEMD_LOG_LEVEL=warning systemd-analyze verify --man=no "$directory/kite.service" 2>&1 | grep -F kite.service || true)
if [[ -n $found ]]; then
    echo "$found" >&2
    exit 1
fi
# 0 is confined, 10 is not.
systemd-analyze security --offline=true --threshold=20 --no-pager "$directory/kite.service" | tail -n 1
echo 'The unit is one that systemd knows.'
