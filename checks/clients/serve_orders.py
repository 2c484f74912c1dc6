"""Order updates go to the clients of `kite serve` that are named by --orders, and to no other."""

import json

from collectors import CLIENTS, Collector, calls
from expect import expect, expect_that
from market import INSTRUMENTS, TOKENS, tape_of
from processes import Kite
from relay import Relay, account, client_file, expect_secret, expect_totals, token_of

# Updates at several times, because the clients must be connected at one of them.
FAULTS = [f"{second}s=order:{status}" for second, status in [(5, "OPEN"), (12, "COMPLETE"), (19, "CANCELLED")]]
NAMES = ["research", "desk"]


def run(scenario, directory):
    line = ["--json", "--instruments-file", INSTRUMENTS, "--fault", ",".join(FAULTS)]
    sim = Kite(scenario, "sim", *line, "--for", "5m")
    tapes = tape_of(directory / "orders")
    recording = ["--record", tapes, "--instruments-file", INSTRUMENTS]
    files = [client_file(directory, name) for name in NAMES]
    line = ["--endpoint", sim.endpoint(), "-vv", *recording, *files, "--orders", NAMES[0]]
    relay = Relay(scenario, *line)
    plan = calls({"full": TOKENS})
    clients = {
        (name, client): Collector.at(
            scenario, client, relay.endpoint(), key=name, token=token_of(name), calls=plan
        )
        for name in NAMES
        for client in CLIENTS
    }
    wrong = Collector.at(scenario, "Python", relay.endpoint(), key=NAMES[0], token=token_of("desk"))
    wrong.wait_for("error")
    wrong.stop()
    with_orders = [it for (name, _), it in clients.items() if name == NAMES[0]]
    for collector in with_orders:
        collector.wait_for("order", 2)
    # An update that is sent twice, or to the others, would arrive before these.
    for collector in clients.values():
        collector.wait_for_ticks(5, len(collector.reports()))
    relay.interrupt()
    relay.expect_end()
    for (name, client), collector in clients.items():
        orders = [it["order"] for it in collector.events("order")]
        if name == NAMES[0]:
            statuses = [it["status"] for it in orders]
            known = [fault.rsplit(":", 1)[1] for fault in FAULTS][-len(statuses) :]
            expect(f"{name}, {client}: order updates, once each", statuses, known)
        else:
            expect(f"{name}, {client}: order updates", orders, [])
            texts = [it for it in collector.events("text") if it["text"]["type"] == "order"]
            expect(f"{name}, {client}: texts of orders", texts, [])
    expect_totals(relay)
    expect("the first line", relay.first(), {"relay": {"endpoint": relay.endpoint()}})
    secrets = [account(1)["token"], *map(token_of, NAMES)]
    expect_secret("the output", [*relay.lines, *relay.errors], secrets)
    files = [path.read_bytes() for path in tapes.rglob("*") if path.is_file()]
    expect_that("files of the tape", len(files), "one or more", len(files) > 0)
    expect_secret("the tape", files, secrets)
    errors = [json.dumps(it) for it in wrong.events("error")]
    # The client itself shows nothing of them either.
    expect_secret("the errors of a refused client", errors, secrets)
