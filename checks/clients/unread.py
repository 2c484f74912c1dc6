"""Clients that do not read are named by `kite sim` and `kite replay`."""

from expect import expect, expect_that
from market import INSTRUMENTS, TOKENS
from processes import Kite
from raw_socket import RawSocket
from replay import serve


def run(scenario, directory):
    # This simulator disconnects its client after 30 s, in which the replay is checked.
    line = ["sim", "-v", "--json", "--rate", "1000", "--instruments-file", INSTRUMENTS]
    sim = Kite(scenario, *line, "--for", "5m")
    stuck = RawSocket(sim.endpoint(), TOKENS[:8])
    _replay(scenario, directory)
    sim.wait_for_line(f"client disconnected: it does not read client={stuck.address}")
    sim.interrupt()
    expect("status of kite sim", sim.ended(), 0)
    _named(sim, {"stuck": stuck.address})


def _replay(scenario, directory):
    """One client never reads, another one resets its connection with bytes unread."""
    replay = serve(scenario, directory, linger="2s")
    clients = {end: RawSocket(replay.endpoint(), TOKENS[:3]) for end in ["stayed", "reset"]}
    clients["reset"].read_ticks()
    clients["reset"].reset()
    expect("status of kite replay", replay.ended(), 1)
    _named(replay, {end: it.address for end, it in clients.items()})


def _named(server, clients):
    """The summary and the warnings name these clients, by their ends, and no others."""
    unfinished = server.last()["unfinished_clients"]
    named = {it["end"]: it["peer"] for it in unfinished}
    expect(f"unfinished clients of {server.name}", named, clients)
    warnings = [line for line in server.errors if line.startswith("warning: ")]
    for address in clients.values():
        of_client = [line for line in warnings if f" client {address} " in line]
        expect_that("the only warning of a client", of_client, "names it", len(of_client) == 1)
    expect(f"warnings of {server.name}", len(warnings), len(clients))
    unread = {it["end"]: it["unread_bytes"] for it in unfinished if it["end"] != "reset"}
    expect_that("bytes left unread", unread, "counted", all(unread.values()))
