"""What the ticker does beyond the client that programs are written for."""

import copy
import datetime
import pickle
import subprocess
import sys
import traceback
from types import SimpleNamespace

import pytest

import kiteticker
from kiteticker import KiteTicker
from kiteticker._native import Feed

from test_differences import PROXY


def test_losses_are_reported_by_on_gap(serve, program):
    source = """
kws = ticker([("set_mode", "full", [408065])])
def on_gap(ws, gap):
    # The instrument may not have ticked before the first reset.
    if gap.missed.get(408065) is not None:
        done((gap.missed, gap.seconds > 0, str(gap)))
kws.on_gap = on_gap
kws.connect()
"""
    faults = ",".join(f"{second}s=reset" for second in range(1, 40, 4))
    sim = serve("sim", "--rate", 20, "--fault", faults)
    missed, is_longer, text = program("kiteticker", source, sim).result()
    assert list(missed) == [408065]
    assert is_longer
    assert text.startswith("no ticks from 1 instrument for ")


def test_ticks_are_freed_while_the_next_are_waited_for(program):
    """Memory that is used again for the next ticks is in the processor's caches."""
    source = """
import time, weakref
from kiteticker import Sim
class Mark:
    pass
marks = []
with Sim(rate=0) as sim:
    kws = ticker(root=sim.root, api_key=sim.api_key, access_token=sim.access_token)
    def on_ticks(ws, ticks):
        ticks[0]["mark"] = mark = Mark()
        marks.append(weakref.ref(mark))
    kws.on_ticks = on_ticks
    kws.on_message = None
    kws.subscribe([408065])
    kws.connect(threaded=True)
    def poll(condition):
        # Less than a wait of the loop.
        deadline = time.monotonic() + 5
        while not condition() and time.monotonic() < deadline:
            time.sleep(0.001)
        return condition()
    # The loop may be woken once more for the handshake.
    for number in range(3):
        assert poll(lambda: len(marks) > number)
        is_freed = poll(lambda: marks[number]() is None)
        sim.tick([408065])
    done(is_freed)
"""
    assert program("kiteticker", source).result()


ORDERS = PROXY + """
from kiteticker import Sim
with Sim(rate=0) as sim:
    sent = [bytearray() for _ in range(2 + settings["reconnects"])]
    kws = ticker(root=proxied(sim.root, sent), api_key=sim.api_key,
                 access_token=sim.access_token)
    kws.subscribe([256])
    kws.connect(threaded=True)
    wait_for(lambda: "ticks" in names())
    kws.subscribe(range(512, 512 + 256 * 3000, 256))
    seen = set()
    kws.on_ticks = lambda ws, ticks: (seen.update(it["instrument_token"] for it in ticks), note("ticks"))
    wait_for(lambda: len(seen) == 3000)
    sim.order({"order_id": "1"})
    wait_for(lambda: "order_update" in names())
    connections[settings["lost"]][0].shutdown(socket.SHUT_RDWR)
    connections[settings["lost"]][1].shutdown(socket.SHUT_RDWR)
    wait_for(lambda: "close" in names())
    lost = kws.is_connected()
    for number in (2, 3):
        sim.order({"order_id": str(number)})
        wait_for(lambda: names().count("order_update") >= number)
    orders = [event[1]["order_id"] for event in events if event[0] == "order_update"]
    if settings["reconnects"]:
        wait_for(lambda: names().count("open") == 2)
    done((orders, lost, names("error", "close", "connect", "open"), kws.is_connected()))
"""


@pytest.mark.parametrize("lost", [0, 1])
@pytest.mark.parametrize("reconnects", [0, 1])
def test_order_updates_come_once_and_while_one_of_two_sockets_is_down(lost, reconnects, program):
    # The first connection is the first socket's. Without a reconnect it stays down.
    found = program("kiteticker", ORDERS, lost=lost, reconnects=reconnects).result()
    again = ["connect", "open"] * reconnects
    callbacks = ["connect", "open", "error", "close", *again]
    assert found == (["1", "2", "3"], False, callbacks, bool(reconnects))


SLOW = """
import time
kws = ticker([("set_mode", "full", range(256, 256 * 501, 256))], slow=settings["slow"])
lags = []
def on_ticks(ws, ticks):
    time.sleep(0.05)
    note("ticks")
    if names().count("ticks") == 60 and settings["slow"] == "block" or lags:
        done(lags)
kws.on_ticks = on_ticks
kws.on_lag = lambda ws, ticks: lags.append(ticks)
kws.connect()
"""


@pytest.mark.parametrize(("slow", "lags"), [("block", 0), ("drop_oldest", 1), ("conflate", 1)])
def test_what_slow_callbacks_miss_is_reported_by_on_lag(slow, lags, serve, program):
    found = program("kiteticker", SLOW, serve("sim", "--rate", 100), slow=slow).result()
    assert len(found) == lags
    assert all(ticks > 0 for ticks in found)


def test_times_are_in_the_zone_that_was_chosen(serve, program):
    source = """
import datetime
zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")
kws = ticker([("set_mode", "full", [408065])], tz=zone)
kws.on_ticks = lambda ws, ticks: [done(it["exchange_timestamp"]) for it in ticks if it["mode"] == "full"]
kws.connect()
"""
    time = program("kiteticker", source, serve("sim")).result()
    assert time.utcoffset() == datetime.timedelta(hours=5, minutes=30)
    age = datetime.datetime.now(datetime.timezone.utc) - time
    assert abs(age) < datetime.timedelta(minutes=5)


def test_a_closed_ticker_connects_again_on_the_same_thread(serve, program):
    source = """
import threading
kws = ticker()
main = threading.current_thread()
threads = []
def on_close(ws, code, reason):
    threads.append(threading.current_thread() is main)
    if len(threads) == 1:
        threading.Thread(target=ws.connect).start()
    else:
        ws.stop()
kws.on_close = on_close
kws.on_open = lambda ws: ws.close(1000, "bye")
kws.connect()
done((threads, names("connect", "error")))
"""
    threads, found = program("kiteticker", source, serve("sim")).result()
    assert threads == [True, True]
    assert found == ["connect", "connect"]


def test_a_ticker_that_connects_again_records_on(serve, program, tmp_path):
    source = """
kws = ticker(record_to=settings["to"])
def on_close(ws, code, reason):
    note("close")
    if names().count("close") < 3:
        ws.connect()
    else:
        done(names("close", "open"))
kws.on_close = on_close
kws.on_open = lambda ws: (note("open"), ws.close())
kws.connect()
"""
    found = program("kiteticker", source, serve("sim"), to=str(tmp_path)).result()
    assert found == ["open", "close"] * 3
    assert len(list(tmp_path.glob("*.ktape"))) > 0


def test_exceptions_reach_the_log_and_the_hook(serve, program):
    source = """
import logging, sys
records, hooked = [], []
class Handler(logging.Handler):
    def emit(self, record):
        records.append((record.name, record.getMessage(), record.exc_info and record.exc_info[0].__name__))
logging.getLogger("kiteticker").addHandler(Handler())
sys.unraisablehook = lambda unraisable: hooked.append(repr(unraisable.exc_value))
kws = ticker()
def on_connect(ws, response):
    raise ValueError("mine")
kws.on_connect = on_connect
kws.on_open = lambda ws: done((records, hooked))
kws.connect()
"""
    records, hooked = program("kiteticker", source, serve("sim")).result()
    assert records == [("kiteticker", "on_connect raised; the feed goes on", "ValueError")]
    assert hooked == ["ValueError('mine')"]


def test_parameters_appended_to_the_token_are_sent_as_parameters(program):
    """Programs append them, escaped, because the other client escapes nothing."""
    source = """
import socket, threading
listener = socket.create_server(("127.0.0.1", 0))
kws = ticker(root=f"ws://127.0.0.1:{listener.getsockname()[1]}", query={"uid": "7"},
             access_token="en%2Fc+x%3D%3D&user_id=AB1234")
kws.connect(threaded=True)
connection, _ = listener.accept()
done(connection.recv(4096).splitlines()[0].decode())
"""
    line = program("kiteticker", source).result()
    expected = "/?api_key=key&access_token=en%2Fc%2Bx%3D%3D&user_id=AB1234&uid=7"
    assert line == f"GET {expected} HTTP/1.1"


def test_a_closed_feed_opens_no_further_socket(serve):
    server = serve("sim")
    settings = SimpleNamespace(root=server.root, query=[], reconnect=True, max_delay=60.0,
        connect_timeout=30.0, verify=True, proxy=None, slow="block", record_to=None)  # fmt: skip
    feed = Feed(server.api_key, server.access_token, [(256, "full")], None, settings)
    feed.close()
    feed.subscribe(list(range(512, 512 + 256 * 4000, 256)))
    assert feed.sockets == 1
    assert len(feed.tokens()) == 4001
    assert feed.wait_closed(30.0)


END = """
from kiteticker import KiteTicker
import os, sys, threading
kws = KiteTicker("{key}", "{token}", root="{root}")
opened = threading.Event()
kws.on_open = lambda ws: opened.set()
kws.subscribe([408065])
kws.connect(threaded=True)
assert opened.wait(30)
{then}
"""


def run(server, then):
    source = END.format(
        key=server.api_key, token=server.access_token, root=server.root, then=then
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_an_interpreter_with_a_running_ticker_ends(serve):
    assert run(serve("sim", "--rate", 100), "print('end')") == (0, "end", "")


def test_a_fork_leaves_the_socket_to_the_parent(serve):
    then = """
child = os.fork()
if child == 0:
    found = []
    try:
        kws.subscribe([256265])
    except RuntimeError as error:
        found.append(str(error))
    own = KiteTicker("{key}", "{token}", root="{root}")
    own.on_open = lambda ws: ws.stop()
    own.connect()
    print(found, own.is_connected(), kws.is_connected(), flush=True)
    os._exit(0)
os.waitpid(child, 0)
print(kws.is_connected(), kws.subscribe([256265]))
"""
    server = serve("sim")
    then = then.format(key=server.api_key, token=server.access_token, root=server.root)
    code, out, errors = run(server, then)
    assert code == 0
    assert "Traceback" not in errors
    child, parent = out.splitlines()
    assert "before the process forked" in child
    assert child.endswith("False False")
    assert parent == "True True"


def test_a_subinterpreter_is_refused_clearly():
    source = """
import kiteticker
import _xxsubinterpreters as interpreters
interpreters.run_string(interpreters.create(), "import kiteticker")
"""
    if sys.version_info >= (3, 13):
        pytest.skip("the module has another name")
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, timeout=60)
    assert "ImportError" in done.stderr
    assert "subinterpreters" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "connect", "words"),
    [
        ({"root": "ws://example.com"}, {}, "unencrypted"),
        ({"root": "wss://example.com"}, {"disable_ssl_verification": True}, "example.com"),
        ({"slow": "later"}, {}, "drop_oldest"),
        ({"query": {"api_key": "x"}}, {}, "api_key"),
    ],
)
def test_settings_that_cannot_work_raise(arguments, connect, words):
    with pytest.raises(ValueError, match=words):
        KiteTicker("key", "token", **arguments).connect(**connect)


def test_instruments_that_cannot_be_subscribed_raise():
    kws = KiteTicker("key", "token")
    for tokens, error in [([-1], ValueError), ([1 << 32], ValueError), (["408065"], TypeError)]:
        with pytest.raises(error):
            kws.subscribe(tokens)
    with pytest.raises(ValueError, match="full"):
        kws.set_mode("best", [408065])
    assert kws.subscribed_tokens == {}


def test_the_token_is_neither_printed_nor_pickled_nor_in_a_traceback():
    kws = KiteTicker("key", "s3cret&user_id=AB1234", root="wss://example.com")
    for way in (pickle.dumps, copy.copy, copy.deepcopy):
        for value in (kws, kws._credentials):
            with pytest.raises(TypeError):
                way(value)
    with pytest.raises(ValueError) as raised:
        kws.connect(disable_ssl_verification=True)
    # As tools print it, with the local variables of each frame.
    report = traceback.TracebackException.from_exception(raised.value, capture_locals=True)
    printed = [*report.format(), repr(kws), str(vars(kws)), repr(kws._opened)]
    assert "s3cret" not in "".join(printed)


def test_install_replaces_the_class_of_kiteconnect():
    source = """
import kiteticker
kiteticker.install()
from kiteconnect import KiteTicker
assert KiteTicker is kiteticker.KiteTicker
import kiteconnect.ticker
assert kiteconnect.ticker.KiteTicker is KiteTicker
"""
    subprocess.run([sys.executable, "-c", source], check=True, timeout=60)


def test_the_version_is_that_of_the_crates():
    assert kiteticker.__version__ == "0.5.0"
