"""Refused handshakes, ignored commands and the clock of `kite sim`, as the clients see them."""

import time
from datetime import datetime, timedelta, timezone
from datetime import time as clock

from collectors import CLIENTS, Collector
from expect import expect, expect_that
from market import INSTRUMENTS, UNLISTED
from processes import Kite

INFY = 408_065
NIFTY = 256_265
IST = timezone(timedelta(hours=5, minutes=30))
QUOTED = ["subscribe", [str(INFY)]]
UNKNOWN_MODE = ["set_mode", "fuller", [INFY]]
# The Node client sends nothing but its own commands.
IGNORED = {
    "Python": [
        QUOTED,
        UNKNOWN_MODE,
        ["send", '{"a":"subscribe","v":[408065'],
        ["send", '{"a":"listen","v":[408065]}'],
    ],
    "Node": [QUOTED, UNKNOWN_MODE],
}
REASONS = [
    "instrument tokens must be whole numbers without quotes; 1 of the list is not",
    "not a command: malformed JSON at byte 28",
    "unknown action; expected subscribe, unsubscribe or mode",
]
CREDENTIALS = {400: {"key": "mine"}, 403: {"token": "mine"}}


def run(scenario, _directory):
    started = time.time()
    line = ["sim", "-v", "--json", "--start", "09:15", "--instruments-file", INSTRUMENTS]
    sim = Kite(scenario, *line, "--for", "5m")
    for status, credentials in CREDENTIALS.items():
        for client in CLIENTS:
            collector = Collector.at(scenario, client, sim.endpoint(), **credentials)
            message = collector.wait_for("error")[0]["message"]
            expect_that(
                f"{client}: error for {credentials}",
                message,
                f"names {status}",
                str(status) in message,
            )
            collector.stop()
    clients = {}
    for client, ignored in IGNORED.items():
        # The commands before the subscription were handled before the first tick.
        calls = [
            *ignored,
            ["subscribe", [UNLISTED, INFY, NIFTY]],
            ["set_mode", "full", [UNLISTED, INFY, NIFTY]],
        ]
        clients[client] = Collector.at(scenario, client, sim.endpoint(), calls=calls)
    for client, collector in clients.items():
        collector.wait_for_ticks(5)
        expect(f"{client}: instruments that tick", sorted(collector.counts()), [NIFTY, INFY])
        _times(collector, started)
    sim.interrupt()
    expect("status of kite sim", sim.ended(), 0)
    _counts(sim)


def _times(collector, started):
    """The market's clock started at 09:15 in India on the day of the start."""
    full = [tick["fields"] for tick in collector.ticks() if tick["mode"] == "full"]
    found = [datetime.fromtimestamp(it["exchange_timestamp"], IST) for it in full]
    opened = datetime.combine(datetime.fromtimestamp(started, IST), clock(9, 15), IST)
    span = (min(found) - opened, max(found) - opened)
    expect_that(
        f"{collector.client}: exchange timestamps from {min(found)} to {max(found)}",
        [str(it) for it in span],
        f"after {opened}",
        timedelta(0) <= span[0] and span[1].total_seconds() <= time.time() - started + 1,
    )


def _counts(sim):
    summary = sim.last()
    expect("ignored commands", summary["ignored_commands"], sum(map(len, IGNORED.values())))
    for reason in REASONS:
        expect_that("-v", reason, "is logged", any(reason in line for line in sim.errors))
    logged = [line for line in sim.errors if "handshake refused" in line]
    by_status = {
        str(status): sum(f"status={status}" in line for line in logged) for status in CREDENTIALS
    }
    # A client may have tried again before it was ended.
    expect_that(
        "refused handshakes", summary["refused"], "two or more each", min(by_status.values()) >= 2
    )
    expect("refused handshakes by status", summary["refused"], by_status)
    expect("refused handshakes", summary["refused_handshakes"], len(logged))
