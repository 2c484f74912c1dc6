"""`kite serve --replay --speed max --slow block`: the clients receive every tick of the tape."""

import tape
from collectors import CLIENTS, Collector, calls
from expect import expect
from market import mode_of, modes, tape_of
from relay import Relay, expect_totals
from replay import SHIFTS, WORK_MS, expect_values

ENDED = {"event": "close", "code": 1001, "reason": "the relay stops"}


def run(scenario, directory):
    recorded = tape.rows(tape_of(directory))
    line = ["--replay", tape_of(directory), "--speed", "max", "--slow", "block", "--sockets", 2]
    relay = Relay(scenario, *line)
    clients = [
        Collector.at(
            scenario,
            client,
            relay.endpoint(),
            relay.key,
            relay.token,
            calls=calls(modes(SHIFTS[client])),
            work_ms=WORK_MS.get(client, 0),
        )
        for client in CLIENTS
    ]
    relay.expect_end()
    summary, leaner = relay.last(), 0
    for collector in clients:
        collector.wait_for("close")
        wanted = _not_leaner(recorded, mode_of(SHIFTS[collector.client]))
        leaner += len(recorded) - len(wanted)
        expect_values(collector, tape.by_token(collector.ticks()), wanted)
        expect(f"{collector.client}: the end", collector.events("close")[0], ENDED)
    expect_totals(relay)
    expect("ticks of the tape", summary["ticks_in"], len(recorded))
    expect("ticks to both clients", summary["ticks_out"], 2 * len(recorded) - leaner)
    expect("ticks leaner than the client's mode", summary["ticks_leaner"], leaner)
    expect("all clients took everything", summary["complete"], True)


def _not_leaner(recorded, mode_of):
    """Returns the rows without those in a leaner mode than the client's, which it is not sent."""
    index = tape.MODES.index
    return [row for row in recorded if index(row["mode"]) >= index(mode_of[row["instrument_token"]])]
