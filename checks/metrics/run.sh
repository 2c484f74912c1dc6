#!/usr/bin/env bash
# Lets Prometheus' own promtool check the metrics of a simulated feed, the alert rules and their
# tests. Needs promtool, of Debian's package `prometheus`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

command -v promtool >/dev/null || { echo 'promtool is not installed' >&2; exit 1; }

metrics=$(cargo run --quiet --locked -p kite-http --example metrics)
[ -n "$metrics" ] || { echo 'there are no metrics' >&2; exit 1; }
# Without errors promtool prints what it advises, which is an error here.
advice=$(promtool check metrics <<<"$metrics" 2>&1) || { printf '%s\n' "$advice" >&2; exit 1; }
[ -z "$advice" ] || { printf '%s\n' "$advice" >&2; exit 1; }
promtool check rules docs/grafana/alerts.yml
promtool test rules docs/grafana/alerts.test.yml
echo "$(grep -c '^# TYPE' <<<"$metrics") metrics and the alert rules are as Prometheus expects."
