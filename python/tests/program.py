"""Runs a program with either client; see `Program` in conftest.py.

The program has `KiteTicker`, `ticker(**arguments)` which creates one that notes every callback in
`events`, `wait_for(condition)`, and `done(value)`, which ends the process.
"""

import importlib
import json
import os
import pickle
import sys
import threading
import time

settings = json.loads(sys.argv[1])
KiteTicker = importlib.import_module(settings["package"]).KiteTicker
events = []
NAMES = [
    "ticks",
    "connect",
    "open",
    "message",
    "order_update",
    "error",
    "close",
    "reconnect",
    "noreconnect",
]
_changed = threading.Condition()
_done = threading.Lock()


def done(value):
    """Ends the process with a result, once."""
    if _done.acquire(blocking=False):
        with open(settings["out"], "wb") as out:
            pickle.dump(value, out)
        os._exit(0)
    time.sleep(60)


def note(name, *arguments):
    with _changed:
        events.append((name, *arguments))
        _changed.notify_all()


def names(*wanted):
    """Returns the names of the events so far; only these, if any are given."""
    return [event[0] for event in events if not wanted or event[0] in wanted]


def wait_for(condition):
    with _changed:
        assert _changed.wait_for(condition, 50), names()


def ticker(calls=(), **arguments):
    """Returns a ticker that notes all callbacks, and makes these calls in on_connect."""
    defaults = {name: settings[name] for name in ("root", "api_key", "access_token")}
    made = KiteTicker(**{**defaults, **arguments})

    def noting(name):
        def callback(ws, *arguments):
            assert ws is made
            if name == "connect":
                (response,) = arguments
                # The key is random.
                headers = {**response.headers, "sec-websocket-accept": None}
                answer = headers, response.version, response.protocol, response.extensions
                arguments = (response.peer, answer, ws.is_connected())
            if name == "message":
                assert isinstance(arguments[0], bytes)
            note(name, *arguments)
            if name == "connect":
                for method, *values in calls:
                    assert getattr(ws, method)(*values) is True
                print("subscribed", flush=True)

        return callback

    for name in NAMES:
        setattr(made, f"on_{name}", noting(name))
    return made


exec(compile(sys.argv[2], "program", "exec"), globals())
