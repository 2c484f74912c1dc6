"""A thousand tickers that end, in each way, leave no descriptor, thread, object or memory behind."""

import pytest

TIMES = 1_000
WARM_UP = 100
# The allocators keep some memory for later; a leak of one socket's buffers would be 128 KiB each.
MORE_KIB = 8 * 1024

# `once()` begins and ends a ticker, and returns an object that must be collected afterwards.
COUNT = """
import gc, os, resource, threading, time, weakref
from kiteticker._native import Feed

opened = threading.Event()

def ticker():
    opened.clear()
    return KiteTicker(settings["api_key"], settings["access_token"], root=settings["root"])

{once}

def resident_kib():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * resource.getpagesize() // 1024

def count():
    return len(os.listdir("/proc/self/fd")), threading.active_count(), len(os.listdir("/proc/self/task"))

def run(times):
    alive = [weakref.ref(once()) for _ in range(times)]
    gc.collect()
    return sum(it() is not None for it in alive)

run(settings["warm_up"])
before, before_kib = count(), resident_kib()
alive = run(settings["times"])
deadline = time.monotonic() + 30
while any(now > then for now, then in zip(count(), before)) and time.monotonic() < deadline:
    time.sleep(0.001)
done((alive, before, count(), resident_kib() - before_kib))
"""

WAYS = {
    "stop in a callback of a blocking connect": """
def once():
    kws = ticker()
    kws.on_open = lambda ws: ws.stop()
    kws.connect()
    return kws
""",
    "stop from another thread": """
def once():
    kws = ticker()
    kws.on_open = lambda ws: opened.set()
    kws.connect(threaded=True)
    assert opened.wait(30)
    kws.stop()
    kws.websocket_thread.join()
    return kws
""",
    "the thread of the callbacks ends": """
import sys
def once():
    kws = ticker()
    kws.on_open = lambda ws: sys.exit()
    kws.connect(threaded=True)
    kws.websocket_thread.join()
    assert not kws.is_connected()
    return kws
""",
    "an exception ends a blocking connect": """
def once():
    kws = ticker()
    def on_open(ws):
        raise KeyboardInterrupt
    kws.on_open = on_open
    try:
        kws.connect()
    except KeyboardInterrupt:
        return kws
""",
    "the sockets are collected while they are open": """
from types import SimpleNamespace
class Weak:
    "Native objects have no weak references."
SETTINGS = SimpleNamespace(root=settings["root"], query=[], reconnect=True, max_delay=60.0,
    connect_timeout=30.0, verify=True, proxy=None, slow="block", record_to=None)
def once():
    owner = Weak()
    owner.feed = Feed(settings["api_key"], settings["access_token"], [(408065, "full")], None, SETTINGS)
    owner.cycle = owner
    while (event := owner.feed.next(30.0, True, True)) is None or event[0] != "frame":
        pass
    collected = weakref.ref(owner)
    del owner
    gc.collect()
    assert collected() is None
    return Weak()
""",
    "close and connect again": """
kws = ticker()
def on_close(ws, code, reason):
    opened.set()
kws.on_close = on_close
kws.on_open = lambda ws: ws.close()
def once():
    opened.clear()
    kws.connect(threaded=True)
    assert opened.wait(30)
    return Weak()
class Weak:
    pass
""",
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left_behind(way, serve, program):
    source = COUNT.replace("{once}", WAYS[way])
    found = program("kiteticker", source, serve("sim"), times=TIMES, warm_up=WARM_UP).result()
    alive, before, after, more_kib = found
    assert alive == 0
    assert all(now <= then for now, then in zip(after, before, strict=True)), (before, after)
    assert more_kib < MORE_KIB
