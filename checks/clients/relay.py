"""`kite serve` with clients that also connect directly, and what they have to have in common."""

import tape
from expect import expect, expect_that, overlap
from processes import Kite

# Packets of an instrument that a client has to have in common with one that connects directly.
MIN_OVERLAP = 100
TOTALS = ["ticks_out", "conflated", "dropped", "unsent", "unsubscribed"]


class Relay(Kite):
    """A running `kite serve`; `key` and `token` are those of the pair that it made, if it did."""

    def __init__(self, scenario, *arguments):
        line = ["serve", "--json", "--relay", "127.0.0.1:0", "--for", "5m", *arguments]
        super().__init__(scenario, *line)
        relay = self.first()["relay"]
        self.key, self.token = relay.get("api_key"), relay.get("access_token")

    def endpoint(self):
        return self.first()["relay"]["endpoint"]

    def expect_end(self, status=0):
        """Requires that it has ended or ends with this exit status."""
        found = self.ended()
        if found != status:
            print(*self.errors[-20:], sep="\n")
        expect("status of kite serve", found, status)

    def named(self, name):
        """Returns what the summary says of a client."""
        return next(it for it in self.last()["clients"] if it["name"] == name)


def client_file(directory, name):
    """Writes the credentials of a client of the relay; returns the argument for it."""
    path = directory / f"{name}.credentials"
    path.write_text(f"api_key = {name}\naccess_token = {token_of(name)}\n")
    path.chmod(0o600)
    return f"--client={name}={path}"


def token_of(name):
    return f"secretof{name}"


def account(number):
    """Returns the credentials of an account of `kite sim`, counted from 1."""
    suffix = "" if number == 1 else f"_{number}"
    return {"key": f"sim_api_key{suffix}", "token": f"sim_access_token{suffix}"}


def position(collectors):
    """Returns how much each client has reported so far."""
    return {id(it): len(it.reports()) for it in collectors}


def expect_modes(name, collector, since, modes):
    """Requires that since a position a client has received these instruments in these modes."""
    found = {(it["token"], it["mode"]) for it in collector.ticks(since)}
    expect(f"{name}: instruments and modes", sorted(found), sorted(modes.items()))


def expect_same(name, found, direct, minimum=MIN_OVERLAP):
    """Requires that two lists of packets of each instrument are equal from the first packet that
    both have. The times are those of the sending, by each socket."""
    found, direct = packets(found), packets(direct)
    lengths = {}
    for (token, mode), sent in found.items():
        lengths[token] = overlap(sent, direct.get((token, mode), []), minimum)
        if not lengths[token]:
            ends = {"direct": direct.get((token, mode)), "relayed": sent}
            expect(f"{name}: the packets of {token} in {mode}", ends["relayed"], ends["direct"])
    expect_that(
        f"{name}: packets that are equal, of {len(lengths)} instruments",
        min(lengths.values()),
        f"at least {minimum} of each",
        min(lengths.values()) >= minimum,
    )


def packets(ticks):
    """Returns the packets without times, by instrument and mode."""
    lists = {}
    for tick in ticks:
        fields = {name: value for name, value in tick["fields"].items() if name not in tape.TIMES}
        lists.setdefault((tick["token"], tick["mode"]), []).append(fields)
    return lists


def expect_totals(relay):
    """Requires that every tick queued is accounted for, in total and for each client."""
    summary = relay.last()
    for counts in [summary, *summary["clients"]]:
        name = f"client {counts['name']}" if "name" in counts else "all clients"
        parts = {part: counts[part] for part in TOTALS}
        expect(f"{name}: ticks queued are {parts}", counts["ticks_queued"], sum(parts.values()))
    for total in [*TOTALS, "ticks_queued"]:
        by_client = sum(it[total] for it in summary["clients"])
        expect(f"{total} of all clients", by_client, summary[total])


def expect_secret(what, texts, tokens):
    """Requires that no token is in the texts."""
    texts = [text.encode() if isinstance(text, str) else text for text in texts]
    found = [token for token in tokens if any(token.encode() in text for text in texts)]
    expect(f"tokens in {what} ({sum(map(len, texts))} bytes)", found, [])
