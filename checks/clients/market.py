"""The market of `kite sim`: what the clients read is what our decoder reads, in every mode."""

import re
import time
from pathlib import Path

import tape
from collectors import CLIENTS, Collector, calls
from expect import expect, expect_that, overlap
from processes import Kite

HERE = Path(__file__).parent
INSTRUMENTS = HERE / "instruments.csv"
# In `instruments.csv`, so that each client reads each segment in each mode, at least in one of
# this scenario and the replay.
TOKENS = [int(line.split(",")[0]) for line in INSTRUMENTS.read_text().splitlines()[1:]]
# Not in `instruments.csv`.
UNLISTED = 779_521
# Updates of the first, of the second and of both sockets.
ORDERS = ["handshake1=order:REJECTED", "handshake2=order", "15s=order:CANCELLED"]
# Ticks of each instrument on the tape.
TICKS = 400
# States of an instrument that a client and the recorder have to have in common; several may have
# the same price.
MIN_OVERLAP = 100
# Updates per second, and so frames.
RATE = 40


def modes(shift):
    """Returns the tokens by mode; each token is in another mode for another `shift`."""
    lists = {mode: [] for mode in tape.MODES}
    for number, token in enumerate(TOKENS):
        lists[tape.MODES[(number + shift) % 3]].append(token)
    return lists


def mode_of(shift):
    return {token: mode for mode, tokens in modes(shift).items() for token in tokens}


def run(scenario, directory):
    started = time.time()
    line = ["sim", "--json", "--rate", RATE, "--instruments-file", INSTRUMENTS, "--for", "5m"]
    sim = Kite(scenario, *line, "--fault", ",".join(ORDERS))
    clients = {}
    for shift, client in enumerate(CLIENTS):
        plan = {"calls": [["subscribe", [UNLISTED]], *calls(modes(shift))]}
        clients[client] = Collector.at(scenario, client, sim.endpoint(), **plan)
        # The order updates belong to the first and the second handshake.
        clients[client].wait_for("connect")
    line = ["record", "--json", "--endpoint", sim.endpoint(), "--to", tape_of(directory)]
    line += ["--instruments-file", INSTRUMENTS, "--for", "5m"]
    record = Kite(scenario, *line, *TOKENS)
    record.wait_for_line("connection 1: up")
    for collector in clients.values():
        since = len(collector.reports())
        collector.wait_for_ticks(TICKS, since)
        collector.wait_for("order", 2)
    record.interrupt()
    expect("status of kite record", record.ended(), 0)
    # An order update that is sent twice would arrive before these.
    for collector in clients.values():
        collector.wait_for_ticks(RATE, len(collector.reports()))
    ended = time.time()
    sim.interrupt()
    expect("status of kite sim", sim.ended(), 0)

    recorded = tape.by_token(tape.rows(tape_of(directory)), "instrument_token")
    for shift, collector in enumerate(clients.values()):
        _values(collector, recorded, mode_of(shift))
        _times(collector, started, ended)
    _orders(clients)
    expect("ignored commands of the subscriptions", sim.last()["ignored_commands"], 0)


def tape_of(directory):
    return directory / "tapes"


def _values(collector, recorded, mode_of):
    """Compares the states of each instrument that both the client and the recorder have seen."""
    ticks = tape.by_token(collector.ticks())
    expect(f"{collector.client}: instruments that tick", sorted(ticks), sorted(TOKENS))
    for token, mode in mode_of.items():
        expected = [tape.as_reported(row, mode, collector.client) for row in recorded[token]]
        found, expected = _states(ticks[token], mode), _states(expected, mode)
        segment = recorded[token][0]["segment"]
        expect_that(
            f"{collector.client}: successive states of {token} ({segment}, {mode}) as we read them",
            overlap(found, expected, MIN_OVERLAP),
            f"at least {MIN_OVERLAP}",
            overlap(found, expected, MIN_OVERLAP) >= MIN_OVERLAP,
        )


def _states(ticks, mode):
    """Returns the states in a mode, without those that repeat the last one and without the times,
    which are those of the sending."""
    states = []
    for tick in ticks:
        fields = {name: value for name, value in tick["fields"].items() if name not in tape.TIMES}
        if tick["mode"] == mode and (not states or states[-1] != fields):
            states.append(fields)
    return states


def _times(collector, started, ended):
    """By default the market's clock is the machine's."""
    times = [
        tick["fields"]["exchange_timestamp"] for tick in collector.ticks() if tick["mode"] == "full"
    ]
    span = (min(times), max(times))
    expect_that(
        f"{collector.client}: exchange timestamps",
        span,
        f"from {int(started)} to {ended:.0f}",
        int(started) <= span[0] and span[1] <= ended and times == sorted(times),
    )


def _orders(clients):
    text = (HERE / "../../docs/protocol.md").read_text()
    table = text.split("### Order updates")[1].split("\n- ")[0]
    documented = sorted(re.findall(r"`(\w+)`", table))
    found = {
        client: [it["order"] for it in collector.events("order")]
        for client, collector in clients.items()
    }
    for client, status in zip(clients, ["REJECTED", "COMPLETE"], strict=True):
        orders = found[client]
        expect(
            f"{client}: statuses of the order updates",
            [it["status"] for it in orders],
            [status, "CANCELLED"],
        )
        for order in orders:
            expect(f"{client}: fields of an order update", sorted(order), documented)
    one, other = (orders[-1] for orders in found.values())
    expect("the order update that every socket gets", one, other)
