#!/usr/bin/env bash
# Counts the instructions of the hot paths: decoding a packet, and delivering a frame from the
# socket to the application. Needs valgrind.
#
#   benches/instructions.sh [WORKLOAD...]   prints the counts
#   benches/instructions.sh --check         compares them with benches/instructions.txt
#   benches/instructions.sh --accept        writes that file
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

baselines=benches/instructions.txt
tolerance=2 # percent
few=512 many=1536
workloads=(
    fields-{by-hand,frame,scan}{,-mixed} ticks-{by-hand,frame,scan} ticks-each{-by-hand,} walk encode-by-hand encode
    candles-fields candles
    tcp/{200x1,20x8,1x1}
    {in-place,in-place-untracked,sink,sink-untracked}/{200x1,20x8,1x1,1x64}
    {lane,stream,channel,channel-of-sixteen,raw}/{200x1,20x8}
)

mode=print
case ${1:-} in
    --check | --accept) mode=${1#--} && shift ;;
    -*) sed -n '2,8s/^# \{0,1\}//p' "$0" >&2 && exit 2 ;;
esac
[ $# -eq 0 ] || workloads=("$@")
command -v valgrind >/dev/null || { echo 'valgrind is not installed' >&2 && exit 2; }

cargo build --quiet --release --locked -p benches --example instructions
program=${CARGO_TARGET_DIR:-target}/release/examples/instructions

count() { # WORKLOAD FRAMES
    local log
    log=$(valgrind --tool=callgrind --callgrind-out-file=/dev/null "$program" "$1" "$2" 2>&1) || {
        echo "$log" >&2
        return 1
    }
    sed -n 's/.*Collected : //p' <<<"$log"
}

# Counts are only comparable between identical tool versions.
made_with="$(rustc --version), $(rustc -vV | sed -n 's/^host: //p'), $(valgrind --version)"

measure() {
    echo "# Instructions per packet, or per frame if the name contains its load (PACKETSxBURST)."
    echo "# $made_with"
    local workload less more per
    for workload in "${workloads[@]}"; do
        less=$(count "$workload" "$few")
        more=$(count "$workload" "$many")
        if ! [[ $less =~ ^[0-9]+$ && $more =~ ^[0-9]+$ ]] || [ "$more" -le "$less" ]; then
            echo "$workload: invalid counts '$less' and '$more'" >&2
            return 1
        fi
        per=$((many - few))
        [[ $workload == */* ]] || per=$((per * 200))
        awk -v n="$workload" -v c="$((more - less))" -v p="$per" 'BEGIN { printf "%-26s %9.1f\n", n, c / p }'
    done
}

case $mode in
    print) measure ;;
    accept) measure | tee "$baselines.new" && mv "$baselines.new" "$baselines" ;;
    check)
        [ "$(sed -n '2s/^# //p' "$baselines")" = "$made_with" ] ||
            echo "The baselines were made with $(sed -n '2s/^# //p' "$baselines"); this run uses $made_with."
        measure | awk -v tolerance="$tolerance" '
            /^#/ { next }
            NR == FNR { baseline[$1] = $2; next }
            !($1 in baseline) { printf "%-26s %9.1f  has no baseline\n", $1, $2; failed = 1; next }
            {
                limit = baseline[$1] * (1 + tolerance / 100)
                change = 100 * ($2 / baseline[$1] - 1)
                word = $2 > limit ? "TOO MANY" : change < -tolerance ? "fewer: run --accept" : "ok"
                printf "%-26s %9.1f  baseline %9.1f  limit %9.1f  %+6.1f %%  %s\n", $1, $2, baseline[$1], limit, change, word
                failed += $2 > limit
            }
            END {
                if (failed) {
                    print "If the increase is intended, run benches/instructions.sh --accept and explain it in the commit."
                    exit 1
                }
            }' "$baselines" -
        ;;
esac
