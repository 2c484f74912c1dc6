#!/usr/bin/env bash
# Drives the kite binary in a tmux terminal as a user would, and checks the screen.
#
#   checks/terminal/run.sh [path of a built kite binary]
#
# Needs tmux 3. Exits with 0 if every screen was as expected, else with 1 after printing the screen.
set -euo pipefail
cd "$(dirname "$0")/../.."
export LC_ALL=C.UTF-8

command -v tmux >/dev/null || { echo "tmux is not installed" >&2; exit 1; }
kite=${1:-}
if [ -z "$kite" ]; then
    cargo build --quiet --package kiteticker-cli
    kite=${CARGO_TARGET_DIR:-target}/debug/kite
fi
kite=$(realpath "$kite")

# A separate tmux server without the user's settings; its socket is removed with the directory.
scratch=$(mktemp -d)
server=0
tmux() { command tmux -u -S "$scratch/tmux-$server" -f /dev/null "$@"; }
trap 'tmux kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT

# Time to wait for a string on the screen, in tenths of a second.
patience=150
case_name=
failed() {
    echo "FAILED $case_name: $1; the screen:" >&2
    tmux capture-pane -p -t kite >&2 || true
    exit 1
}
screen() { tmux capture-pane -p -t kite; }
sees() { # a fixed text
    local left=$patience
    until screen | grep -qF -- "$1"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || failed "never saw '$1'"
        sleep 0.1
    done
}
matches() { # a regular expression
    local left=$patience
    until screen | grep -qE -- "$1"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || failed "never saw /$1/"
        sleep 0.1
    done
}
misses() {
    local left=$patience
    while screen | grep -qF -- "$1"; do
        left=$((left - 1))
        [ "$left" -gt 0 ] || failed "still sees '$1'"
        sleep 0.1
    done
}
press() { tmux send-keys -t kite "$@"; }
# A click with the left button: column and line, from 1.
click() { tmux send-keys -t kite -l $'\e'"[<0;$1;$2M"$'\e'"[<0;$1;$2m"; }
types() { tmux send-keys -t kite -l "$1"; }

# Starts a shell of this size and runs kite in it.
start() { # name, columns, lines, environment, arguments
    case_name=$1
    tmux kill-server 2>/dev/null || true
    # A new name, since the old server may still be shutting down.
    server=$((server + 1))
    tmux new-session -d -s kite -x "$2" -y "$3" \
        "env LC_ALL=C.UTF-8 PS1='ready ' $4 sh -m"
    sees 'ready'
    types "stty -a > $scratch/before; $kite $5; echo status=\$?"
    press Enter
}
# Checks that the shell's screen is restored and clean, and that the terminal echoes again.
ended() { # status
    sees "status=$1"
    misses 'ticks/s'
    misses 'q quit'
    press Enter
    types "stty -a > $scratch/after; echo sum=\$((40 + 2))"
    press Enter
    # Both the typed line and its output must be visible.
    sees 'echo sum=$((40 + 2))'
    sees 'sum=42'
    cmp -s "$scratch/before" "$scratch/after" || failed 'the terminal settings are not restored'
    [ "$(tmux display-message -p -t kite '#{alternate_on} #{cursor_flag} #{mouse_any_flag}')" = '0 1 0' ] ||
        failed 'the alternate screen or the mouse is still on, or the cursor is hidden'
    echo "passed $case_name"
}

# The keys are on the last line of the screen, and the title is on the first.
fits() { # lines
    sees ' q quit '
    [ "$(screen | wc -l)" -eq "$1" ] || failed "not $1 lines"
    screen | tail -1 | grep -q '^ q quit ' || failed 'the last line does not show the keys'
    screen | head -1 | grep -q '^  SIMULATOR .* IST$' || failed 'the first line does not show the title'
}

watched='watch --sim NSE:INFY NSE:RELIANCE NSE:SBIN "NSE:NIFTY 50"'

for size in '80 24' '100 30'; do
    read -r columns lines <<<"$size"
    start "watch ${columns}x${lines}" "$columns" "$lines" '' "$watched"
    sees 'SIMULATOR'
    matches '1 live +[0-9,]+f/s +[0-9,]+t/s'
    matches 'lag 0 gaps 0 damaged 0'
    sees 'connection 1: up'
    matches '▶(NSE:)?INFY +[0-9,]+\.[0-9]{2}[▲▼ ] +[+-][0-9.]+% '
    matches '[▁▂▃▄▅▆▇█]{3,}'
    # Depth of the selected instrument, best level first.
    sees 'NSE:INFY  full mode, token 408065'
    matches '[█▐]+ +[0-9,.]+ +[0-9,]+\.[0-9]{2}  [0-9,]+\.[0-9]{2} +[0-9]+ +[█▏▎▍▌▋▊▉]'
    sees 'average'
    fits "$lines"
    # Depth of another instrument.
    press Down
    matches '▶(NSE:)?RELIANCE'
    sees 'NSE:RELIANCE  full mode'
    press End
    sees 'an index has no market depth'
    press Home
    # Sort by the last price, largest first, then reversed.
    types 2
    sees 'by last ▼'
    sees 'last▼'
    types 2
    sees 'by last ▲'
    types 0
    misses 'by last'
    # The filter applies while typing; Escape clears it.
    types /rel
    sees 'filter: rel'
    sees '1 of 4 shown'
    press Enter
    misses 'filter: rel'
    press Escape
    sees '4 shown'
    # Change the mode to ltp, then back to full.
    press Home
    types m
    sees 'NSE:INFY switched to ltp mode'
    sees 'market depth needs full mode: press m'
    types m
    types m
    sees 'NSE:INFY  full mode'
    misses 'market depth needs'
    # Add an instrument by completion, one by token, and one that does not exist.
    types atcs
    sees 'NSE:TCS'
    press Down Enter
    sees '5 shown'
    sees '5 subscribed'
    matches '▶(NSE:)?TCS +[0-9,]+\.[0-9]{2}'
    types a5633
    press Enter
    sees '6 subscribed'
    types aNSE:ABSENT
    press Enter
    sees 'unknown; '
    press Escape
    # Escape followed immediately by a letter would be read as one key.
    misses ' add: '
    # Remove it again.
    types d
    sees '5 subscribed'
    # Pause and resume.
    press Space
    matches 'paused: [0-9,]+ ticks held'
    press Space
    misses 'paused:'
    # The help covers the table, but not the header, until Escape is pressed; it scrolls.
    types '?'
    matches ' help( |:).* Esc closes'
    sees 'SIMULATOR'
    press End
    sees 'hold it to select text'
    press Escape
    misses 'Esc closes'
    # Escape closes the panel, does not quit, and Enter opens the panel again.
    press Escape
    misses 'full mode, token'
    press Escape
    sees ' q quit '
    press Enter
    sees 'full mode, token'
    # The chart takes the place of the depth, with candles, an axis of prices and the time.
    types c
    sees '  5m bars of the day  full mode'
    misses 'full mode, token'
    matches '^ *[0-9,]+\.[0-9]{2}┤'
    matches '[┃╹╻╿╽│] '
    matches '^ +[0-9]{2}:[0-9]{2}( |$)'
    fits "$lines"
    types c
    sees 'full mode, token'
    # A click selects the second row, and one on a heading sorts.
    click 5 6
    matches '▶(NSE:)?RELIANCE'
    click 3 4
    sees 'by symbol'
    types 0
    misses 'by symbol'
    # Sockets and prices at every size, then back.
    for small in '50 10' '40 10' '30 6' '20 5'; do
        read -r small_columns small_lines <<<"$small"
        tmux resize-window -t kite -x "$small_columns" -y "$small_lines"
        matches '^1 live'
        matches '▶(NSE:)?RELIANCE'
        [ "$(screen | wc -l)" -eq "$small_lines" ] || failed "not $small_lines lines"
    done
    tmux resize-window -t kite -x "$columns" -y "$lines"
    sees 'full mode'
    fits "$lines"
    types q
    ended 0
done

start 'a wide screen' 200 50 '' "$watched --count 30"
sees 'connection 1: up'
matches 'symbol +last +change +net chg +volume +OI +bid +ask +open +high +low +close +average +buying +selling +traded +trend +age'
types q
ended 0

# Ctrl-Z restores the terminal and stops the process; fg continues with a full redraw and new ticks.
start 'Ctrl-Z' 80 24 'ENV=/dev/null' "$watched"
sees 'connection 1: up'
for _ in 1 2; do
    press C-z
    sees 'Stopped'
    misses 'ticks/s'
    sees 'ready'
    [ "$(tmux display-message -p -t kite '#{alternate_on} #{cursor_flag} #{mouse_any_flag}')" = '0 1 0' ] ||
        failed 'stopped with the alternate screen, without a cursor or with the mouse'
    types "clear; stty -a > $scratch/stopped; echo sum=\$((40 + 1))"
    press Enter
    sees 'sum=41'
    cmp -s "$scratch/before" "$scratch/stopped" || failed 'the terminal settings are not restored'
    types 'fg; echo status=$?'
    press Enter
    sees 'SIMULATOR'
    matches '1 live +[1-9][0-9,]*f/s'
    fits 24
done
types q
ended 0

start 'watch lists' 80 24 "XDG_CONFIG_HOME=$scratch/config" "$watched"
sees 'connection 1: up'
types w
sees 'no watch list is saved yet'
types W
sees 'save as:'
types ../x
press Enter
sees 'a name has letters, digits'
press C-u
types all
press Enter
sees 'saved as all'
types d
sees '3 shown'
types W
sees 'save as: all'
# Replaces the name.
types three
press Enter
sees 'saved as three'
types w
sees 'watch lists: Enter opens one'
press Home Enter
sees 'watching all'
sees '4 subscribed'
matches '(NSE:)?INFY +[0-9,]+\.[0-9]{2}'
types q
ended 0
printf 'NSE:INFY\nNSE:RELIANCE\nNSE:SBIN\nNSE:NIFTY 50\n' | cmp - "$scratch/config/kiteticker/watchlists/all.list"
start 'a watch list by its name' 80 24 "XDG_CONFIG_HOME=$scratch/config" 'watch --sim --watchlist three'
sees '3 shown'
types q
ended 0

"$kite" record --sim --rate 5 --for 12s --to "$scratch/tapes" NSE:INFY NSE:SBIN >/dev/null 2>&1
start 'a replay' 80 24 '' "watch --replay $scratch/tapes"
matches 'REPLAY +1x .* tape [0-9:]{8} IST'
matches '(NSE:)?INFY +[0-9,]+\.[0-9]{2}'
press Space
sees '1x paused'
press Space
misses 'paused'
press + +
sees ' 5x '
press Right
sees 'the tape has ended'
sees '5x ended'
press Left
misses '5x ended'
sees 'moved to'
matches '(NSE:)?INFY +[0-9,]+\.[0-9]{2}'
types q
ended 0

# Candles as large as the terminal, with all hours, because the tape may be from any.
for day in '' "$(TZ=Asia/Kolkata date +%F)"; do
    echo "all $day 00:00-24:00"
done > "$scratch/hours"
for size in '80 24' '40 12' '200 50'; do
    read -r columns lines <<<"$size"
    start "a chart ${columns}x${lines}" "$columns" "$lines" '' \
        "chart $scratch/tapes NSE:INFY --every 1s --sessions $scratch/hours"
    sees 'status=0'
    matches '^ *[0-9,]+\.[0-9]{2}┤'
    matches '[┃╹╻╿╽]'
    sees '┃ rose  ┃ fell'
    tmux capture-pane -p -e -t kite | grep -qP '\x1b\[[0-9;]*3[12]m' || failed 'no colours'
    ended 0
done
start 'a chart with NO_COLOR and ASCII' 80 24 'NO_COLOR=1' \
    "chart $scratch/tapes NSE:INFY --every 1s --sessions $scratch/hours --ascii"
sees 'O rose  # fell'
if screen | grep -qP '[^\x00-\x7f]'; then failed 'characters outside ASCII'; fi
tmux capture-pane -p -e -t kite > "$scratch/colours"
if grep -qP '\x1b\[[0-9;]*(3[0-7]|4[0-7])' "$scratch/colours"; then failed 'colours despite NO_COLOR'; fi
ended 0

start 'Ctrl-C' 80 24 '' "$watched"
sees 'connection 1: up'
press C-c
ended 0

start 'SIGTERM' 80 24 '' "$watched"
sees 'connection 1: up'
kill -TERM "$(tmux list-panes -t kite -F '#{pane_pid}' | xargs -n1 ps -o pid= --ppid | tr -d ' ')"
ended 0

# The server does not know the account: the terminal is restored before the error is printed.
mkfifo "$scratch/served"
"$kite" sim --port 0 --json > "$scratch/served" 2>/dev/null &
server_pid=$!
trap 'kill "$server_pid" 2>/dev/null || true; tmux kill-server 2>/dev/null || true; rm -rf "$scratch"' EXIT
read -r served < "$scratch/served"
endpoint=$(sed -E 's/.*"endpoint":"([^"]+)".*/\1/' <<<"$served")
start 'a refusal' 80 24 'KITE_API_KEY=unknown KITE_ACCESS_TOKEN=none' "watch --endpoint $endpoint 408065"
sees 'error: cannot start the feed'
kill "$server_pid"
ended 3

start 'NO_COLOR and ASCII' 80 24 'NO_COLOR=1' "$watched --ascii"
sees 'connection 1: up'
matches '>INFY +[0-9,]+\.[0-9]{2}'
# An arrow next to a price that has just changed.
matches '[0-9]\.[0-9]{2}[v^] '
tmux capture-pane -p -e -t kite > "$scratch/colours"
if grep -qP '\x1b\[[0-9;]*(3[0-7]|4[0-7]|9[0-7]|38;|48;)' "$scratch/colours"; then
    failed 'colours despite NO_COLOR'
fi
if screen | grep -qP '[^\x00-\x7f]'; then failed 'characters outside ASCII'; fi
types q
ended 0

start 'faults' 100 30 '' 'watch --sim --chaos 500ms NSE:INFY'
# Sockets are lost and recover, and the screen reports it.
matches 'connection 1: (lost|up again)'
matches 'up again'
types q
ended 0

start 'demo' 80 24 '' ''
sees '9,000 subscribed'
matches '1 live .*2 live .*3 live'
sees '? shows all keys, q quits'
sees 'next: kite --help'
matches 'SIMULATOR +1[0-9],[0-9]{3} ticks/s'
sees '▶RELIANCE'
types /nifty
sees '12 of 43 shown'
press Enter
fits 24
types q
misses '9,000 subscribed'
ended 0

# The credentials that are made are shown to a person; without a terminal they are in a file.
start 'serve' 160 24 '' 'serve --sim --relay 127.0.0.1:0 NSE:INFY'
matches '^export KITE_API_KEY=[0-9a-f]{32} KITE_ACCESS_TOKEN=[0-9a-f]{32}$'
matches '^Python  KiteTicker\("[0-9a-f]{32}", "[0-9a-f]{32}", root="ws://127\.0\.0\.1:[0-9]+"\)$'
matches '^0 clients, 0 sockets, [0-9]+ ticks? in, 0 out, 0 conflated, 0 dropped, 0 gaps$'
press C-c
ended 0

case_name='demo without a terminal'
"$kite" demo --seconds 3 > "$scratch/lines" || failed "status $?"
grep -q '^Nothing was lost' "$scratch/lines" || { cat "$scratch/lines" >&2; failed 'ticks were lost'; }
echo "passed $case_name"

case_name='watch without a terminal'
# A closed pipe ends the command without an error.
first=$("$kite" watch --sim NSE:INFY --json | head -1)
grep -q '"instrument_token":408065' <<<"$first" || failed "$first"
echo "passed $case_name"
