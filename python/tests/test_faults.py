"""Under every fault of the simulator, the callbacks are those of the other client.

Not in CI, where test_equal.py has some: `python/check.sh --all-faults`.
"""

import json
import subprocess

import pytest

from conftest import KITE
from test_equal import comparable

# Described and tested in test_differences.py.
DIFFERENT = {
    "auth_refusal": "a refused token is not tried again",
    "lying_count": "a damaged frame costs its tail",
}
# A second open, or for as long as the fault takes to be noticed if it is.
UNTIL_REOPENED = """
kws = ticker([("set_mode", "full", [408065, 256265])], reconnect_max_delay=5, connect_timeout=5)
kws.connect(threaded=True)
with _changed:
    _changed.wait_for(lambda: names().count("open") == settings["opens"], settings["seconds"])
end = next((at for at in range(len(events)) if names()[: at + 1].count("open") == settings["opens"]), len(events))
done([event for event in events[: end + 1] if event[0] not in ("ticks", "message")])
"""


def faults():
    listed = subprocess.run([KITE, "sim", "--list-faults", "--json"], stdout=subprocess.PIPE, check=True)
    return {fault["kind"]: fault["family"] for fault in json.loads(listed.stdout)}


def pytest_generate_tests(metafunc):
    wanted = metafunc.config.getoption("--all-faults")
    metafunc.parametrize(("kind", "family"), faults().items() if wanted else [])


def test_the_callbacks_are_equal(kind, family, serve, program):
    if kind in DIFFERENT:
        pytest.skip(DIFFERENT[kind])
    when = "8s" if family == "server" else "handshake1"
    opens = 2 if family in ("socket", "server") else 1
    theirs, ours = (
        program(
            package,
            UNTIL_REOPENED,
            serve("sim", "--rate", 20, "--fault", f"{when}={kind}"),
            opens=opens,
            seconds=30 if family == "server" else 15,
        )
        for package in ("kiteconnect", "kiteticker")
    )
    expected, found = theirs.result(), ours.result()
    if family == "server":
        # How often a server that is down is tried depends on random delays.
        expected, found = (
            [event for event in events if event[0] != "reconnect"] for events in (expected, found)
        )
    assert [comparable(event) for event in found] == [comparable(event) for event in expected]
