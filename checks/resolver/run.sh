#!/usr/bin/env bash
# Interrupts the commands that look up a host while no name server answers, and checks that none
# waits for the resolver; exits with 1 if one does. Needs a Rust toolchain, Python 3, and Linux with
# the permission to create namespaces; is skipped without.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

if [ "${1:-}" != inside ]; then
    if ! unshare --map-root-user --mount --net true 2>/dev/null; then
        echo 'Skipped: cannot create namespaces.'
        exit 0
    fi
    cargo build --locked -p kiteticker-cli
    kite=$(cargo metadata --format-version 1 --no-deps --locked | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug/kite
    exec unshare --map-root-user --mount --net "${BASH_SOURCE[0]}" inside "$kite"
fi

work=$(mktemp -d)
# glibc asks this server four times and waits up to 30 s for each answer.
printf 'nameserver 127.0.0.1\noptions timeout:30 attempts:4\n' >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf
trap 'umount /etc/resolv.conf; rm -rf "$work"' EXIT

KITE_API_KEY=key KITE_ACCESS_TOKEN=token HOME="$work" python3 - "$2" "$work" <<'PYTHON'
import fcntl, signal, socket, struct, subprocess, sys, time

kite, work = sys.argv[1:]
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
# Brings the interface of a new namespace up: SIOCSIFFLAGS with IFF_UP.
fcntl.ioctl(server, 0x8914, struct.pack("16sh14x", b"lo", 1))
server.bind(("127.0.0.1", 53))

for arguments, status in [
    (["record", "NSE:SBIN", "--to", f"{work}/names"], 0),
    (["record", "408065", "--to", f"{work}/tapes", "--instruments-file", f"{work}/list.csv"], 0),
    (["watch", "NSE:SBIN"], 0),
    (["watch", "408065"], 0),
    # It handles signals only once it has asked for credentials.
    (["doctor"], -signal.SIGINT),
    (["instruments", "sbin"], 130),
]:
    with open(f"{work}/list.csv", "w") as rows:
        rows.write("instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange\n")
        rows.write("408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE\n")
    command = subprocess.Popen([kite, *arguments], stdout=subprocess.DEVNULL)
    # The look-up has begun, and is not answered.
    server.recv(4096)
    began = time.monotonic()
    command.send_signal(signal.SIGINT)
    found = command.wait(timeout=120)
    lasted = time.monotonic() - began
    print(f"kite {' '.join(arguments)}: ended with {found} after {lasted:.2f} s")
    assert found == status and lasted < 10
    # Questions that arrived in the meantime belong to this command.
    server.setblocking(False)
    try:
        while server.recv(4096):
            pass
    except BlockingIOError:
        server.setblocking(True)
PYTHON

echo 'No command waits for the resolver.'
