"""Runs official Python clients in one process and prints what they report, as JSON lines.

    collect.py PLAN...

Each PLAN is of a client, whose number among them is the `member` of its lines. PLAN is JSON: `client` is the expression that makes the client, as the servers print it; `names`
are the variables in it; `calls` are made whenever the client has connected, such as
["subscribe", [408065]]; `work_ms` is the work for each frame of ticks. A tick is printed as
`token`, `mode` and `fields`, which are the client's own with times in Unix seconds; anything else
has the name of its `event`. collect.js is the same for Node, with one client.
"""

import json
import os
import signal
import sys
import time
import traceback
from datetime import datetime

from kiteconnect import KiteTicker
from twisted.internet import reactor

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
    return {"token": fields.pop("instrument_token"), "mode": fields.pop("mode"), "fields": fields}


def callback(function):
    """Ends the process at an exception, which the client would ignore."""

    def call(*arguments):
        try:
            function(*arguments)
        except BaseException:
            traceback.print_exc()
            os._exit(70)

    return call


class Client:
    """A client that prints what it reports."""

    def __init__(self, member, plan):
        self.member, self.plan = member, plan
        self.ticker = eval(plan["client"], {"KiteTicker": KiteTicker, **plan.get("names", {})})
        for name in ["on_connect", "on_ticks", "on_message"]:
            setattr(self.ticker, name, callback(getattr(self, name)))
        events = {
            "on_order_update": lambda _ws, order: self.event("order", order=order),
            "on_close": lambda _ws, code, reason: self.event("close", code=code, reason=reason),
            "on_error": lambda _ws, _code, reason: self.event("error", message=str(reason)),
            "on_reconnect": lambda _ws, _attempts: self.event("reconnect"),
        }
        for name, function in events.items():
            setattr(self.ticker, name, callback(function))

    def event(self, name, **details):
        print(line({"member": self.member, "event": name, **details}), end="", flush=True)

    def on_connect(self, ws, _response):
        self.event("connect")
        for name, *arguments in self.plan.get("calls", []):
            if name == "send":
                ws.ws.sendMessage(arguments[0].encode())
            else:
                getattr(ws, name)(*arguments)

    def on_ticks(self, _ws, ticks):
        lines = (line({"member": self.member, **tick(packet)}) for packet in ticks)
        print("".join(lines), end="", flush=True)
        time.sleep(self.plan.get("work_ms", 0) / 1000)

    def on_message(self, _ws, payload, is_binary):
        if not is_binary:
            self.event("text", text=json.loads(payload))
        elif len(payload) < 4:
            self.event("heartbeat")


clients = [Client(member, json.loads(plan)) for member, plan in enumerate(sys.argv[1:])]
# The first one to connect runs the reactor of all.
for client in clients[1:]:
    reactor.callWhenRunning(client.ticker.connect)
clients[0].ticker.connect()
