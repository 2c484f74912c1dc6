"""The official clients as processes that print what they report (collect.py, collect.js)."""

import json
import os
import sys

from processes import Process, wait_until

HERE = os.path.dirname(os.path.abspath(__file__))

# A client by its name: the command, and the expression that the servers print for it.
CLIENTS = {
    "Python": (
        [sys.executable, f"{HERE}/collect.py"],
        'KiteTicker("{key}", "{token}", root="{root}")',
    ),
    "Node": (
        ["node", f"{HERE}/collect.js"],
        'new KiteTicker({{api_key: "{key}", access_token: "{token}", root: "{root}"}})',
    ),
}


KEY, TOKEN = "sim_api_key", "sim_access_token"


def plan_of(client, root, key=KEY, token=TOKEN, **plan):
    """Returns the plan of a client in the form of the printed lines."""
    _, expression = CLIENTS[client]
    return {**plan, "client": expression.format(key=key, token=token, root=root)}


def calls(modes):
    """Returns the calls that subscribe tokens, given by mode."""
    every = [token for tokens in modes.values() for token in tokens]
    return [["subscribe", every]] + [["set_mode", mode, tokens] for mode, tokens in modes.items()]


class Group(Process):
    """A process of official clients of one language, with what each has reported so far."""

    def __init__(self, scenario, client, plans):
        self._parsed, self._reports = 0, [[] for _ in plans]
        command, _ = CLIENTS[client]
        name = f"the {client} client"
        super().__init__(scenario, name, [*command, *map(json.dumps, plans)])

    def reports_of(self, member):
        lines = self.lines[self._parsed :]
        self._parsed += len(lines)
        for report in map(json.loads, lines):
            self._reports[report.pop("member", 0)].append(report)
        return self._reports[member]


class Collector:
    """An official client with what it has reported so far."""

    def __init__(self, client, group, member):
        self.client, self.group, self.member = client, group, member
        self.name = group.name
        self.has_ended, self.last_words = group.has_ended, group.last_words
        self.stop, self.kill = group.stop, group.kill

    @classmethod
    def start(cls, scenario, client, plan):
        """Starts a client as a process."""
        return cls(client, Group(scenario, client, [plan]), 0)

    @classmethod
    def at(cls, scenario, client, root, key=KEY, token=TOKEN, **plan):
        """Starts a client in the form of the printed lines."""
        return cls.start(scenario, client, plan_of(client, root, key, token, **plan))

    @classmethod
    def several(cls, scenario, client, plans):
        """Starts clients, in one process if the client allows that."""
        if client == "Node":
            return [cls.start(scenario, client, plan) for plan in plans]
        group = Group(scenario, client, plans)
        return [cls(client, group, member) for member in range(len(plans))]

    def reports(self):
        """Returns all it has reported so far."""
        return self.group.reports_of(self.member)

    def ticks(self, since=0):
        """Returns the ticks among the reports from this one on."""
        return [it for it in self.reports()[since:] if "token" in it]

    def events(self, name, since=0):
        """Returns the events of this name among the reports from this one on."""
        return [it for it in self.reports()[since:] if it.get("event") == name]

    def wait_for(self, name, count=1, since=0):
        """Waits for so many events; returns them."""
        what = f"{count} × {name} of {self.name}"
        wait_until(what, lambda: len(self.events(name, since)) >= count, self)
        return self.events(name, since)

    def wait_for_ticks(self, count, since=0):
        """Waits until each instrument that ticks has ticked so often, and at least one does."""

        def enough():
            totals = list(self.counts(since).values())
            return totals and min(totals) >= count

        wait_until(f"{count} ticks an instrument of {self.name}", enough, self)

    def wait_for_total(self, count, since=0):
        """Waits for so many ticks of all instruments."""
        what = f"{count} ticks of {self.name}"
        wait_until(what, lambda: len(self.ticks(since)) >= count, self)

    def counts(self, since=0):
        """Returns the number of ticks of each instrument."""
        totals = {}
        for tick in self.ticks(since):
            totals[tick["token"]] = totals.get(tick["token"], 0) + 1
        return totals
