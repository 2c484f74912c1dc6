"""Measures what a tick costs a Python program, beside the client that programs are written for.

    python python/benches/ticks.py                        # conversion of a frame
    python python/benches/ticks.py feed KITE [SECONDS]    # 9,000 instruments

Needs this package built for release (`pip install ./python`) and `kiteconnect==5.2.2`. The first
compares, per full tick, in alternating rounds and after pauses: kiteconnect; this package; and a Python function
that makes the same dict by a literal from numbers that are ready. In the same rounds, what a batch of
a stream costs: to make it from its frame; to read one attribute of each tick, and to make an array of
numpy, from the frame on; Arrow tables of three and of all columns from a batch that is there, of one
frame of 100 ticks and of 30 frames, and their capsules included. The second starts `kite sim` with two updates per second of each instrument in
full mode, and prints the CPU time and memory of each client's process: through on_ticks, and through
a stream of which one attribute is read. kiteconnect gets three tickers, since it sends all
instruments on one socket.
"""

import datetime
import json
import os
import random
import resource
import statistics
import struct
import subprocess
import sys
import threading
import time

PACKETS, FRAMES, ROUNDS = 100, 30, 60
LAYOUT = struct.Struct(">16I" + "IIHxx" * 10)


def full_packets():
    source = random.Random(7)
    now = 1_790_000_000
    for number in range(PACKETS):
        price = source.randrange(10_000, 400_000)
        head = [number * 256 + 1, price, 5, price - 30, 1_000_000, 20_000, 30_000]
        head += [price - 100, price + 100, price - 200, price - 50]
        # Most instruments were traded within the last seconds.
        head += [now - source.randrange(5), 0, 0, 0, now]
        levels = [it for _ in range(10) for it in (source.randrange(5_000), price, 12)]
        yield LAYOUT.pack(*head, *levels)


def by_literal(n, from_timestamp=datetime.datetime.fromtimestamp):
    last_price, close = n[1] / 100.0, n[10] / 100.0
    return {
        "tradable": True,
        "mode": "full",
        "instrument_token": n[0],
        "last_price": last_price,
        "last_traded_quantity": n[2],
        "average_traded_price": n[3] / 100.0,
        "volume_traded": n[4],
        "total_buy_quantity": n[5],
        "total_sell_quantity": n[6],
        "ohlc": {
            "open": n[7] / 100.0,
            "high": n[8] / 100.0,
            "low": n[9] / 100.0,
            "close": close,
        },
        "change": (last_price - close) * 100 / close if close != 0 else 0,
        "last_trade_time": from_timestamp(n[11]),
        "oi": n[12],
        "oi_day_high": n[13],
        "oi_day_low": n[14],
        "exchange_timestamp": from_timestamp(n[15]),
        "depth": {
            "buy": [
                {"quantity": n[16], "price": n[17] / 100.0, "orders": n[18]},
                {"quantity": n[19], "price": n[20] / 100.0, "orders": n[21]},
                {"quantity": n[22], "price": n[23] / 100.0, "orders": n[24]},
                {"quantity": n[25], "price": n[26] / 100.0, "orders": n[27]},
                {"quantity": n[28], "price": n[29] / 100.0, "orders": n[30]},
            ],
            "sell": [
                {"quantity": n[31], "price": n[32] / 100.0, "orders": n[33]},
                {"quantity": n[34], "price": n[35] / 100.0, "orders": n[36]},
                {"quantity": n[37], "price": n[38] / 100.0, "orders": n[39]},
                {"quantity": n[40], "price": n[41] / 100.0, "orders": n[42]},
                {"quantity": n[43], "price": n[44] / 100.0, "orders": n[45]},
            ],
        },
    }


def conversion():
    import kiteconnect

    import kiteticker

    packets = list(full_packets())
    frame = struct.pack(">H", PACKETS)
    frame += b"".join(struct.pack(">H", len(packet)) + packet for packet in packets)
    numbers = [LAYOUT.unpack(packet) for packet in packets]
    theirs = kiteconnect.KiteTicker("key", "token")
    ways = {
        "kiteconnect": lambda: theirs._parse_binary(frame),
        "kiteticker": lambda: kiteticker.parse(frame),
        "a literal": lambda: [by_literal(it) for it in numbers],
    }
    results = [repr(way()) for way in ways.values()]
    assert len(set(results)) == 1
    ways |= of_a_batch(frame, [n[1] / 100.0 for n in numbers])
    taken = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, way in ways.items():
            start = time.perf_counter_ns()
            for _ in range(10):
                way()
            taken[name].append((time.perf_counter_ns() - start) / 10 / ticks_of(name))
    for name, rounds in taken.items():
        print(f"{name:19} {min(rounds):8.0f} ns, median {statistics.median(rounds):8.0f}")
    for name, way in ways.items():
        rounds = [after_a_pause(way) / ticks_of(name) for _ in range(ROUNDS)]
        print(f"{name:19} {statistics.median(rounds):8.0f} ns once every {PAUSE_S * 1e3:.0f} ms")
    lit, ours, official = (min(taken[it]) for it in ("a literal", "kiteticker", "kiteconnect"))
    print(f"kiteticker is {ours / lit:.2f} of a literal and 1/{official / ours:.1f} of kiteconnect")


def of_a_batch(frame, prices):
    """Returns what a program does with a batch; first compares what it finds."""
    import numpy

    import kiteticker

    columns = ["recv_time", "instrument_token", "last_price"]

    def attribute():
        return [tick.last_price for tick in kiteticker.Batch([frame])]

    def by_index():
        batch = kiteticker.Batch([frame])
        return [batch[number].last_price for number in range(len(batch))]

    def array():
        (run,) = kiteticker.Batch([frame]).runs("full")
        return numpy.frombuffer(run, kiteticker.FULL_DTYPE)["last_price"] / 100

    assert attribute() == by_index() == array().tolist() == prices
    small, large = kiteticker.Batch([frame]), kiteticker.Batch([frame] * FRAMES)
    return {
        "a batch": lambda: kiteticker.Batch([frame]),
        "one field": attribute,
        "by index": by_index,
        "numpy": array,
        "three columns": lambda: small.table(columns).__arrow_c_array__(),
        "all columns": lambda: small.__arrow_c_array__(),
        "three columns of 30": lambda: large.table(columns).__arrow_c_array__(),
        "all columns of 30": lambda: large.__arrow_c_array__(),
    }


def ticks_of(name):
    return PACKETS * FRAMES if name.endswith(" of 30") else PACKETS


# Between two frames of a feed with 60 frames per second.
PAUSE_S = 0.016


def after_a_pause(way):
    """Returns the CPU time when other programs have used the caches since the last."""
    time.sleep(PAUSE_S)
    start = time.thread_time_ns()
    way()
    return time.thread_time_ns() - start


TOKENS = [(number + 1) * 256 + 1 for number in range(9_000)]


def feed(kite, seconds):
    for package in ("kiteconnect", "kiteticker", "stream"):
        line = [kite, "sim", "--json", "--rate", "2"]
        sim = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
        try:
            first = json.loads(sim.stdout.readline())
            account = first["accounts"][0]
            arguments = [first["endpoint"], account["access_token"], account["api_key"], seconds]
            client = [sys.executable, __file__, "client", package, *map(str, arguments)]
            subprocess.run(client, check=True)
        finally:
            sim.kill()


def client(package, root, access_token, api_key, seconds):
    """Counts ticks for a time, after all instruments have ticked."""
    seen, counts, ready = set(), [0, 0], threading.Event()
    if package == "stream":
        reading = (root, access_token, api_key, seen, counts, ready)
        threading.Thread(target=read_stream, args=reading, daemon=True).start()
    else:
        call_back(package, root, access_token, api_key, seen, counts, ready)
    measure(package, seconds, seen, counts, ready)


def read_stream(root, access_token, api_key, seen, counts, ready):
    import kiteticker

    wanted = dict.fromkeys(TOKENS, "full")
    last = {}
    for batch in kiteticker.Stream(api_key, access_token, wanted, root=root):
        for tick in batch:
            last[0] = tick.last_price
        counts[0] += len(batch)
        counts[1] += len(batch.frames)
        if not ready.is_set():
            seen.update(it.instrument_token for it in batch if it.mode == "full")
            if len(seen) == len(TOKENS):
                ready.set()


def call_back(package, root, access_token, api_key, seen, counts, ready):
    ticker_class = __import__(package).KiteTicker
    groups = [TOKENS] if package == "kiteticker" else [TOKENS[at::3] for at in range(3)]

    def on_ticks(ws, ticks):
        counts[0] += len(ticks)
        counts[1] += 1
        if not ready.is_set():
            seen.update(it["instrument_token"] for it in ticks if it["mode"] == "full")
            if len(seen) == len(TOKENS):
                ready.set()

    for group in groups:
        kws = ticker_class(api_key, access_token, root=root)
        kws.on_ticks = on_ticks
        kws.on_connect = lambda ws, _, group=group: (ws.subscribe(group), ws.set_mode("full", group))
        kws.connect(threaded=True)


def measure(package, seconds, seen, counts, ready):
    assert ready.wait(60), len(seen)
    ticks, frames = counts
    cpu, wall = time.process_time(), time.monotonic()
    threading.Event().wait(float(seconds))
    ticks, frames = counts[0] - ticks, counts[1] - frames
    cpu, wall = time.process_time() - cpu, time.monotonic() - wall
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(
        f"{package:12} {ticks / wall:7,.0f} ticks/s in {frames / wall:4.0f} frames/s, "
        f"{100 * cpu / wall:5.1f} % of a core, {cpu / ticks * 1e6:5.2f} µs per tick, {memory} MB",
        flush=True,
    )
    os._exit(0)


if __name__ == "__main__":
    match sys.argv[1:]:
        case []:
            conversion()
        case ["feed", kite, *rest]:
            feed(kite, rest[0] if rest else "20")
        case ["client", *rest]:
            client(*rest)
        case _:
            sys.exit(__doc__)
