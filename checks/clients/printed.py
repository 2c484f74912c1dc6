"""The lines for Python and Node that the servers and their help print, executed as printed."""

import re

from collectors import CLIENTS, Collector
from expect import expect
from market import tape_of
from processes import Kite, kite_run

INFY = 408_065
# The port in the help, which tells the reader to use the server's own.
EXAMPLE = "8765"


def run(scenario, directory):
    for command in [["sim"], ["replay", tape_of(directory), "--stay"]]:
        server = Kite(scenario, *command, "--for", "5m")
        # The last line of both.
        server.wait_for_line("Ctrl-C stops it.")
        _run(scenario, server.name, _expressions(server.lines), {})
        printed = "\n".join(server.lines)
        port = re.search(r"endpoint  ws://127\.0\.0\.1:(\d+)", printed)[1]
        key, token = re.search(r"KITE_API_KEY=(\S+) KITE_ACCESS_TOKEN=(\S+)", printed).groups()
        status, text, _ = kite_run(command[0], "--help")
        expect(f"status of {server.name} --help", status, 0)
        expressions = _expressions(text.replace(EXAMPLE, port).splitlines())
        names = {"api_key": key, "access_token": token}
        _run(scenario, f"{server.name} --help", expressions, names)
        server.stop()


def _expressions(lines):
    """Returns what is printed after the names of the clients."""
    found = [re.fullmatch(r"\s*(Python|Node) +(\S.*)", line) for line in lines]
    return {it[1]: it[2] for it in found if it}


def _run(scenario, source, expressions, names):
    expect(f"clients in the lines of {source}", list(expressions), list(CLIENTS))
    plan = {"calls": [["subscribe", [INFY]]], "names": names}
    collectors = [
        Collector.start(scenario, client, {**plan, "client": line})
        for client, line in expressions.items()
    ]
    for collector in collectors:
        collector.wait_for_ticks(1)
        printed = expressions[collector.client]
        expect(f"{source}: ticks of {printed}", list(collector.counts()), [INFY])
    for collector in collectors:
        collector.stop()
