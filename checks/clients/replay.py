"""The end of `kite replay`: the clients receive every tick and then the close frame."""

import tape
from collectors import CLIENTS, Collector, calls
from expect import expect, expect_that
from market import TOKENS, mode_of, modes, tape_of
from processes import Kite, kite_run

ENDED = {"event": "close", "code": 1001, "reason": "the tape has ended"}
# Work for each frame of ticks, with which a client reads on long after the end of the tape.
WORK_MS = {"Python": 5}
# Other modes than those of `market.py`.
SHIFTS = dict(zip(CLIENTS, [2, 3], strict=True))


def run(scenario, directory):
    recorded = tape.rows(tape_of(directory))
    first = serve(scenario, directory)
    clients = {
        client: Collector.at(
            scenario,
            client,
            first.endpoint(),
            calls=calls(modes(SHIFTS[client])),
            work_ms=WORK_MS.get(client, 0),
        )
        for client in CLIENTS
    }
    _ended(first, "kite replay")
    for collector in clients.values():
        _complete(collector, 0, directory, recorded)
    _stay(scenario, directory, recorded, first.endpoint(), clients)
    status, _, errors = kite_run("replay", tape_of(directory), "--sockets", "4")
    expect_that("--sockets 4", errors.splitlines()[0], "is invalid usage", status == 2)


def serve(scenario, directory, *arguments, linger="80s"):
    """Serves the tape to two sockets. A busy machine may need more than the default linger."""
    line = ["replay", tape_of(directory), "--json", "--speed", "max", "--sockets", "2"]
    return Kite(scenario, *line, "--linger", linger, "--for", "5m", *arguments)


def _position(name, collector, since=0):
    """Returns the position of the next event of this name among the reports, once it is there."""
    collector.wait_for(name, 1, since)
    reports = collector.reports()
    return next(at for at in range(since, len(reports)) if reports[at].get("event") == name)


def _ended(replay, name):
    expect(f"status of {name}", replay.ended(), 0)
    expect(f"unfinished clients of {name}", replay.last()["unfinished_clients"], [])
    expect(f"warnings of {name}", [line for line in replay.errors if "warning" in line], [])


def _complete(collector, since, directory, recorded):
    """Compares what a client has received from a position up to the next close with the tape."""
    name = collector.client
    end = _position("close", collector, since)
    reports = collector.reports()[since : end + 1]
    expect(f"{name}: the end", reports[-1], ENDED)
    ticks = [it for it in reports if "token" in it]
    inspected = tape.inspected(tape_of(directory))
    expect(f"{name}: ticks", len(ticks), inspected["ticks"])
    counts = {it["instrument_token"]: it["ticks"] for it in inspected["busiest"]}
    found = tape.by_token(ticks)
    expect(
        f"{name}: ticks by instrument",
        {token: len(found[token]) for token in sorted(found)},
        dict(sorted(counts.items())),
    )
    expect_values(collector, found, recorded)


def expect_values(collector, found, recorded):
    """Compares all ticks of each instrument with the rows of a tape."""
    name, of_mode = collector.client, mode_of(SHIFTS[collector.client])
    expected = tape.by_token(
        tape.as_reported(row, of_mode[row["instrument_token"]], name) for row in recorded
    )
    last = {token: _last(ticks) for token, ticks in expected.items()}
    expect(f"{name}: last values", {token: _last(found[token]) for token in last}, last)
    counts = {token: len(ticks) for token, ticks in expected.items()}
    expect(f"{name}: ticks", {token: len(found[token]) for token in counts}, counts)
    pairs = [pair for token in TOKENS for pair in zip(found[token], expected[token], strict=True)]
    expect(
        f"{name}: differences in {len(pairs)} ticks",
        [pair for pair in pairs if pair[0] != pair[1]][:1],
        [],
    )


def _last(ticks):
    """Returns mode, price and volume of the last tick."""
    last = ticks[-1]
    return last["mode"], last["fields"]["last_price"], last["fields"].get("volume_traded")


def _stay(scenario, directory, recorded, endpoint, clients):
    """The clients reconnect after the close frame, to a server that stays."""
    closed = {client: _position("close", collector) for client, collector in clients.items()}
    staying = serve(scenario, directory, "--stay", "--port", endpoint.rsplit(":", 1)[1])
    expect("the endpoint again", staying.endpoint(), endpoint)
    # Attempts that failed because no server was there have reported closes, too.
    since = {
        client: _position("connect", collector, closed[client])
        for client, collector in clients.items()
    }
    for client, collector in clients.items():
        collector.wait_for_total(len(recorded), since[client])
        heartbeats = collector.wait_for("heartbeat", 2, len(collector.reports()))
        expect_that(f"{client}: heartbeats", len(heartbeats), "after the end of the tape", True)
    staying.interrupt()
    _ended(staying, "kite replay --stay")
    for client, collector in clients.items():
        _complete(collector, since[client], directory, recorded)
