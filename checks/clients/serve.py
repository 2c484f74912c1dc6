"""The clients of `kite serve` receive what those of `kite sim` receive, twenty at a time."""

from collectors import CLIENTS, Collector, calls, plan_of
from expect import expect
from market import INSTRUMENTS, TOKENS, modes
from processes import Kite
from relay import (
    Relay,
    account,
    expect_modes,
    expect_same,
    expect_secret,
    expect_totals,
    position,
)
from scale import scaled
from tape import MODES

RATE = 20
# Ticks of each instrument to compare.
TICKS = 200, 1_200
# Clients of the relay, of which Python's share a process by seven.
RELAYED = {"Python": (14, 42), "Node": (6, 10)}
A_PROCESS = 7
# The accounts of the clients that connect directly; the relay has the first.
DIRECT = {"Python": [2, 3, 4], "Node": [5, 6, 7]}


def wishes(number):
    """Returns the tokens by mode of a client: for the first three all instruments, which together
    have each in each mode, and for the others some of them."""
    lists = modes(number)
    if number < len(MODES):
        return lists
    kept = {mode: tokens[number % 2 :: 1 + number % 3] for mode, tokens in lists.items()}
    return {mode: tokens for mode, tokens in kept.items() if tokens}


def run(scenario, _directory):
    line = ["--json", "--accounts", 8, "--rate", RATE, "--instruments-file", INSTRUMENTS]
    sim = Kite(scenario, "sim", *line, "--for", "5m")
    relay = Relay(scenario, "--endpoint", sim.endpoint(), "-vv")
    direct = {
        client: Collector.several(
            scenario,
            client,
            [
                plan_of(client, sim.endpoint(), **account(number), calls=calls(modes(shift)))
                for shift, number in enumerate(DIRECT[client])
            ],
        )
        for client in CLIENTS
    }
    relayed = {client: _relayed(scenario, client, relay) for client in CLIENTS}
    everyone = [it for many in [*direct.values(), *relayed.values()] for it in many]
    for collector in everyone:
        collector.wait_for_ticks(5)
    # From here on no subscription changes, so that every packet is an update.
    since = position(everyone)
    for collector in everyone:
        collector.wait_for_ticks(scaled(*TICKS), since[id(collector)])
    relay.interrupt()
    served = [it for many in relayed.values() for it in many]
    for collector in served:
        expect(f"{collector.client}: code at the end", collector.wait_for("close")[0]["code"], 1001)
    relay.expect_end()

    for client, many in relayed.items():
        known = [tick for it in direct[client] for tick in it.ticks(since[id(it)])]
        for number, collector in enumerate(many):
            name = f"{client} {number + 1}"
            found = collector.ticks(since[id(collector)])
            wanted = {token: mode for mode, tokens in wishes(number).items() for token in tokens}
            expect_modes(name, collector, since[id(collector)], wanted)
            expect_same(name, found, known)
            expect(f"{name}: connects", len(collector.events("connect")), 1)
    expect_totals(relay)
    summary = relay.last()
    received = sum(len(it.ticks()) for it in served)
    expect("ticks that all clients received", received, summary["ticks_out"])
    expect("sockets of the clients", summary["clients"][0]["sockets"], len(served))
    secrets = [account(1)["token"], relay.token]
    expect_secret("the output after the first line", [*relay.lines[1:], *relay.errors], secrets)
    expect("tokens of instruments", len({it["token"] for it in known}), len(TOKENS))


def _relayed(scenario, client, relay):
    """Starts the clients of the relay."""
    plans = [
        plan_of(client, relay.endpoint(), relay.key, relay.token, calls=calls(wishes(number)))
        for number in range(scaled(*RELAYED[client]))
    ]
    parts = [plans[start : start + A_PROCESS] for start in range(0, len(plans), A_PROCESS)]
    return [it for part in parts for it in Collector.several(scenario, client, part)]
