"""Streams: what they deliver, report and raise, in a thread and in an event loop."""

import asyncio
import datetime
import logging
import socket
import threading
import time
from itertools import pairwise

import pytest

from kiteticker import (
    Batch,
    Depth,
    KiteTicker,
    Replay,
    Sim,
    Stream,
    StreamError,
    Tick,
    TokenRefused,
    parse,
)

INFY, NIFTY_50 = 408065, 256265
PATIENCE_S = 60
# One instrument in each segment and mode.
SEGMENTS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 13]
MODES = {
    (1000 * (number + 1) + segment) * 256 + segment: mode
    for number, mode in enumerate(["ltp", "quote", "full"])
    for segment in SEGMENTS
}


def stream_of(server, instruments, **arguments):
    return Stream(server.api_key, server.access_token, instruments, root=server.root, **arguments)


def ticks_of(stream, count):
    """Reads at least this many ticks."""
    found = []
    while len(found) < count:
        batch = stream.receive(PATIENCE_S)
        assert batch is not None, found
        found.extend(batch)
    return found


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


def read_in_thread(stream):
    """Reads a stream on a thread until it ends; returns the thread and its batches."""
    batches = []
    thread = threading.Thread(target=lambda: batches.extend(stream), daemon=True)
    thread.start()
    return thread, batches


def test_a_stream_has_the_ticks_of_its_instruments(kite_sim):
    with stream_of(kite_sim, {"NSE:INFY": "full", NIFTY_50: "ltp"}) as stream:
        # The answers to the subscribe and to the modes.
        first = ticks_of(stream, 4)
        assert all(tick.is_first for tick in first)
        kite_sim.tick([INFY, NIFTY_50])
        infy, nifty = sorted(ticks_of(stream, 2), key=lambda tick: -tick.instrument_token)
    assert (infy.symbol, infy.mode, infy.segment) == ("NSE:INFY", "full", "NSE")
    assert (nifty.symbol, nifty.mode, nifty.segment) == ("NSE:NIFTY 50", "ltp", "INDICES")
    assert not infy.is_first
    assert nifty.volume is nifty.depth is nifty.exchange_time is None
    assert repr(nifty).startswith("<Tick NSE:NIFTY 50 ltp ")


def test_attributes_are_the_values_of_the_dict(kite_sim):
    with stream_of(kite_sim, {INFY: "full", NIFTY_50: "full"}) as stream:
        ticks = {tick.instrument_token: tick for tick in ticks_of(stream, 4)}
    for tick in ticks.values():
        tick_dict = tick.to_dict()
        assert tick_dict["mode"] == tick.mode == "full"
        assert tick_dict["last_price"] == tick.last_price
        ohlc = {name: getattr(tick, name) for name in ("open", "high", "low", "close")}
        assert tick_dict["ohlc"] == ohlc
        assert tick_dict["change"] == pytest.approx(tick.change_percent)
        assert tick_dict["exchange_timestamp"] == tick.exchange_time
    tick, tick_dict = ticks[INFY], ticks[INFY].to_dict()
    names = {
        "last_quantity": "last_traded_quantity",
        "average_price": "average_traded_price",
        "volume": "volume_traded",
        "total_buy_quantity": "total_buy_quantity",
        "total_sell_quantity": "total_sell_quantity",
        "last_trade_time": "last_trade_time",
        "oi": "oi",
        "oi_day_high": "oi_day_high",
        "oi_day_low": "oi_day_low",
    }
    assert {name: getattr(tick, name) for name in names} == {
        name: tick_dict[key] for name, key in names.items()
    }
    assert isinstance(tick.depth, Depth)
    for levels, side in [(tick.depth.bids, "buy"), (tick.depth.asks, "sell")]:
        assert tick_dict["depth"][side] == [
            {"quantity": it.quantity, "price": it.price, "orders": it.orders} for it in levels
        ]
    assert tick.change is None
    assert ticks[NIFTY_50].change is not None
    age = datetime.datetime.now() - tick.recv_time
    assert abs(age) < datetime.timedelta(minutes=5)
    assert tick.recv_unix_ns // 1000 % 1_000_000 == tick.recv_time.microsecond


def test_a_batch_is_a_sequence_of_ticks():
    with Sim(rate=100) as sim, stream_of(sim, dict.fromkeys(range(256, 256 * 51, 256), "quote")) as stream:
        batch = next(batch for batch in stream if len(batch) >= 50)
    ticks = list(batch)
    assert len(ticks) == len(batch)
    assert [batch[number] for number in range(len(batch))] == ticks
    assert batch[-1] == ticks[-1] != ticks[0]
    assert batch[3:40:7] == ticks[3:40:7]
    assert batch[::-1] == ticks[::-1]
    assert [tick.to_dict() for tick in ticks] == batch.to_dicts()
    assert len({*ticks, *batch}) == len(ticks)
    for index in (len(batch), -len(batch) - 1, 1 << 80):
        with pytest.raises(IndexError):
            batch[index]
    with pytest.raises(TypeError):
        batch["1"]


def test_dicts_are_those_of_on_ticks(tmp_path):
    """A replay of all segments and modes, with both."""
    recording = threading.Event()
    with Sim(rate=40) as sim:
        kws = KiteTicker(sim.api_key, sim.access_token, root=sim.root, record_to=tmp_path)
        counts = []
        kws.on_ticks = lambda ws, ticks: (counts.append(1), len(counts) > 100 and recording.set())
        for mode in ("ltp", "quote", "full"):
            kws.set_mode(mode, [token for token, its in MODES.items() if its == mode])
        kws.connect(threaded=True)
        assert recording.wait(PATIENCE_S)
        kws.stop()
        kws.websocket_thread.join()
    with Replay(tmp_path, speed=None, sockets=2) as replay:
        stream = stream_of(replay, MODES)
        events = stream.events()
        thread, batches = read_in_thread(stream)
        kws = KiteTicker(replay.api_key, replay.access_token, root=replay.root)
        expected = []
        kws.on_ticks = lambda ws, ticks: expected.extend(ticks)
        kws.on_close = lambda ws, code, reason: ws.stop()
        for mode in ("ltp", "quote", "full"):
            kws.set_mode(mode, [token for token, its in MODES.items() if its == mode])
        kws.connect(threaded=True)
        assert replay.wait(PATIENCE_S)
        kws.websocket_thread.join()
        assert any(event.name == "down" for event in events)
        stream.close()
        thread.join()
    found = [tick for batch in batches for tick in batch.to_dicts()]
    assert len(expected) > 1000
    assert found == expected
    # The order of keys, and the types of numbers.
    assert repr(found) == repr(expected)
    assert {tick["instrument_token"] for tick in found} == set(MODES)
    frames = [frame for batch in batches for frame in batch.frames]
    assert Batch(frames).to_dicts() == expected
    assert [tick for frame in frames for tick in parse(bytes(frame))] == expected
    times = [time for batch in batches for time in batch.recv_unix_ns]
    assert len(times) == len(frames)
    assert all(a <= b for a, b in pairwise(times))


def test_what_a_reconnect_missed_is_in_a_batch():
    with Sim(rate=20) as sim, stream_of(sim, {INFY: "full"}) as stream:
        ticks_of(stream, 5)
        sim.fault("reset")
        batch = next(batch for batch in stream if batch.gaps)
    (gap,) = batch.gaps
    assert list(gap.missed) == [INFY]
    assert gap.seconds is None or gap.seconds > 0
    assert str(gap).startswith("no ticks from 1 instrument for ")


def test_a_known_missed_volume_of_zero_is_not_shown_as_unknown(kite_sim):
    with stream_of(kite_sim, {INFY: "full"}) as stream:
        # The snapshots in quote and in full mode, and a tick; all are read, so that none is lost.
        ticks_of(stream, 2)
        kite_sim.tick([INFY])
        ticks_of(stream, 1)
        # A reset would strike in the middle of a frame, and so cost its ticks.
        kite_sim.fault("close:1001")
        (gap,) = next(batch for batch in stream if batch.gaps).gaps
    assert gap.missed == {INFY: 0}
    assert str(gap).endswith(", missed volume 0")


@pytest.mark.parametrize("fault", ["truncated_frame", "lying_count", "unknown_packet"])
def test_what_cannot_be_read_is_counted_in_a_batch(kite_sim, fault):
    with stream_of(kite_sim, {INFY: "full"}) as stream:
        ticks_of(stream, 2)
        kite_sim.fault(fault)
        batch = next(batch for batch in stream if batch.damage)
        assert (batch.damage, batch.gaps, batch.lag) == (1, [], 0)
        kite_sim.tick([INFY])
        # Reported once.
        assert next(batch for batch in stream if len(batch)).damage == 0


def test_without_a_network_a_simulator_has_the_names_that_it_knows(kite_sim, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("KITE_INSTRUMENTS_URL", raising=False)
    with pytest.raises(ValueError, match="one of the simulator's, such as .*: pass instruments_file"):
        stream_of(kite_sim, {"NSE:ACC": "full"}).open()
    # A token that it knows has its name, as on a tape of the same ticks.
    with stream_of(kite_sim, {INFY: "full"}) as stream:
        stream.subscribe({738561: "full", 5633: "full"})
        symbols = {}
        for batch in stream:
            symbols |= {tick.instrument_token: tick.symbol for tick in batch}
            if len(symbols) == 3:
                break
    assert symbols == {INFY: "NSE:INFY", 738561: "NSE:RELIANCE", 5633: None}


@pytest.mark.parametrize(("slow", "is_lossless"), [("block", True), ("drop_oldest", False), ("conflate", False)])
def test_what_a_slow_program_misses_is_counted(slow, is_lossless):
    wanted = dict.fromkeys(range(256, 256 * 501, 256), "full")
    lag = 0
    with Sim(rate=100) as sim, stream_of(sim, wanted, slow=slow) as stream:
        for number, batch in enumerate(stream):
            lag += batch.lag
            if lag or number == 5 and slow == "block":
                break
            # Slower than the market.
            time.sleep(0.2)
    assert (lag == 0) == is_lossless


def test_instruments_change_while_the_stream_is_open(kite_sim):
    with stream_of(kite_sim, {INFY: "quote"}, connections=2) as stream:
        stream.subscribe({"NSE:NIFTY 50": "ltp", INFY: "full"})
        assert stream.subscriptions == {INFY: "full", NIFTY_50: "ltp"}
        wait_for(lambda: kite_sim.subscriptions == {INFY: "full", NIFTY_50: "ltp"})
        stream.unsubscribe(["INFY", 738561])
        wait_for(lambda: kite_sim.subscriptions == {NIFTY_50: "ltp"})
        stream.set_subscriptions({"738561": "quote"})
        wait_for(lambda: kite_sim.subscriptions == {738561: "quote"})
        with pytest.raises(ValueError, match="6001"):
            stream.subscribe(dict.fromkeys(range(256, 256 + 6001), "ltp"))
        assert stream.subscriptions == {738561: "quote"}
        sockets = stream.status()["connections"]
        assert [socket["connection"] for socket in sockets] == [0, 1]


def test_names_come_from_a_list_and_unknown_ones_raise(kite_sim, tmp_path):
    path = tmp_path / "instruments.csv"
    path.write_text("instrument_token,exchange,tradingsymbol\n5633,NSE,ACC\n408065,NSE,INFY\nx,NSE,X\n")
    named = {"nse:acc": "ltp", " infy ": "full", "738561": "quote"}
    with stream_of(kite_sim, named, instruments_file=path) as stream:
        assert stream.subscriptions == {5633: "ltp", INFY: "full", 738561: "quote"}
        symbols = {tick.instrument_token: tick.symbol for tick in ticks_of(stream, 5)}
    assert symbols == {5633: "NSE:ACC", INFY: "NSE:INFY", 738561: None}
    stream = stream_of(kite_sim, {"NSE:INFI": "full"}, instruments_file=path)
    with pytest.raises(ValueError, match=r"NSE:INFI \(did you mean NSE:INFY\?\)"):
        stream.open()
    with pytest.raises(ValueError, match="NSE:INFI"):
        next(stream)
    with pytest.raises(OSError, match="nowhere.csv"):
        stream_of(kite_sim, {"NSE:INFY": "full"}, instruments_file=tmp_path / "nowhere.csv").open()


def test_names_that_stay_the_same_need_no_list_on_the_simulator(kite_sim, monkeypatch, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("KITE_INSTRUMENTS_URL", f"http://127.0.0.1:{port}/list")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with stream_of(kite_sim, {"NSE:INFY": "ltp", "TCS": "ltp", "BSE:SENSEX": "ltp"}) as stream:
        assert list(stream.subscriptions) == [265, INFY, 2953217]
    # The name of a contract that expires may be that of another one now.
    with pytest.raises(OSError, match="instrument list"):
        stream_of(kite_sim, {"NFO:NIFTY25AUGFUT": "ltp"}).open()


def test_a_list_is_fetched_while_the_event_loop_runs(kite_sim, monkeypatch, tmp_path):
    import http.server

    released = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            released.wait(PATIENCE_S)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"instrument_token,exchange,tradingsymbol\n5633,NSE,ACC\n")

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KITE_INSTRUMENTS_URL", f"http://127.0.0.1:{server.server_port}/list")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    async def main():
        stream = stream_of(kite_sim, {"NSE:ACC": "full"})
        first = asyncio.create_task(anext(stream))
        # The loop runs although the list is not there.
        await asyncio.sleep(0)
        released.set()
        tick = (await first)[0]
        stream.close()
        return tick

    assert asyncio.run(main()).symbol == "NSE:ACC"
    server.shutdown()
    server.server_close()


def test_order_updates_come_once_from_all_sockets(kite_sim):
    stream = stream_of(kite_sim, {INFY: "ltp"}, connections=3)
    orders, events = stream.orders(), stream.events()
    with stream:
        ups = 0
        while ups < 3:
            ups += next(events).name == "up"
        sent = [{"order_id": str(number), "status": "OPEN"} for number in range(20)]
        for order in sent:
            kite_sim.order(order)
        assert [orders.receive(PATIENCE_S) for _ in sent] == sent
        kite_sim.order({"order_id": "last"})

        async def last():
            return await anext(orders)

        assert asyncio.run(last()) == {"order_id": "last"}
        assert orders.queued() == []
        assert orders.missed == 0
    assert list(orders) == []


def test_events_end_with_the_stream(kite_sim, caplog):
    caplog.set_level(logging.DEBUG, "kiteticker")
    stream = stream_of(kite_sim, {INFY: "ltp"})
    events = stream.events()
    next(stream)
    kite_sim.fault("reset")
    while not next(stream).gaps:
        pass
    stream.close()
    found = list(events)
    names = [event.name for event in found if event.name not in ("text", "retry")]
    assert names[:6] == ["opening", "up", "down", "opening", "up", "gap"]
    assert names[-1] == "stopped"
    (down,) = (event for event in found if event.name == "down")
    assert (down.severity, down.connection) == ("error", 0)
    assert str(down) == down.text == "connection 1: lost: the socket failed: connection reset"
    assert ("kiteticker", logging.ERROR, down.text) in caplog.record_tuples
    with pytest.raises(EOFError):
        events.receive()


def test_a_refused_token_raises_and_a_new_one_goes_on(kite_sim):
    for connections in (1, 3):
        stream = Stream(
            kite_sim.api_key, "yesterday's", {INFY: "ltp"}, root=kite_sim.root, connections=connections
        )
        for _ in range(2):
            with pytest.raises(TokenRefused, match="403"):
                next(stream)
        stream.set_access_token(kite_sim.access_token)
        assert next(stream)[0].instrument_token == INFY
        stream.close()
    assert issubclass(TokenRefused, StreamError)


def test_a_close_ends_every_iteration(kite_sim):
    stream = stream_of(kite_sim, {INFY: "ltp"})
    thread, batches = read_in_thread(stream)
    wait_for(lambda: len(batches) >= 1)
    stream.close()
    thread.join(PATIENCE_S)
    assert not thread.is_alive()
    assert list(stream) == []
    with pytest.raises(EOFError):
        stream.receive()
    stream.close()
    unopened = stream_of(kite_sim, {INFY: "ltp"})
    unopened.close()
    assert list(unopened) == list(unopened.orders()) == []
    for closed in (stream, unopened):
        with pytest.raises(StreamError, match="closed"):
            closed.open()
    assert repr(unopened) == f"<Stream {kite_sim.root} closed>"


def test_a_timeout_loses_nothing(kite_sim):
    with stream_of(kite_sim, {INFY: "ltp"}) as stream:
        ticks_of(stream, 2)
        assert stream.receive(0) is None
        assert stream.receive(0.001) is None
        kite_sim.tick([INFY])
        assert len(stream.receive(PATIENCE_S)) == 1
        kite_sim.tick([INFY])
        wait_for(lambda: stream.queued())


def test_one_thread_or_task_at_a_time_may_wait(kite_sim):
    with stream_of(kite_sim, {INFY: "ltp"}) as stream:
        ticks_of(stream, 2)
        thread, _ = read_in_thread(stream)
        wait_for(lambda: stream._is_waiting)
        with pytest.raises(RuntimeError, match="another thread or task is waiting"):
            next(stream)
        stream.close()
        thread.join()


def test_a_recording_is_written_at_the_end(tmp_path):
    with Sim(rate=50) as sim:
        with stream_of(sim, {INFY: "full"}, record_to=tmp_path) as stream:
            recorded = [tick.to_dict() for tick in ticks_of(stream, 20)]
    with Replay(tmp_path, speed=None) as replay:
        stream = stream_of(replay, {INFY: "full"})
        thread, batches = read_in_thread(stream)
        assert replay.wait(PATIENCE_S)
        wait_for(lambda: sum(map(len, batches)) >= len(recorded))
        stream.close()
        thread.join()
    replayed = [tick for batch in batches for tick in batch.to_dicts()]
    # The tape has what came before the mode was in effect.
    full = [tick for tick in recorded if tick["mode"] == "full"]
    assert all(tick in replayed for tick in full)


def test_times_are_in_the_zone_that_was_chosen(kite_sim):
    zone = datetime.timezone(datetime.timedelta(hours=5, minutes=30), "IST")
    with stream_of(kite_sim, {INFY: "full"}, tz=zone) as stream:
        tick = ticks_of(stream, 2)[-1]
    assert isinstance(tick, Tick)
    assert tick.recv_time.tzinfo is tick.exchange_time.tzinfo is zone
    assert tick.to_dict()["exchange_timestamp"] == tick.exchange_time
    age = datetime.datetime.now(zone) - tick.recv_time
    assert abs(age) < datetime.timedelta(minutes=5)


@pytest.mark.parametrize(
    ("instruments", "arguments", "error", "words"),
    [
        ({INFY: "best"}, {}, ValueError, "best"),
        ({"NSE:INFY": "best"}, {}, ValueError, "best"),
        ({-1: "full"}, {}, ValueError, "-1"),
        ({1.5: "full"}, {}, TypeError, "float"),
        ({}, {"connections": 4}, ValueError, "connections is 4"),
        ({}, {"slow": "later"}, ValueError, "drop_oldest"),
        ({}, {"root": "ws://example.com"}, ValueError, "unencrypted"),
        ({}, {"query": {"api_key": "x"}}, ValueError, "api_key"),
        (dict.fromkeys(range(9001), "ltp"), {}, ValueError, "9001"),
    ],
)
def test_settings_that_cannot_work_raise(instruments, arguments, error, words):
    with pytest.raises(error, match=words):
        Stream("key", "token", instruments, **arguments)


def test_frames_that_were_kept_are_a_batch_again(kite_sim):
    zone = datetime.timezone.utc
    with stream_of(kite_sim, {INFY: "full"}, tz=zone) as stream:
        frames = next(stream).frames
    again = Batch([bytes(frame) for frame in frames], tz=zone)
    assert [tick.last_price for tick in again] == [tick.last_price for tick in Batch(frames)]
    assert again[0].recv_time.tzinfo is zone
    assert len(Batch([])) == 0
    with pytest.raises(ValueError, match="damaged after 0 whole packets"):
        Batch([bytes(frames[0])[:-1]])
    with pytest.raises(TypeError):
        Batch(["text"])


def test_a_token_is_shown_nowhere(kite_sim):
    stream = Stream("key", "verysecret", {INFY: "full"}, root=kite_sim.root)
    shown = [repr(stream), repr(vars(stream)), repr(stream._native), str(stream.status())]
    with pytest.raises(TokenRefused) as raised:
        next(stream)
    shown += [str(raised.value), repr(stream.events()), repr(stream.status())]
    assert "verysecret" not in "".join(shown)
    stream.close()
