#!/usr/bin/env bash
# Attributes the instructions of a frame, from the socket to the application, to the source that
# each was inlined from, and prints the share of bookkeeping. Needs valgrind and addr2line.
#
#   benches/bookkeeping.sh [CONSUMER/PACKETSxBURST...]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

[ $# -gt 0 ] || set -- {in-place,sink}/{200x1,20x8}
few=512 many=1536

cargo build --quiet --release --locked -p benches --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions
scratch=$(mktemp -d)
trap 'rm -r "$scratch"' EXIT

# Prints "ADDRESS INSTRUCTIONS" for the program and "- INSTRUCTIONS" for the libraries. Reading and
# comparing clocks is printed as "ADDRESS INSTRUCTIONS clock", at the address of the caller.
addresses() { # WORKLOAD FRAMES
    valgrind --tool=callgrind --dump-instr=yes --compress-pos=no --callgrind-out-file="$scratch/out" \
        "$program" "$1" "$2" >/dev/null 2>"$scratch/log" || { cat "$scratch/log" >&2; return 1; }
    awk -v program="${program##*/}" '
        function named(text,    id, rest) {
            id = text; sub(/\).*/, ")", id); rest = substr(text, length(id) + 2)
            if (rest != "") name[kind id] = rest
            return name[kind id]
        }
        function clock(function_name) { return function_name ~ /Timespec.*(now|sub_timespec)|clock_gettime/ }
        /^ob=/ { kind = "ob"; ours = named(substr($0, 4)) ~ program "$"; next }
        /^cob=/ { kind = "ob"; named(substr($0, 5)); next }
        /^fn=/ { kind = "fn"; in_clock = clock(named(substr($0, 4))); next }
        /^cfn=/ { kind = "fn"; to_clock = clock(named(substr($0, 5))); next }
        /^calls=/ { call = 1; next }
        /^0x/ {
            at = ours ? $1 : "-"
            if (call && to_clock && !in_clock) clocks[at] += $3
            else if (!call && !in_clock) cost[at] += $3
            call = 0
        }
        END {
            for (at in cost) print at, cost[at]
            for (at in clocks) print at, clocks[at], "clock"
        }
    ' "$scratch/out"
}

for workload; do
    addresses "$workload" "$few" >"$scratch/few"
    addresses "$workload" "$many" >"$scratch/many"
    awk -v frames=$((many - few)) '
        NR == FNR { before[$1 $3] = $2; next }
        { each = ($2 - before[$1 $3]) / frames; if (each > 0.1) print $1, each, $3 }
    ' "$scratch/few" "$scratch/many" >"$scratch/each"
    cut -d' ' -f1 "$scratch/each" | grep -v '^-' | sort -u | addr2line -a -i -e "$program" >"$scratch/lines"
    awk -v workload="$workload" '
        function part(file) {
            if (file ~ /kite-conn\/src\/(clock|session|observe\/(count|distribution))/) return "bookkeeping"
            if (file ~ /kite-conn\/src\/observe\/(instruments|gap)/) return "tracking"
            if (file ~ /kite-conn\/src\/(websocket|transport)/) return "websocket"
            if (file ~ /kite-conn\/src\/deliver\/lane|kite-manager\/src|kiteticker-async-manager\/src/) return "delivery"
            if (file ~ /kite-conn\/src/) return "driver"
            if (file ~ /kite-wire\/src/) return "codec"
            return ""
        }
        FNR == 1 { pass++ }
        pass == 1 && /^0x/ { at = $1; sub(/^0x0*/, "0x", at); next }
        # The innermost of our sources decides, except that all work for tracking counts as tracking.
        pass == 1 {
            found = part($0)
            if (found != "" && (!(at in whose) || found == "tracking")) whose[at] = found
            next
        }
        {
            owner = $1 == "-" ? "libraries" : ($1 in whose) ? whose[$1] : "runtime"
            if ($3 == "clock" && owner == "driver") owner = "bookkeeping"
            sum[owner] += $2; all += $2
        }
        END {
            printf "%s: %.0f per frame\n", workload, all
            n = split("runtime libraries websocket codec driver bookkeeping delivery tracking", order, " ")
            for (i = 1; i <= n; i++) if (sum[order[i]] >= 0.5)
                printf "    %-12s %8.0f  %5.1f %%\n", order[i], sum[order[i]], 100 * sum[order[i]] / all
            path = all - sum["tracking"]
            printf "    bookkeeping, without tracking (which runs after delivery): %.1f %%\n",
                100 * sum["bookkeeping"] / path
        }
    ' "$scratch/lines" "$scratch/each"
done
