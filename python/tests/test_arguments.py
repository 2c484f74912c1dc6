"""Wrong arguments: the exception names the argument, its value and what to pass instead."""

import copy
import pickle
import re
import subprocess
import sys
import zoneinfo

import polars as pl
import pytest

import kiteticker
from kiteticker import Batch, Instruments, KiteTicker, Sim, Stream, StreamError, Tape

INFY = 408065
PATIENCE_S = 60
# A frame of one packet in ltp mode.
FRAME = bytes.fromhex("0001 0008") + INFY.to_bytes(4) + (150_000).to_bytes(4)
LIST = """instrument_token,exchange_token,tradingsymbol,name,last_price,expiry,strike,tick_size,lot_size,instrument_type,segment,exchange
408065,1594,INFY,INFOSYS,0,,0,0.05,1,EQ,NSE,NSE
2953217,11536,TCS,TATA CONSULTANCY SERV LT,0,,0,0.05,1,EQ,NSE,NSE
"""


@pytest.fixture
def stream():
    with Stream("key", "token", {INFY: "full"}, root="ws://127.0.0.1:1") as stream:
        yield stream


@pytest.fixture(scope="module")
def tape(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tape")
    with Sim(rate=0) as sim, Stream(
        sim.api_key, sim.access_token, {INFY: "full"}, root=sim.root, record_to=folder
    ) as stream:
        assert stream.receive(PATIENCE_S) is not None
    return Tape(folder)


@pytest.fixture
def instruments(tmp_path):
    file = tmp_path / "instruments.csv"
    file.write_text(LIST)
    return Instruments(file)


def raises(error, text, call):
    with pytest.raises(error, match=re.escape(text)):
        call()


ZONE = 'it must be a tzinfo, such as zoneinfo.ZoneInfo("Asia/Kolkata")'


@pytest.mark.parametrize(
    ("text", "zone"), [(f"tz is 'IST'; {ZONE}", "IST"), (f"tz is 5; {ZONE}", 5), ("tz is <class", zoneinfo.ZoneInfo)]
)
def test_what_is_no_time_zone_is_refused_by_everything_with_one(text, zone):
    raises(TypeError, text, lambda: KiteTicker("key", "token", tz=zone))
    raises(TypeError, text, lambda: Stream("key", "token", {INFY: "full"}, tz=zone))
    raises(TypeError, text, lambda: Batch([FRAME], tz=zone))
    raises(TypeError, text, lambda: kiteticker.parse(FRAME, tz=zone))
    kws = KiteTicker("key", "token", root="ws://127.0.0.1:1")
    kws.tz = zone
    raises(TypeError, text, kws.connect)


def test_a_ticker_checks_slow_where_it_is_created():
    text = 'slow is \'bogus\'; it must be "block", "drop_oldest" or "conflate"'
    raises(ValueError, text, lambda: KiteTicker("key", "token", slow="bogus"))
    raises(ValueError, text, lambda: Stream("key", "token", slow="bogus"))


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (TypeError, "api_key is of type NoneType; it must be a str", (None, "token")),
        (TypeError, "access_token is of type int; it must be a str", ("key", 5)),
        (ValueError, "api_key is empty", ("", "token")),
        (ValueError, "access_token is empty", ("key", "")),
    ],
)
def test_credentials_are_texts(error, text, arguments):
    raises(error, text, lambda: Stream(*arguments, {INFY: "full"}))
    # The constructor accepts what that of kiteconnect does.
    kws = KiteTicker(*arguments, root="ws://127.0.0.1:1")
    if error is TypeError:
        raises(error, text, kws.connect)


def test_an_access_token_that_is_set_is_a_text(stream):
    text = "access_token is of type NoneType; it must be a str"
    raises(TypeError, text, lambda: stream.set_access_token(None))
    raises(TypeError, text, lambda: KiteTicker("key", "token").set_access_token(None))


@pytest.mark.parametrize("proxy", ["http://user:secret@host:1", {"host": "host"}, 5])
def test_a_proxy_has_a_host_and_a_port(proxy):
    for call in (
        lambda: Stream("key", "token", {INFY: "full"}, proxy=proxy),
        lambda: KiteTicker("key", "token").connect(proxy=proxy),
    ):
        with pytest.raises(TypeError, match="without host and port; it must be such as") as raised:
            call()
        assert "secret" not in str(raised.value)


DICT = 'it must be a dict of name or token to mode, such as {"NSE:INFY": "full"}'


@pytest.mark.parametrize(
    ("text", "instruments"),
    [
        (f"instruments is ['NSE:INFY']; {DICT}", ["NSE:INFY"]),
        (f"instruments is 'NSE:INFY'; {DICT}", "NSE:INFY"),
        (f"instruments is [1]; {DICT}", [1]),
        (f"instruments is 5; {DICT}", 5),
        (f"instruments is []; {DICT}", []),
        ("True is a bool; an instrument token is an int such as 408065", {True: "full"}),
        ("None is a NoneType; an instrument token is an int such as 408065", {None: "full"}),
    ],
)
def test_instruments_of_a_stream_are_a_dict(stream, text, instruments):
    raises(TypeError, text, lambda: Stream("key", "token", instruments))
    raises(TypeError, text, lambda: stream.subscribe(instruments))
    raises(TypeError, text, lambda: stream.set_subscriptions(instruments))
    assert stream.subscriptions == {INFY: "full"}


def test_a_name_to_unsubscribe_is_not_taken_apart(stream):
    text = 'instruments is \'NSE:TCS\'; it must be a list of names or tokens, such as ["NSE:INFY"]'
    raises(TypeError, text, lambda: stream.unsubscribe("NSE:TCS"))
    raises(TypeError, "instruments is 408065; it must be a list", lambda: stream.unsubscribe(INFY))
    assert stream.subscriptions == {INFY: "full"}


def test_the_subscriptions_of_a_closed_stream_cannot_change():
    stream = Stream("key", "token", {INFY: "full"}, root="ws://127.0.0.1:1")
    stream.close()
    for change in (
        lambda: stream.subscribe({INFY: "ltp"}),
        lambda: stream.unsubscribe([INFY]),
        lambda: stream.set_subscriptions({}),
    ):
        raises(StreamError, "the stream was closed; create another", change)


@pytest.mark.parametrize("way", [copy.copy, copy.deepcopy, pickle.dumps])
def test_a_stream_is_not_copied(stream, way):
    raises(TypeError, "a Stream has sockets and an access token", lambda: way(stream))


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("'NSE:INFY' is a str; an instrument token is an int such as 408065; Instruments()", ["NSE:INFY"]),
        ("instrument_tokens is 'NSE:INFY'; it must be a list of tokens, such as [408065]", "NSE:INFY"),
        ("instrument_tokens is 408065; it must be a list of tokens", INFY),
        ("True is a bool", [True]),
    ],
)
def test_tickers_and_simulators_take_tokens(kite_sim, text, tokens):
    kws = KiteTicker("key", "token")
    for call in (kws.subscribe, kws.unsubscribe, lambda it: kws.set_mode("full", it), kite_sim.tick):
        raises(TypeError, text, lambda call=call: call(tokens))


def test_columns_are_a_name_or_names(tape):
    batch = Batch([FRAME])
    for table in (batch.table, lambda columns: tape.ticks(columns=columns)):
        assert pl.DataFrame(table("last_price")).columns == ["last_price"]
        assert pl.DataFrame(table(iter(["mode", "volume"]))).columns == ["mode", "volume"]
        raises(TypeError, "columns is 5; it must be names of columns", lambda: table(5))
        raises(TypeError, "columns is [5]; it must be names of columns", lambda: table([5]))
        raises(ValueError, 'no column "last_pric"; did you mean last_price', lambda: table("last_pric"))
        raises(ValueError, 'no column "zzz"; it must be one of ', lambda: table("zzz"))


@pytest.mark.parametrize(
    ("error", "text", "arguments"),
    [
        (ValueError, 'every is "NSE:INFY": not the length of a bar', {"every": ["NSE:INFY"], "instruments": "1m"}),
        (TypeError, 'every is 60; it must be such as "1m", or ["1m", "1d"]', {"every": 60}),
        (TypeError, "every is [60]; it must be", {"every": [60]}),
        (ValueError, "every is empty; it must be", {"every": []}),
        (ValueError, "grace is -1; it must be seconds, 0 or more", {"grace": -1}),
        (ValueError, "grace is NaN; it must be seconds", {"grace": float("nan")}),
        (TypeError, "instruments is 5.5; it must be names or tokens", {"instruments": 5.5}),
        (TypeError, "True is a bool", {"instruments": [True]}),
    ],
)
def test_bars_have_lengths(tape, error, text, arguments):
    raises(error, text, lambda: tape.candles(**arguments))


def test_faults_and_orders_of_a_simulator_are_checked(kite_sim):
    text = "fault rst: there is no fault \"rst\"; did you mean reset"
    raises(ValueError, text, lambda: kite_sim.fault("rst"))
    raises(ValueError, "fault 5s=rst: there is no fault \"rst\"; did you mean", lambda: kite_sim.fault("5s=rst"))
    raises(ValueError, "; it must be one of ", lambda: kite_sim.fault("xyzzy"))
    raises(ValueError, "did you mean reset", lambda: Sim(faults=["1s=rst"]))
    raises(TypeError, "data is 'x'; it must be a dict such as", lambda: kite_sim.order("x"))


def test_chosen_instruments_are_subscribed_as_they_are(kite_sim, instruments):
    chosen = [instruments["NSE:INFY"]]
    kws = KiteTicker("key", "token")
    kws.subscribe(chosen)
    assert kws.subscribed_tokens == {INFY: "quote"}
    wanted = dict.fromkeys(chosen, "full")
    with Stream(kite_sim.api_key, kite_sim.access_token, wanted, root=kite_sim.root) as stream:
        batch = stream.receive(PATIENCE_S)
        # Their names are known without a list.
        assert {tick.symbol for tick in batch} == {"NSE:INFY"}
        stream.subscribe({instruments["NSE:TCS"]: "ltp"})
        assert stream.subscriptions == {INFY: "full", 2953217: "ltp"}
        stream.unsubscribe(chosen)
        assert stream.subscriptions == {2953217: "ltp"}


def test_a_file_of_instruments_has_no_day(tmp_path):
    file = tmp_path / "instruments.csv"
    file.write_text(LIST)
    text = "path is a list already: pass no day and no url with it"
    raises(ValueError, text, lambda: Instruments(file, day="2026-11-23"))
    raises(ValueError, text, lambda: Instruments(file, url="http://127.0.0.1:1"))


def test_any_buffer_is_parsed():
    expected = kiteticker.parse(FRAME)
    assert [tick["instrument_token"] for tick in expected] == [INFY]
    for same in (bytearray(FRAME), memoryview(FRAME), Batch([FRAME]).frames[0]):
        assert kiteticker.parse(same) == expected
    with pytest.raises(TypeError):
        kiteticker.parse("text")


def test_objects_show_what_they_are(kite_sim, stream, tape):
    assert repr(Batch([FRAME])) == "<Batch of 1 tick in 1 frame>"
    assert repr(Batch([FRAME] * 2)) == "<Batch of 2 ticks in 2 frames>"
    assert repr(Batch([FRAME]).table(["mode"])) == "<Table of 1 tick, 1 column>"
    assert repr(tape.ticks(columns=["mode", "oi"])) == "<TapeTable, 2 columns>"
    assert re.fullmatch(r"<RecordedFrame of \d+ bytes, recv_unix_ns=\d+>", repr(next(tape.frames())))
    assert repr(stream.events()) == f"<Events of {stream!r}>"
    assert repr(stream.orders()) == f"<Orders of {stream!r}>"
    kite_sim.stop()
    assert repr(kite_sim) == f"<Sim {kite_sim.root} stopped>"


def test_the_package_lists_what_it_has():
    names = dir(kiteticker)
    assert set(kiteticker.__all__) < set(names)
    assert "FULL_DTYPE" in names and "Any" not in names and "TYPE_CHECKING" not in names
    assert all(hasattr(kiteticker, name) for name in names)
    for name in kiteticker.__all__:
        its = getattr(kiteticker, name)
        assert not isinstance(its, type) or its.__module__.startswith("kiteticker"), name
    ticks = vars(kiteticker.Tick).items()
    assert [name for name, one in ticks if not name.startswith("_") and not one.__doc__] == []


def test_a_mode_with_a_typing_error_does_not_pass_mypy(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "from kiteticker import KiteTicker, Mode, Stream\n"
        "good: dict[str | int, Mode] = {'NSE:INFY': 'full', 408065: 'ltp'}\n"
        "stream = Stream('key', 'token', good)\n"
        "stream.set_subscriptions(stream.subscriptions)\n"
        "Stream('key', 'token', dict.fromkeys(['NSE:INFY', 'NSE:TCS'], 'full'))\n"
        "KiteTicker('key', 'token').set_mode(KiteTicker.MODE_FULL, [408065])\n"
        "Stream('key', 'token', {'NSE:INFY': 'fulll'})\n"
        "KiteTicker('key', 'token', slow='bogus')\n"
    )
    command = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", tmp_path, program]
    found = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=600).stdout
    lines = [int(line.split(":")[1]) for line in found.splitlines() if ": error:" in line]
    assert lines == [7, 8], found
