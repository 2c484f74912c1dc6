"""Runs the scenarios against a built `kite`.

check.py KITE [--large] [SCENARIO...]
"""

import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import commands
import market
import printed
import replay
import scale
import serve
import serve_neighbours
import serve_orders
import serve_outages
import serve_replay
import unread
from processes import Failed, Kite

# In this order: the first one records the tape that others replay, so it always runs.
SCENARIOS = {
    "market": market.run,
    "commands": commands.run,
    "printed": printed.run,
    "replay": replay.run,
    "unread": unread.run,
    "serve": serve.run,
    "serve_replay": serve_replay.run,
    "serve_orders": serve_orders.run,
    "serve_neighbours": serve_neighbours.run,
    "serve_outages": serve_outages.run,
}


def main():
    Kite.binary, *chosen = sys.argv[1:]
    if "--large" in chosen:
        chosen.remove("--large")
        scale.large = True
    unknown = set(chosen) - set(SCENARIOS)
    if unknown:
        raise SystemExit(
            f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}"
        )
    # As Ctrl-C: the processes of the scenario are ended.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as directory:
        for name, run in SCENARIOS.items():
            if chosen and name not in [*chosen, "market"]:
                continue
            started = time.monotonic()
            print(f"{name}: {sys.modules[run.__module__].__doc__.splitlines()[0]}", flush=True)
            with ExitStack() as scenario:
                run(scenario, Path(directory))
            print(f"  passed in {time.monotonic() - started:.0f} s", flush=True)


if __name__ == "__main__":
    try:
        main()
    except Failed as failed:
        print(f"FAILED {failed}", file=sys.stderr)
        raise SystemExit(1) from None
