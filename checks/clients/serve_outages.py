"""Faults between `kite serve` and its server: clients stay connected, losses are reported to them."""

import tape
from collectors import Collector, calls, plan_of
from expect import expect, expect_that
from market import INSTRUMENTS, TOKENS, tape_of
from path import Path
from processes import Kite, wait_until
from relay import Relay, account, expect_secret, expect_totals, packets
from scale import scaled

RATE = 20
OUTAGES = 3, 12
# Ticks of each instrument between two outages.
TICKS = 20
# Ticks of each instrument under chaos.
CHAOTIC = 40, 2_000
# Packets with which a client may begin that are not on the tape: the snapshots of its commands.
SNAPSHOTS = 3
ALL = {"full": TOKENS}
SOME = {"quote": TOKENS[::2]}


def run(scenario, directory):
    _outages(scenario)
    _chaos(scenario, directory)


def _outages(scenario):
    """The path of the relay alone is cut, so that the market goes on meanwhile."""
    sim = Kite(scenario, "sim", "--json", "--accounts", 8, "--rate", RATE, "--for", "5m")
    path = Path(scenario, sim.endpoint())
    relay = Relay(scenario, "--endpoint", path.endpoint, "-vv")
    direct = Collector.at(scenario, "Python", sim.endpoint(), **account(2), calls=calls(ALL))
    direct.wait_for_ticks(1)
    own = {"key": relay.key, "token": relay.token}
    plans = [
        plan_of("Python", relay.endpoint(), **own, calls=calls(modes)) for modes in [ALL, SOME]
    ]
    wishes = dict(zip(Collector.several(scenario, "Python", plans), [ALL, SOME], strict=True))
    node = Collector.at(scenario, "Node", relay.endpoint(), **own, calls=calls(ALL))
    everyone = [*wishes, node, direct]
    for collector in everyone:
        collector.wait_for_ticks(TICKS)
    for outage in range(scaled(*OUTAGES)):
        path.cut()
        # Each of the connections upstream that has instruments of a client causes an error.
        for collector, modes in wishes.items():
            _wait_for("instruments without ticks", _without_ticks, collector, modes, outage + 1)
        path.restore()
        for collector, modes in wishes.items():
            _wait_for("instruments of gaps", _of_gaps, collector, modes, outage + 1)
        for collector in everyone:
            collector.wait_for_ticks(TICKS, len(collector.reports()))
    # The Node client ignores texts of type error.
    expect("errors that Node reports", node.events("error"), [])
    relay.interrupt()
    relay.expect_end()
    direct.wait_for_ticks(TICKS, len(direct.reports()))
    all_gaps = next(_gaps(it) for it in wishes)
    for name, collector, modes, gaps in [
        *((f"Python in {[*modes]}", it, modes, _gaps(it)) for it, modes in wishes.items()),
        ("Node", node, ALL, all_gaps),
    ]:
        found = [it for it in collector.ticks() if it["mode"] in modes]
        _expect_missed_is_reported(name, tape.by_token(found), gaps)
        if modes is ALL and collector is not node:
            _expect_nothing_else(name, found, direct.ticks())
        expect(f"{name}: connects", len(collector.events("connect")), 1)
    expect_totals(relay)
    secrets = [account(1)["token"], relay.token]
    expect_secret("the output", [*relay.lines[1:], *relay.errors], secrets)


def _wait_for(what, count_of, collector, modes, times):
    """Waits until texts name all instruments of a client so many times."""
    count = sum(map(len, modes.values())) * times
    wait_until(f"{count} {what}", lambda: count_of(collector) >= count, collector)
    expect(what, count_of(collector), count)


def _without_ticks(collector):
    messages = [it["message"] for it in collector.events("error")]
    for text in messages:
        assert text.endswith(": the connection to Kite is down; reconnecting."), text
    return sum(int(text.removeprefix("No ticks from ").split()[0]) for text in messages)


def _of_gaps(collector):
    return sum(len(gap["instruments"]) for gap in _gaps(collector))


def _gaps(collector):
    """Returns the gaps that a client was sent messages of."""
    texts = [it["text"] for it in collector.events("text")]
    return [it["data"]["gap"] for it in texts if it["type"] == "message" and "gap" in it["data"]]


def _expect_missed_is_reported(name, ticks, gaps):
    """Requires that volume not traded by the next packet is what the gaps report, in order."""
    found, reported = {}, {}
    for token, packets in ticks.items():
        if "volume_traded" not in packets[0]["fields"]:
            continue
        fields = [packet["fields"] for packet in packets]
        for before, after in zip(fields, fields[1:], strict=False):
            traded = after["volume_traded"] - before["volume_traded"]
            # A snapshot repeats the last packet.
            if traded not in (0, after["last_traded_quantity"]):
                found.setdefault(token, []).append((traded, after["last_traded_quantity"]))
    for gap in gaps:
        for token, volume in gap["instruments"].items():
            if volume is not None:
                reported.setdefault(int(token), []).append(volume)
    # The gap may end with a packet in a leaner mode, which the client is not sent.
    for token, jumps in found.items():
        volumes = reported.get(token, [])
        pairs = list(zip(jumps, volumes, strict=True))
        rest = [volume - missed for (volume, _), missed in pairs]
        last = [quantity for _, quantity in jumps]
        is_same = all(more in (0, one) for more, one in zip(rest, last, strict=True))
        expect_that(f"{name}: volume missed of {token}", pairs, "as reported", is_same)
    expect(f"{name}: instruments that missed volume", sorted(found), sorted(reported))
    expect_that(f"{name}: gaps with volumes", len(gaps), "at least one", len(reported) > 0)


def _expect_nothing_else(name, found, direct):
    """Requires that a client has received packets that a direct one has, in the same order."""
    direct = packets(direct)
    for key, sent in packets(found).items():
        rest = iter(direct[key])
        updates = [it for before, it in zip([None, *sent], sent, strict=False) if before != it]
        missing = [it for it in updates if it not in rest]
        expect_that(f"{name}: packets of {key}", len(sent), "in order", not missing)


def _chaos(scenario, directory):
    """Each client receives what is on the tape, whatever the server does."""
    line = ["--json", "--rate", RATE, "--chaos", "2s", "--instruments-file", INSTRUMENTS]
    sim = Kite(scenario, "sim", *line, "--for", "5m")
    tapes = tape_of(directory / "chaos")
    recording = ["--record", tapes, "--instruments-file", INSTRUMENTS]
    relay = Relay(scenario, "--endpoint", sim.endpoint(), "-vv", *recording)
    own = {"key": relay.key, "token": relay.token}
    clients = {
        client: Collector.at(scenario, client, relay.endpoint(), **own, calls=calls(ALL))
        for client in ["Python", "Node"]
    }
    for collector in clients.values():
        collector.wait_for_ticks(scaled(*CHAOTIC))
    python = clients["Python"]
    wait_until("a gap", lambda: _gaps(python), python)
    relay.interrupt()
    relay.ended()
    # A connection that chaos has taken down at the end is a finding.
    relay.expect_end(1 if relay.last()["down_at_end"] else 0)
    rows = tape.rows(tapes)
    # A client in full mode is not sent leaner packets.
    full = [row for row in rows if row["mode"] == "full"]
    for client, collector in clients.items():
        recorded = tape.by_token(tape.as_reported(row, "full", client) for row in full)
        for token, found in tape.by_token(collector.ticks()).items():
            starts = range(SNAPSHOTS + 1)
            same = [len(found) - it for it in starts if _ends_with(recorded[token], found[it:])]
            expect_that(f"{client}: ticks of {token}", same, "as on the tape", same)
        expect(f"{client}: connects", len(collector.events("connect")), 1)
    _without_ticks(python)
    expect_totals(relay)
    summary = relay.last()
    expect("ticks on the tape", len(rows), summary["ticks_in"])
    expect_that("gaps", summary["gaps"], "reported", summary["gaps"] > 0)
    secrets = [account(1)["token"], relay.token]
    expect_secret("the output", [*relay.lines[1:], *relay.errors], secrets)
    files = [path.read_bytes() for path in tapes.rglob("*") if path.is_file()]
    expect_secret("the tape", files, secrets)


def _ends_with(long, short):
    return long[len(long) - len(short) :] == short
