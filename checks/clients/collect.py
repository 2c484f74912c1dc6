"""Runs the official Python client and prints what it reports, as JSON lines.

    collect.py PLAN

PLAN is JSON: `client` is the expression that makes the client, as the servers print it; `names`
are the variables in it; `calls` are made whenever the client has connected, such as
["subscribe", [408065]]; `work_ms` is the work for each frame of ticks. A tick is printed as
`token`, `mode` and `fields`, which are the client's own with times in Unix seconds; anything else
has the name of its `event`. collect.js is the same for Node.
"""

import json
import os
import signal
import sys
import time
import traceback
from datetime import datetime

from kiteconnect import KiteTicker

# Ends a client that its check did not end.
signal.alarm(300)


def line(report):
    def seconds(moment):
        return int(moment.timestamp())

    return json.dumps(report, default=seconds) + "\n"


def tick(packet):
    fields = dict(packet)
    # The client has no way to say that there is no time; the other client says null.
    for name, value in fields.items():
        if isinstance(value, datetime) and value.timestamp() == 0:
            fields[name] = None
    return line(
        {"token": fields.pop("instrument_token"), "mode": fields.pop("mode"), "fields": fields}
    )


def event(name, **details):
    print(line({"event": name, **details}), end="", flush=True)


def callback(function):
    """Ends the process at an exception, which the client would ignore."""

    def call(*arguments):
        try:
            function(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(70)

    return call


plan = json.loads(sys.argv[1])
ticker = eval(plan["client"], {"KiteTicker": KiteTicker, **plan.get("names", {})})


@callback
def on_connect(ws, _response):
    event("connect")
    for name, *arguments in plan.get("calls", []):
        if name == "send":
            ws.ws.sendMessage(arguments[0].encode())
        else:
            getattr(ws, name)(*arguments)


@callback
def on_ticks(_ws, ticks):
    print("".join(map(tick, ticks)), end="", flush=True)
    time.sleep(plan.get("work_ms", 0) / 1000)


@callback
def on_message(_ws, payload, is_binary):
    if is_binary and len(payload) < 4:
        event("heartbeat")


ticker.on_connect = on_connect
ticker.on_ticks = on_ticks
ticker.on_message = on_message
ticker.on_order_update = callback(lambda _ws, order: event("order", order=order))
ticker.on_close = callback(lambda _ws, code, reason: event("close", code=code, reason=reason))
ticker.on_error = callback(lambda _ws, code, reason: event("error", message=str(reason)))
ticker.on_reconnect = callback(lambda _ws, _attempts: event("reconnect"))
ticker.connect()
