"""Clients of `kite serve` that are killed, do not read, flood it or are refused disturb no other one."""

import contextlib
import threading

from collectors import CLIENTS, Collector, calls
from expect import expect, expect_that
from market import TOKENS
from processes import Kite
from raw_socket import RawSocket
from relay import (
    Relay,
    account,
    client_file,
    expect_modes,
    expect_same,
    expect_secret,
    expect_totals,
    position,
    token_of,
)
from scale import scaled

RATE = 40
# Ticks of each instrument between two disturbances; heartbeats meanwhile.
TICKS, HEARTBEATS = 40, 2
# Commands of the client that floods the relay.
FLOOD = 3_000, 100_000
# Refused handshakes of each kind: more than those a minute after which each is answered later.
REFUSALS = 3, 12
# Instruments of the client that does not read: more a second than its queue holds.
MANY = [number << 8 | 1 for number in range(10_000, 10_400)]
FULL = {"full": TOKENS}
NAMES = ["steady", "killed", "stuck", "flood"]


def run(scenario, directory):
    sim = Kite(scenario, "sim", "--json", "--accounts", 8, "--rate", RATE, "--for", "5m")
    files = [client_file(directory, name) for name in NAMES]
    relay = Relay(scenario, "--endpoint", sim.endpoint(), "-vv", *files)
    steady = {client: _client(scenario, client, relay, "steady") for client in CLIENTS}
    direct = {
        client: Collector.at(scenario, client, sim.endpoint(), **account(number), calls=calls(FULL))
        for number, client in enumerate(CLIENTS, 2)
    }
    everyone = [*steady.values(), *direct.values()]
    for collector in everyone:
        collector.wait_for_ticks(TICKS)
    since = position(everyone)
    stuck = RawSocket(relay.endpoint(), MANY, "stuck", token_of("stuck"), receive_buffer=4_096)
    for disturb in [_kill, _flood, _refuse]:
        disturb(scenario, relay)
        _undisturbed(everyone)
    if scaled(False, True):
        relay.wait_for_line("client reset: it takes no byte")
    else:
        stuck.reset()
        relay.wait_for_line('name="stuck" end=ClientReset')
    _undisturbed(everyone)
    for client, collector in steady.items():
        for event, count in {"connect": 1, "reconnect": 0, "error": 0}.items():
            expect(f"{client}: {event}", len(collector.events(event)), count)
    relay.interrupt()
    relay.expect_end(scaled(0, 1))

    for client, collector in steady.items():
        start = since[id(collector)]
        expect_modes(client, collector, start, dict.fromkeys(TOKENS, "full"))
        expect_same(client, collector.ticks(start), direct[client].ticks(since[id(direct[client])]))
    _counts(relay)
    secrets = [account(1)["token"], *map(token_of, NAMES)]
    expect_secret("the output", [*relay.lines, *relay.errors], secrets)


def _client(scenario, client, relay, name, **credentials):
    credentials = {"key": name, "token": token_of(name), **credentials}
    return Collector.at(scenario, client, relay.endpoint(), **credentials, calls=calls(FULL))


def _undisturbed(everyone):
    """Waits for more ticks and heartbeats."""
    since = position(everyone)
    for collector in everyone:
        collector.wait_for_ticks(TICKS, since[id(collector)])
        collector.wait_for("heartbeat", HEARTBEATS, since[id(collector)])


def _kill(scenario, relay):
    for client in CLIENTS:
        collector = _client(scenario, client, relay, "killed")
        collector.wait_for_ticks(1)
        collector.kill()


def _flood(_scenario, relay):
    """Subscribes, changes modes and unsubscribes as fast as the relay reads, half of it in vain."""
    socket = RawSocket(relay.endpoint(), TOKENS[:3], "flood", token_of("flood"))
    threading.Thread(target=_read, args=[socket], daemon=True).start()
    commands = [
        ("subscribe", TOKENS),
        ("mode", ["full", TOKENS]),
        ("mode", ["ltp", TOKENS]),
        ("subscribe", [str(TOKENS[0])]),
        ("mode", ["fuller", TOKENS]),
        ("listen", TOKENS),
        ("unsubscribe", TOKENS),
    ]
    for number in range(scaled(*FLOOD)):
        socket.send(*commands[number % len(commands)])
    socket.reset()


def _read(socket):
    """Reads until the connection ends."""
    with contextlib.suppress(OSError, AssertionError):
        while True:
            socket.read_ticks()


def _refuse(scenario, relay):
    for status, credentials in {400: {"key": "steadier"}, 403: {"token": "steadier"}}.items():
        for client in CLIENTS:
            collector = _client(scenario, client, relay, "steady", **credentials)
            message = collector.wait_for("error")[0]["message"]
            expect_that(f"{client}: error", message, f"names {status}", str(status) in message)
            collector.stop()
        for _ in range(scaled(*REFUSALS)):
            wrong = {"key": "steady", "token": token_of("steady"), **credentials}
            with contextlib.suppress(AssertionError):
                RawSocket(relay.endpoint(), TOKENS[:1], **wrong)
                raise ValueError("admitted with wrong credentials")


def _counts(relay):
    summary = relay.last()
    expect_totals(relay)
    steady, killed, stuck, flood = map(relay.named, NAMES)
    for counts in [steady, killed]:
        lost = {name: counts[name] for name in ["conflated", "dropped", "stalled", "too_slow"]}
        expect(f"lost by {counts['name']}", lost, dict.fromkeys(lost, 0))
    expect_that("conflated for stuck", stuck["conflated"], "some", stuck["conflated"] > 0)
    expect("stalled sockets of stuck", stuck["stalled"], scaled(0, 1))
    expect("refused commands of flood", flood["refused_commands"], 0)
    expect_that("refused", summary["refused"], "both kinds", {*summary["refused"]} == {"400", "403"})
